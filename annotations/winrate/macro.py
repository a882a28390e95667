"""The macro win rate: every person weighs the same, however many pairs they judged."""

from __future__ import annotations

import numpy as np

from annotations.winrate.interval import Interval, clustered
from annotations.winrate.sample import Clusters


def macro_rate(clusters: Clusters) -> float:
    """The mean of the participants' own means."""
    return float(clusters.means.mean())


def macro(clusters: Clusters, level: float) -> Interval | None:
    """The one-way interval with every cluster of size one: SE = sd / sqrt(G), df = G - 1. None for one participant."""
    return clustered(Clusters(np.ones_like(clusters.means), clusters.means), level)
