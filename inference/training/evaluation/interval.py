"""Means over judgments with 95 % intervals that know that the judgments of one user are correlated.

Cluster-robust CR2 variance with Satterthwaite's degrees of freedom (Bell and McCaffrey 2002), in closed form for a
mean: with user i's share f_i of the judgments and mean y_i, V = sum f_i^2 / (1 - f_i) (y_i - p)^2, and with
u_i = f_i^2 / (1 - f_i), nu = 1 / (sum f_i^2 + (sum u_i)^2 - sum u_i^2). Win rates get Student's t on the logit scale,
differences on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, logit, stdtrit

Floats = NDArray[np.float64]
TAIL = 0.975
NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over `n` judgments of `users` users. `low` and `high` are None with fewer than two users.

    A share of 1, or a difference of shares (then possibly negative).
    """

    value: float
    n: int
    users: int
    variance: float
    df: float
    low: float | None
    high: float | None


def win_rate(scores: Sequence[float], users: Sequence[str]) -> Estimate | None:
    """The mean of scores 0, 0.5 and 1; None without any.

    Where the variance says nothing (all the same, or every user's mean alike) the interval is Clopper and Pearson's
    over the users.
    """
    if not scores:
        return None
    mean, variance, df, count = _clustered(scores, users)
    if count < 2:
        return Estimate(mean, len(scores), count, 0.0, 0.0, None, None)
    low, high = _logit_t(mean, variance, df) if variance > NOTHING and 0 < mean < 1 else _exact(mean, count)
    return Estimate(mean, len(scores), count, variance, df, low, high)


def difference(gaps: Sequence[float], users: Sequence[str]) -> Estimate | None:
    """The mean of paired differences, with t on their own scale; None without any.

    Without variance between users there is no interval: nothing says how far off the mean may be.
    """
    if not gaps:
        return None
    mean, variance, df, count = _clustered(gaps, users)
    if count < 2 or variance <= NOTHING:
        return Estimate(mean, len(gaps), count, 0.0, df, None, None)
    reach = float(stdtrit(df, TAIL)) * variance**0.5
    return Estimate(mean, len(gaps), count, variance, df, mean - reach, mean + reach)


def mean_of(parts: Sequence[Estimate], *, share: bool = True) -> Estimate | None:
    """The unweighted mean of independent estimates (one a domain); None without any.

    Variances add up to sum V / k^2, and Satterthwaite's nu = (sum V)^2 / sum (V^2 / nu_i). `share`: the interval is on
    the logit scale and, without any variance, Clopper and Pearson's over the users of the part that has fewest.
    """
    if not parts:
        return None
    mean = float(np.mean([part.value for part in parts]))
    n, users = sum(part.n for part in parts), sum(part.users for part in parts)
    spread = sum(part.variance for part in parts)
    if any(part.users < 2 for part in parts) or (spread <= NOTHING and not share):
        return Estimate(mean, n, users, 0.0, 0.0, None, None)
    if spread <= NOTHING:
        return Estimate(mean, n, users, 0.0, 0.0, *_exact(mean, min(part.users for part in parts)))
    variance = spread / len(parts) ** 2
    df = spread**2 / sum(part.variance**2 / part.df for part in parts if part.variance)
    if share and 0 < mean < 1:
        low, high = _logit_t(mean, variance, df)
    else:
        reach = float(stdtrit(df, TAIL)) * variance**0.5
        low, high = mean - reach, mean + reach
    return Estimate(mean, n, users, variance, df, low, high)


def _clustered(values: Sequence[float], users: Sequence[str]) -> tuple[float, float, float, int]:
    """Mean, CR2 variance, degrees of freedom, number of users; variance and df are 0 for a single user."""
    _, place = np.unique(np.asarray(users), return_inverse=True)
    scores = np.asarray(values, dtype=np.float64)
    sizes = np.bincount(place).astype(np.float64)
    mean = float(scores.mean())
    if len(sizes) < 2:
        return mean, 0.0, 0.0, len(sizes)
    share = sizes / len(scores)
    gap = np.bincount(place, weights=scores) / sizes - mean
    u = share**2 / (1 - share)
    df = 1 / float(np.sum(share**2) + np.sum(u) ** 2 - np.sum(u**2))
    return mean, float(np.sum(u * gap**2)), df, len(sizes)


def _logit_t(mean: float, variance: float, df: float) -> tuple[float, float]:
    reach = float(stdtrit(df, TAIL)) * variance**0.5 / (mean * (1 - mean))
    return float(expit(logit(mean) - reach)), float(expit(logit(mean) + reach))


def _exact(mean: float, count: int) -> tuple[float, float]:
    wins = mean * count
    low = 0.0 if wins <= 0 else float(betaincinv(wins, count - wins + 1, 1 - TAIL))
    high = 1.0 if wins >= count else float(betaincinv(wins + 1, count - wins, TAIL))
    return low, high
