"""Looks before the end: a confidence sequence that stays valid however often it is looked at.

The hedged betting sequence of Waudby-Smith and Ramdas (2024, JRSS B 86) on participants' mean scores in order of
completion, with their predictable plug-in bets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.winrate.sample import Floats

GRID = 1001
# Bets stay under one half of what would ruin the bettor.
CAP = 0.5


@dataclass(frozen=True, slots=True)
class Sequence:
    """The sequence after each of t participants: low, high (t,). Nobody yet: empty, and (0, 1) holds."""

    low: Floats
    high: Floats

    @property
    def now(self) -> tuple[float, float]:
        """The interval after the last participant."""
        return (float(self.low[-1]), float(self.high[-1])) if len(self.low) else (0.0, 1.0)


def betting_sequence(means: Floats, alpha: float, *, grid: int = GRID) -> Sequence:
    """{m : max(K+_t(m), K-_t(m)) / 2 < 1 / alpha} for means x_1, ..., x_t in [0, 1], on a grid of `grid` points.

    K+-_t(m) = prod (1 +- lambda_s (x_s - m)), lambda_s = sqrt(2 log(2/alpha) / (v_(s-1) s log(1 + s))) capped at
    CAP / m and CAP / (1 - m); v is the running variance with one observation (mean 1/2, variance 1/4) added. Ends are
    widened by one grid step, so that the grid never excludes what the sequence holds.
    """
    candidates = np.linspace(0, 1, grid)
    with np.errstate(divide="ignore"):
        most_up, most_down = CAP / candidates, CAP / (1 - candidates)
    bets = _bets(means, alpha)
    up, down = np.zeros(grid), np.zeros(grid)
    low, high = np.empty(len(means)), np.empty(len(means))
    for place, (x, bet) in enumerate(zip(means, bets, strict=True)):
        up += np.log1p(np.minimum(bet, most_up) * (x - candidates))
        down += np.log1p(-np.minimum(bet, most_down) * (x - candidates))
        kept = np.flatnonzero(np.maximum(up, down) - np.log(2) < np.log(1 / alpha))
        step = 1 / (grid - 1)
        # so much evidence that the grid holds nothing: its best point stands for the interval
        ends = kept if len(kept) else np.array([np.argmin(np.maximum(up, down))])
        low[place] = max(0.0, candidates[ends[0]] - step)
        high[place] = min(1.0, candidates[ends[-1]] + step)
    return Sequence(low, high)


def _bets(means: Floats, alpha: float) -> Floats:
    """lambda_t before it is capped, from what was seen before t."""
    count = np.arange(1, len(means) + 1)
    centre = (0.5 + np.cumsum(means)) / (count + 1)
    spread = (0.25 + np.cumsum((means - centre) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], spread[:-1]]) if len(means) else spread
    bets: Floats = np.sqrt(2 * np.log(2 / alpha) / (before * count * np.log(1 + count)))
    return bets
