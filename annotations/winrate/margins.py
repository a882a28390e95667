"""Tests against a pre-registered margin: non-inferiority, equivalence, and a smallest win rate of interest.

On the logit scale with the variance and degrees of freedom of the headline interval, so that they agree with it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from math import sqrt
from typing import Any

from scipy.special import logit, stdtr

from annotations.winrate.interval import Interval, interval_at
from annotations.winrate.sample import Sample, distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginTest:
    """One test. bound: the win rates it is against. ci: the interval that decides (1 - 2 alpha). holds: whether the
    claim is shown at alpha; None when it cannot be tested. Not shown is never the opposite."""

    comparison: str
    test: str
    bound_low: float | None
    bound_high: float | None
    win_rate: float | None
    n_participants: int
    n_judgments: int
    ci_low: float | None = None
    ci_high: float | None = None
    ci_level: float | None = None
    p: float | None = None
    holds: bool | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


MARGIN_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(MarginTest))


def margin_tests(
    comparison: str,
    sample: Sample,
    headline: Interval | None,
    *,
    alpha: float,
    margin: float | None,
    sesoi: float | None,
) -> list[MarginTest]:
    """The tests that a protocol declares, against the headline interval of a comparison (None: cannot be tested).

    non_inferiority: H0 p <= 1/2 - margin, one-sided at alpha. equivalence: two one-sided tests (Schuirmann 1987) of
    H0 |p - 1/2| >= margin, each at alpha: shown where the 1 - 2 alpha interval lies inside. minimum_effect: H0
    p <= sesoi (p >= sesoi, where that is under one half), one-sided at alpha.
    """
    asked: list[tuple[str, float | None, float | None]] = []
    if margin is not None:
        asked += [("non_inferiority", 0.5 - margin, None), ("equivalence", 0.5 - margin, 0.5 + margin)]
    if sesoi is not None:
        asked.append(("minimum_effect", sesoi, None) if sesoi >= 0.5 else ("minimum_effect", None, sesoi))
    return [_tested(comparison, sample, headline, alpha, *one) for one in asked]


def _tested(
    comparison: str,
    sample: Sample,
    headline: Interval | None,
    alpha: float,
    test: str,
    above: float | None,
    below: float | None,
) -> MarginTest:
    """Claim: the win rate lies over `above` and under `below`."""
    row = MarginTest(
        comparison=comparison,
        test=test,
        bound_low=above,
        bound_high=below,
        win_rate=headline.estimate if headline else None,
        n_participants=distinct(sample.participants),
        n_judgments=sample.size,
    )
    if headline is None:
        return row
    level = 1 - 2 * alpha
    low, high = interval_at(headline, level, distinct(sample.units))
    holds = (above is None or low > above) and (below is None or high < below)
    ps = [_p(headline, bound, sign) for bound, sign in ((above, 1), (below, -1)) if bound is not None]
    p = None if None in ps else max(value for value in ps if value is not None)
    return replace(row, ci_low=low, ci_high=high, ci_level=level, p=p, holds=holds)


def _p(headline: Interval, bound: float, sign: int) -> float | None:
    """One-sided p of H0 that the win rate lies not beyond `bound` (over it: sign 1, under it: -1)."""
    if headline.method != "cr2_logit_t":
        return None
    scale = sqrt(headline.variance) / (headline.estimate * (1 - headline.estimate))
    return float(stdtr(headline.df, -sign * (logit(headline.estimate) - logit(bound)) / scale))
