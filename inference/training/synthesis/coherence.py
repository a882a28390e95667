"""Whether labels agree with themselves and how users differ: pure functions of one array of labels.

`labels` has the shape users x questions x 3 x times: the three pairs (a, b), (a, c), (b, c) of three answers to a
question, each labelled `times` times. 1 is the first answer, -1 the second, 0 no label. No labels give None, never 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.int8]
PAIRS = ((0, 1), (0, 2), (1, 2))


@dataclass(frozen=True, slots=True)
class Coherence:
    """Figures of one panel; `disagreement` is the mean between two different users."""

    users: int
    pairs: int
    times: int
    entropy: float | None
    cyclic: float | None
    disagreement: float | None


def coherence(labels: Labels) -> Coherence:
    """All figures of a panel."""
    users, questions, pairs, times = labels.shape
    between = disagreement(labels)[np.triu_indices(users, 1)]
    known = between[~np.isnan(between)]
    return Coherence(
        users, questions * pairs, times, label_entropy(labels), cyclic_share(labels),
        float(known.mean()) if known.size else None,
    )  # fmt: skip


def label_entropy(labels: Labels) -> float | None:
    """Mean entropy, in nats, of the label of a pair under relabelling: 0 for always the same, ln 2 = 0.693 for a coin.

    The plug-in estimate from each user's share of first labels: with few `times` it is below the true entropy (a fair
    coin tossed 4 times gives 0.56 on average, 8 times 0.63).
    """
    seen = (labels != 0).sum(axis=-1)
    share = (labels == 1).sum(axis=-1)[seen > 1] / seen[seen > 1]
    if not share.size:
        return None
    inner = np.clip(share, 1e-12, 1 - 1e-12)
    return float((-inner * np.log(inner) - (1 - inner) * np.log(1 - inner)).mean())


def cyclic_share(labels: Labels) -> float | None:
    """Share of triads of answers that are judged in a circle (a over b, b over c, c over a), over all labellings.

    Labels by a fair coin make a quarter of the triads cyclic.
    """
    triads = np.moveaxis(labels, 2, -1).reshape(-1, 3)
    whole = triads[(triads != 0).all(axis=1)]
    if not len(whole):
        return None
    return float(((whole[:, 0] == whole[:, 2]) & (whole[:, 0] != whole[:, 1])).mean())


def disagreement(labels: Labels) -> NDArray[np.float64]:
    """Users x users: mean difference of their labels over the pairs that both labelled, 0 (same) to 1 (opposite).

    A user's label of a pair is the mean over the times it was given. NaN where two users share no pair.
    """
    users = labels.shape[0]
    flat = labels.reshape(users, -1, labels.shape[-1])
    seen = (flat != 0).sum(axis=-1)
    with np.errstate(invalid="ignore"):
        mean = np.where(seen > 0, flat.sum(axis=-1) / seen, np.nan)
    matrix = np.full((users, users), np.nan)
    for one in range(users):
        difference = np.abs(mean - mean[one]) / 2
        known = ~np.isnan(difference)
        counts = known.sum(axis=1)
        sums = np.where(known, difference, 0).sum(axis=1)
        matrix[one] = np.divide(sums, counts, out=np.full(users, np.nan), where=counts > 0)
    np.fill_diagonal(matrix, np.where((seen > 0).any(axis=1), 0.0, np.nan))
    return matrix
