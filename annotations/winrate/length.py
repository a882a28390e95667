"""The win rate with the texts' lengths taken out. Exploratory: length may be part of a good answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import expit

from annotations.winrate.columns import Judgments
from annotations.winrate.measures import Measure, crossing, of_effect
from annotations.winrate.regression import Fit, effect, least_squares
from annotations.winrate.sample import Floats, distinct

STEPS, ENOUGH = 100, 1e-12


def length_adjusted(judged: Judgments, subject: str, level: float) -> list[Measure]:
    """logit E[y] = b0 + b1 tanh(D / sd(D)), D = words(treatment) - words(baseline), as AlpacaEval's length control.

    Two rows: `length_adjusted_win_rate`, expit(b0) with CR2 on the logit scale, p against one half; `length_slope`,
    b1 on the logit scale, p against zero. No estimate without variation in D or where the fit has no maximum.
    """
    known = ~np.isnan(judged.treatment_words - judged.baseline_words)
    part = judged.where(known)
    gap = part.treatment_words - part.baseline_words
    counts = {"subject": subject, "n_participants": distinct(part.participants.codes), "n": part.size}
    empty = [
        Measure(measure=name, **counts, flags=("no_estimate",))  # type: ignore[arg-type]
        for name in ("length_adjusted_win_rate", "length_slope")
    ]
    if part.size < 3 or np.ptp(gap) == 0:
        return empty
    design = np.column_stack([np.ones(part.size), np.tanh(gap / gap.std(ddof=1))])
    fit = logistic(part.scores, design)
    if fit is None:
        return empty
    sample = part.sample()
    rate = effect(fit, np.array([1.0, 0.0]), sample.units, level, crossing(sample))
    slope = effect(fit, np.array([0.0, 1.0]), sample.units, level, crossing(sample))
    row = of_effect("length_adjusted_win_rate", subject, rate, sample)
    return [_as_rate(row), of_effect("length_slope", subject, slope, sample)]


def _as_rate(row: Measure) -> Measure:
    """A row on the logit scale as a win rate; se by the delta method."""
    assert row.estimate is not None
    centre = float(expit(row.estimate))
    return replace(
        row,
        estimate=centre,
        se=None if row.se is None else row.se * centre * (1 - centre),
        ci_low=None if row.ci_low is None else float(expit(row.ci_low)),
        ci_high=None if row.ci_high is None else float(expit(row.ci_high)),
    )


def logistic(scores: Floats, design: Floats) -> Fit | None:
    """The quasi-likelihood fit of scores in [0, 1] (N,) on design (N, K), as the weighted least squares of its last
    step; None without a maximum (separation)."""
    if not 0 < scores.mean() < 1:
        return None
    coefficients: Floats = np.zeros(design.shape[1])
    for _ in range(STEPS):
        mean = expit(design @ coefficients)
        weight = np.sqrt(np.clip(mean * (1 - mean), 1e-10, None))
        fit = least_squares((scores - mean) / weight, design * weight[:, np.newaxis])
        if fit is None or not np.isfinite(fit.coefficients).all():
            return None
        coefficients = coefficients + fit.coefficients
        if np.abs(coefficients).max() > 30:
            return None
        if np.abs(fit.coefficients).max() < ENOUGH:
            return replace(fit, coefficients=coefficients)
    return None
