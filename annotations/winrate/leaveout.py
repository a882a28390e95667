"""How much one person matters: the range of the win rate with each participant left out in turn."""

from __future__ import annotations

from annotations.winrate.sample import Clusters


def leave_one_out(clusters: Clusters) -> tuple[float, float] | None:
    """(least, greatest) win rate without one participant; None for one participant."""
    if clusters.count < 2:
        return None
    sums = clusters.sizes * clusters.means
    rates = (sums.sum() - sums) / (clusters.sizes.sum() - clusters.sizes)
    return float(rates.min()), float(rates.max())
