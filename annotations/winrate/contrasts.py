"""Differences between win rates of the same people, and what else moves the score.

A linear model of the score on one dummy a comparison; matrix CR2 with Satterthwaite degrees of freedom, people (dyads)
as clusters, two-way where questions are shared. The differences are exactly those of the win rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from typing import Any

import numpy as np

from annotations.winrate.columns import Judgments
from annotations.winrate.holm import holm
from annotations.winrate.measures import crossing
from annotations.winrate.regression import Effect, effect, least_squares
from annotations.winrate.sample import Floats, distinct


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """One row. kind: `difference` between two comparisons, or `covariate`: change of the win rate a unit.

    Differences are adjusted by Holm among themselves; covariates are exploratory, their `p` is unadjusted.
    """

    contrast: str
    kind: str
    n_participants: int
    n_judgments: int
    estimate: float | None = None
    se: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return {**asdict(self), "flags": list(self.flags)}


CONTRAST_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Contrast))


def contrasts(
    judged: Judgments,
    comparisons: Sequence[str],
    *,
    covariates: Mapping[str, Floats] | None = None,
    alpha: float = 0.05,
) -> list[Contrast]:
    """Every difference between two comparisons, then every covariate (N,).

    covariates: None for the usual ones, see `usual_covariates`. A covariate that is unknown for a judgment leaves that
    judgment out; one that never varies gives no row. Each stands in a model of its own beside the comparisons.
    """
    found = [_difference(judged, one, two, 1 - alpha) for one, two in combinations(comparisons, 2)]
    adjusted = holm([row.p for row in found])
    rows = [replace(row, p_holm=p) for row, p in zip(found, adjusted, strict=True)]
    named = usual_covariates(judged) if covariates is None else covariates
    rows.extend(row for name, values in named.items() if (row := _covariate(judged, name, values, 1 - alpha)))
    return rows


def usual_covariates(judged: Judgments) -> dict[str, Floats]:
    """Item position, later exposure of the treatment (0 the first, 1 later), shots, seconds waited; each (N,)."""
    return {
        "position, an item": judged.position,
        "later exposure of the treatment": _later(judged),
        "shots, each": judged.shots,
        "wait, a second": judged.wait_s,
    }


def _later(judged: Judgments) -> Floats:
    """1 where the person had judged a text of the same treatment at an earlier position; NaN without positions."""
    focal = [name.partition(">")[0] for name in judged.comparisons.names]
    arms = np.array([focal.index(name) for name in focal], dtype=np.int64)
    width = max(len(focal), 1)
    keys = judged.participants.codes * width + (arms[judged.comparisons.codes] if judged.size else 0)
    first: Floats = np.full(int(keys.max()) + 1 if judged.size else 0, np.inf)
    np.fmin.at(first, keys, judged.position)
    later = (judged.position > first[keys]).astype(np.float64)
    return np.where(np.isnan(judged.position), np.nan, later)


def _difference(judged: Judgments, one: str, two: str, level: float) -> Contrast:
    codes = judged.comparisons
    part = judged.where((codes.codes == codes.code(one)) | (codes.codes == codes.code(two)))
    is_one = part.comparisons.codes == codes.code(one)
    row = Contrast(
        contrast=f"{one} - {two}",
        kind="difference",
        n_participants=distinct(part.participants.codes),
        n_judgments=part.size,
    )
    if not is_one.any() or is_one.all():
        return replace(row, flags=("no_data",))
    return _filled(row, part, np.column_stack([is_one, ~is_one]).astype(np.float64), np.array([1.0, -1.0]), level)


def _covariate(judged: Judgments, name: str, values: Floats, level: float) -> Contrast | None:
    known = ~np.isnan(values)
    part, own = judged.where(known), values[known]
    if part.size < 3 or np.ptp(own) == 0:
        return None
    cells = np.unique(part.comparisons.codes)
    dummies = (part.comparisons.codes[:, np.newaxis] == cells).astype(np.float64)
    row = Contrast(
        contrast=name, kind="covariate", n_participants=distinct(part.participants.codes), n_judgments=part.size
    )
    weights = np.zeros(len(cells) + 1)
    weights[-1] = 1
    return _filled(row, part, np.column_stack([dummies, own - own.mean()]), weights, level)


def _filled(row: Contrast, part: Judgments, design: Floats, weights: Floats, level: float) -> Contrast:
    fit, sample = least_squares(part.scores, design), part.sample()
    if fit is None:
        return replace(row, flags=("not_separable",))
    found: Effect = effect(fit, weights, sample.units, level, crossing(sample))
    return replace(
        row,
        estimate=found.estimate,
        se=found.se,
        df=found.df,
        ci_low=found.low,
        ci_high=found.high,
        p=found.p,
        flags=() if found.se is not None else ("no_variance",),
    )
