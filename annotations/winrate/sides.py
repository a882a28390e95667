"""Position bias as a model: y = a + b z with z one half where the focal text came first, minus one half otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from annotations.winrate.measures import Measure, crossing, of_effect
from annotations.winrate.regression import effect, least_squares
from annotations.winrate.sample import Sample


def side_effects(sample: Sample, subject: str, level: float) -> list[Measure]:
    """Two rows: `position_balanced_win_rate` (a, linear scale; p against one half) and `position_effect` (b, how much
    standing first adds to the win rate; p against zero). Without both sides: no estimate."""
    known = sample.where(~np.isnan(sample.first))
    z = known.first - 0.5
    fit = least_squares(known.scores - 0.5, np.column_stack([np.ones(known.size), z])) if known.size else None
    names = ("position_balanced_win_rate", "position_effect")
    if fit is None:
        return [
            Measure(measure=name, subject=subject, n_participants=0, n=known.size, flags=("one_side_only",))
            for name in names
        ]
    rows = [
        of_effect(name, subject, effect(fit, weights, known.units, level, crossing(known)), known)
        for name, weights in zip(names, np.eye(2), strict=True)
    ]
    return [_moved(rows[0], 0.5), rows[1]]


def _moved(row: Measure, by: float) -> Measure:
    def plus(value: float | None) -> float | None:
        return None if value is None else value + by

    return replace(row, estimate=plus(row.estimate), ci_low=plus(row.ci_low), ci_high=plus(row.ci_high))
