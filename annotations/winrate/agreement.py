"""How alike one person's judgments are: ANOVA intraclass correlation, and the design effect it causes."""

from __future__ import annotations

import numpy as np

from annotations.winrate.sample import Codes, Floats, cluster


def icc(scores: Floats, codes: Codes) -> float | None:
    """rho = (MSB - MSW) / (MSB + (n0 - 1) MSW), n0 = (N - sum n_i^2 / N) / (G - 1).

    May be negative. None for one cluster, for single judgments only (N = G), and without any variance.
    """
    clusters = cluster(scores, codes)
    total, groups = len(scores), clusters.count
    if groups < 2 or total == groups:
        return None
    n0 = (total - (clusters.sizes**2).sum() / total) / (groups - 1)
    explained = (clusters.sizes * (clusters.means - clusters.mean) ** 2).sum()
    msb = explained / (groups - 1)
    msw = max(0.0, float((np.sort(scores) ** 2).sum() - (clusters.sizes * clusters.means**2).sum())) / (total - groups)
    below = float(msb + (n0 - 1) * msw)
    return float(msb - msw) / below if below > 1e-15 else None


def design_effect(variance: float, scores: Floats) -> float | None:
    """V_CR2 / (s^2 / N) with s^2 the sample variance (ddof 1); None without variance."""
    if len(scores) < 2:
        return None
    spread = float(np.sort(scores).var(ddof=1))
    return variance / (spread / len(scores)) if spread > 0 else None
