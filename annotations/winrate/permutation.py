"""A test without a model: under the null, everybody's sum of (y - 1/2) may have either sign."""

from __future__ import annotations

import numpy as np

from annotations.winrate.sample import Clusters, Floats

EXACT_UP_TO, FLIPS, SEED = 15, 100_000, 20
# Signs drawn at a time; what a study of many thousand people may draw in all.
BLOCK, BUDGET = 4_000_000, 100_000_000
ROUNDING = 1e-9


def sign_flip(clusters: Clusters, *, flips: int = FLIPS, seed: int = SEED) -> float | None:
    """Two-sided p of |sum of d_i|, d_i = n_i (ybar_i - 1/2): exact up to 15 clusters, else (b + 1) / (B + 1) over
    seeded flips (fewer than `flips` from 1,000 clusters on, never under 2,000). None without clusters."""
    return sign_flip_sums(clusters.sizes * (clusters.means - 0.5), flips=flips, seed=seed)


def sign_flip_sums(sums: Floats, *, flips: int = FLIPS, seed: int = SEED) -> float | None:
    """The same of the clusters' own sums (G,)."""
    count = len(sums)
    if not count:
        return None
    least = abs(float(sums.sum())) - ROUNDING
    if count <= EXACT_UP_TO:
        signs = 1 - 2.0 * (np.arange(2**count)[:, np.newaxis] >> np.arange(count) & 1)
        return float((np.abs(signs @ sums) >= least).mean())
    drawn = max(2000, min(flips, BUDGET // count))
    rng, reached = np.random.default_rng(seed), 0
    block = max(1, BLOCK // count)
    for start in range(0, drawn, block):
        flipped = _bits(rng, min(block, drawn - start), count)
        reached += int((np.abs(sums.sum() - 2 * (flipped @ sums)) >= least).sum())
    return (reached + 1) / (drawn + 1)


def _bits(rng: np.random.Generator, rows: int, count: int) -> Floats:
    """Fair coins, 0 or 1: (rows, count)."""
    packed = np.frombuffer(rng.bytes(rows * (-(-count // 8))), dtype=np.uint8).reshape(rows, -1)
    return np.unpackbits(packed, axis=1, count=count).astype(np.float64)
