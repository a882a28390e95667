"""Records as columns: what the estimators compute on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from annotations.winrate.records import Outcome

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Sample:
    """N judgments as arrays of length N.

    scores: 0, .5, 1. participants, questions: codes from 0. first: 1 focal shown first, 0 second, NaN unknown.
    clusters: codes of what is independent of each other where that is not the participant (dyads), else None.
    """

    scores: Floats
    participants: Codes
    questions: Codes
    first: Floats
    clusters: Codes | None = None

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Sample:
        """The columns of the records, in their order."""
        return cls(
            np.array([o.score for o in outcomes], dtype=np.float64),
            encode(o.participant for o in outcomes),
            encode(o.question for o in outcomes),
            np.array([np.nan if o.focal_first is None else float(o.focal_first) for o in outcomes], dtype=np.float64),
        )

    def where(self, mask: Mask) -> Sample:
        """The judgments for which the mask is true."""
        clusters = None if self.clusters is None else self.clusters[mask]
        return Sample(self.scores[mask], self.participants[mask], self.questions[mask], self.first[mask], clusters)

    @property
    def units(self) -> Codes:
        """What is resampled: dyads where people judge in dyads, else participants; shape (N,)."""
        return self.participants if self.clusters is None else self.clusters

    @property
    def size(self) -> int:
        """Number of judgments."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class Clusters:
    """Judgments summed up by participant (or question). sizes, means: (..., G); G clusters on the last axis."""

    sizes: Floats
    means: Floats

    @property
    def count(self) -> int:
        """G."""
        return int(self.sizes.shape[-1])

    @property
    def shares(self) -> Floats:
        """f_i = n_i / N; shape (..., G)."""
        shares: Floats = self.sizes / self.sizes.sum(axis=-1, keepdims=True)
        return shares

    @property
    def mean(self) -> Floats:
        """phat = sum f_i ybar_i; shape (...)."""
        mean: Floats = (self.sizes * self.means).sum(axis=-1) / self.sizes.sum(axis=-1)
        return mean


def encode(values: Iterable[str]) -> Codes:
    """Codes 0, 1, ... in order of first appearance."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.int64)


def cluster(scores: Floats, codes: Codes) -> Clusters:
    """Sizes and mean scores by code. Sorted by mean and size, so that neither labels nor row order leave a trace."""
    sizes = np.bincount(codes).astype(np.float64)
    sums = np.bincount(codes, weights=scores)[sizes > 0]
    sizes = sizes[sizes > 0]
    means = sums / sizes
    order = np.lexsort((sizes, means))
    return Clusters(sizes[order], means[order])


def linked(participants: Codes, dyads: Codes) -> Codes:
    """Clusters (N,) of judgments that share a participant or a dyad; dyads < 0 are missing.

    Everybody in one dyad: the dyad. Somebody in several: all that hang together through them, for such judgments are
    not independent.
    """
    people = int(participants.max()) + 1
    known = dyads >= 0
    width = people + (int(dyads.max()) + 1 if known.any() else 0)
    edges = (np.ones(int(known.sum())), (participants[known], people + dyads[known]))
    _, component = connected_components(coo_matrix(edges, shape=(width, width)), directed=False)
    clusters: Codes = component[participants].astype(np.int64)
    return clusters


def distinct(codes: Codes) -> int:
    """Number of different codes."""
    return len(np.unique(codes))
