"""Cluster-robust variance of a mean, and its degrees of freedom.

CR2 is the bias-reduced linearisation of Bell and McCaffrey (2002) with their Satterthwaite degrees of freedom under an
independent working model, in closed form for a mean. Every function works along the last axis.
"""

from __future__ import annotations

import numpy as np

from annotations.winrate.sample import Clusters, Floats


def _squares(clusters: Clusters) -> Floats:
    """f_i^2 (ybar_i - phat)^2; shape (..., G)."""
    deviations = clusters.means - clusters.mean[..., np.newaxis]
    squares: Floats = (clusters.shares * deviations) ** 2
    return squares


def cr0(clusters: Clusters) -> Floats:
    """Uncorrected sandwich variance."""
    variance: Floats = _squares(clusters).sum(axis=-1)
    return variance


def cr1(clusters: Clusters) -> Floats:
    """CR0 times G/(G-1)."""
    variance: Floats = cr0(clusters) * clusters.count / (clusters.count - 1)
    return variance


def cr2(clusters: Clusters) -> Floats:
    """V = sum f_i^2 / (1 - f_i) (ybar_i - phat)^2. Needs two clusters."""
    variance: Floats = (_squares(clusters) / (1 - clusters.shares)).sum(axis=-1)
    return variance


def cr3(clusters: Clusters) -> Floats:
    """Jackknife: V = sum f_i^2 (ybar_i - phat)^2 / (1 - f_i)^2. Needs two clusters."""
    variance: Floats = (_squares(clusters) / (1 - clusters.shares) ** 2).sum(axis=-1)
    return variance


def satterthwaite(clusters: Clusters) -> Floats:
    """nu = 1 / (sum f_i^2 + (sum u_i)^2 - sum u_i^2), u_i = f_i^2 / (1 - f_i). Needs two clusters; G-1 if equal."""
    shares = clusters.shares
    u = shares**2 / (1 - shares)
    nu: Floats = 1 / ((shares**2).sum(axis=-1) + u.sum(axis=-1) ** 2 - (u**2).sum(axis=-1))
    return nu
