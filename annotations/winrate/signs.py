"""The sign test over participants: how many preferred the focal arm on balance."""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import binomtest

from annotations.winrate.sample import Clusters


@dataclass(frozen=True, slots=True)
class SignTest:
    """k of n participants above one half, those at one half left out; p two-sided, None for n = 0."""

    k: int
    n: int
    p: float | None


def sign_test(clusters: Clusters) -> SignTest:
    """Exact binomial test of the participants' means against one half."""
    above, level = int((clusters.means > 0.5).sum()), int((clusters.means == 0.5).sum())
    n = clusters.count - level
    return SignTest(above, n, float(binomtest(above, n, 0.5).pvalue) if n else None)
