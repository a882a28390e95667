"""Does what stands first win? The first text's share, and the win rate with the side's effect taken out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.winrate.interval import clustered
from annotations.winrate.sample import Sample, cluster


@dataclass(frozen=True, slots=True)
class Position:
    """focal_first_n: judgments with the focal text first. share: mean score of the first text, p against one half
    (clustered by participant or dyad). balanced: mean of the win rates with the focal first and second."""

    focal_first_n: int
    share: float | None
    p: float | None
    balanced: float | None


def position(sample: Sample, level: float) -> Position:
    """Position bias over the judgments whose sides are known; None where they are not."""
    known = sample.where(~np.isnan(sample.first))
    first = known.first == 1
    if not known.size:
        return Position(0, None, None, None)
    by_side = np.where(first, known.scores, 1 - known.scores)
    interval = clustered(cluster(by_side, known.units), level)
    both = first.any() and not first.all()
    return Position(
        int(first.sum()),
        float(by_side.mean()),
        interval.p if interval else None,
        float(known.scores[first].mean() + known.scores[~first].mean()) / 2 if both else None,
    )
