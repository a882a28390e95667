"""The interval: Student's t on the logit scale, and what stands in for it when there is no variance to use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import betaincinv, expit, logit, stdtr, stdtrit

from annotations.winrate.sample import Clusters, Floats
from annotations.winrate.variance import cr2, satterthwaite

Method = Literal["cr2_logit_t", "participant_clopper_pearson", "none"]
NOTHING = 1e-12


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its uncertainty; `p` tests one half, two-sided. None: not available."""

    estimate: float
    variance: float
    df: float
    low: float
    high: float
    p: float | None
    method: Method


def logit_t(
    estimate: Floats | float, variance: Floats | float, df: Floats | float, level: float
) -> tuple[Floats, Floats, Floats]:
    """(low, high, p against one half) with standard error sqrt(V) / (p (1-p)) on the logit scale.

    All arguments broadcast; estimates in (0, 1), variances positive. Interval and p agree: one half lies outside the
    interval exactly when p < 1 - level.
    """
    centre, scale = logit(estimate), np.sqrt(variance) / (estimate * (1 - estimate))
    reach = stdtrit(df, (1 + level) / 2) * scale
    return expit(centre - reach), expit(centre + reach), 2 * stdtr(df, -np.abs(centre / scale))


def clopper_pearson(successes: float, trials: float, level: float) -> tuple[float, float]:
    """The exact interval by Beta quantiles (Clopper and Pearson 1934); successes need not be whole."""
    tail = (1 - level) / 2
    low = 0.0 if successes <= 0 else float(betaincinv(successes, trials - successes + 1, tail))
    high = 1.0 if successes >= trials else float(betaincinv(successes + 1, trials - successes, 1 - tail))
    return low, high


def interval_at(interval: Interval, level: float, count: int) -> tuple[float, float]:
    """The same interval at another level; `count` is the number of clusters, for a degenerate one."""
    if interval.method != "cr2_logit_t":
        return clopper_pearson(interval.estimate * count, count, level)
    low, high, _ = logit_t(interval.estimate, interval.variance, interval.df, level)
    return float(low), float(high)


def clustered(clusters: Clusters, level: float) -> Interval | None:
    """The one-way interval of the pooled mean; None with fewer than two clusters.

    With a mean of 0 or 1, or no variance between clusters, Clopper-Pearson on G clusters; p is then 2 (1/2)^G for
    all-win or all-loss, 1 at one half, otherwise None.
    """
    if clusters.count < 2:
        return None
    estimate, df = float(clusters.mean), float(satterthwaite(clusters))
    if float(np.ptp(clusters.means)) < NOTHING:
        return _degenerate(float(clusters.means[0]), df, clusters.count, level)
    variance = float(cr2(clusters))
    low, high, p = logit_t(estimate, variance, df, level)
    return Interval(estimate, variance, df, float(low), float(high), float(p), "cr2_logit_t")


def _degenerate(estimate: float, df: float, count: int, level: float) -> Interval:
    low, high = clopper_pearson(estimate * count, count, level)
    p: float | None = None
    if estimate in (0.0, 1.0):
        p = 2 * 0.5**count
    elif estimate == 0.5:
        p = 1.0
    return Interval(estimate, 0.0, df, low, high, p, "participant_clopper_pearson")
