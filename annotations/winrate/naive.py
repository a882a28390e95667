"""The interval that treats judgments as independent: shown as naive, never as the result."""

from __future__ import annotations

from math import sqrt

from scipy.special import ndtri


def wilson(estimate: float, trials: int, level: float) -> tuple[float, float]:
    """Wilson's (1927) score interval; `estimate` may give half credit (then it is a little wide). Needs trials > 0."""
    z = float(ndtri((1 + level) / 2))
    below = 1 + z * z / trials
    centre = (estimate + z * z / (2 * trials)) / below
    reach = z * sqrt(estimate * (1 - estimate) / trials + z * z / (4 * trials * trials)) / below
    return max(0.0, centre - reach), min(1.0, centre + reach)
