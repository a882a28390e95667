"""Agreement of two codings beyond chance, with an interval over the people who gave them."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import numpy as np
from scipy.special import stdtr, stdtrit

from annotations.winrate.measures import Measure
from annotations.winrate.sample import Codes, Floats, Mask, distinct


def cohens_kappa(one: Floats, two: Floats) -> float | None:
    """(po - pe) / (1 - pe) of two codings (N,) (Cohen 1960); None without codings or where chance agrees always."""
    if not len(one):
        return None
    agreed = float((one == two).mean())
    categories = np.unique(np.concatenate([one, two]))
    by_chance = sum(float((one == c).mean()) * float((two == c).mean()) for c in categories)
    return None if by_chance >= 1 - 1e-12 else (agreed - by_chance) / (1 - by_chance)


def jackknifed(
    measure: str, subject: str, people: Codes, size: int, statistic: Callable[[Mask], float | None], level: float
) -> Measure:
    """A statistic of the judgments that a mask (N,) keeps, with the delete-one-person variance and t(G-1).

    V = (G-1)/G sum (theta_(-i) - mean)^2 (Efron and Stein 1981). No interval with fewer than three people or where
    the statistic does not exist without somebody.
    """
    everything = np.ones(size, dtype=np.bool_)
    codes = np.unique(people)
    whole = statistic(everything) if size else None
    counts = Measure(measure=measure, subject=subject, n_participants=distinct(people), n=size, estimate=whole)
    if whole is None or len(codes) < 3:
        return _flagged(counts, "undefined" if whole is None else "few_participants")
    without = [statistic(people != code) for code in codes]
    known = np.array([value for value in without if value is not None])
    if len(known) < len(codes):
        return _flagged(counts, "undefined_without_somebody")
    count = len(codes)
    error = sqrt((count - 1) / count * float(((known - known.mean()) ** 2).sum()))
    if error == 0:
        return _flagged(counts, "no_variance")
    reach = float(stdtrit(count - 1, (1 + level) / 2)) * error
    return Measure(
        measure=measure,
        subject=subject,
        n_participants=counts.n_participants,
        n=size,
        estimate=whole,
        se=error,
        df=float(count - 1),
        ci_low=whole - reach,
        ci_high=whole + reach,
        p=float(2 * stdtr(count - 1, -abs(whole) / error)),
    )


def _flagged(row: Measure, flag: str) -> Measure:
    return Measure(
        measure=row.measure,
        subject=row.subject,
        n_participants=row.n_participants,
        n=row.n,
        estimate=row.estimate,
        flags=(flag,),
    )
