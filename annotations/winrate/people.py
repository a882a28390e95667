"""How many people prefer the focal arm, not only how much on average."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from annotations.winrate.columns import Judgments
from annotations.winrate.interval import clopper_pearson
from annotations.winrate.measures import Measure
from annotations.winrate.permutation import sign_flip
from annotations.winrate.sample import Clusters


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person's own win rate in one comparison; no interval, for it says nothing about anybody else."""

    participant: str
    comparison: str
    n_judgments: int
    mean: float

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


PERSON_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Person))


def own_rates(part: Judgments, comparison: str) -> list[Person]:
    """Everybody who judged the comparison, sorted by participant. part: its judgments."""
    counts = np.bincount(part.participants.codes, minlength=len(part.participants.names))
    sums = np.bincount(part.participants.codes, weights=part.scores, minlength=len(part.participants.names))
    return [
        Person(participant=name, comparison=comparison, n_judgments=int(count), mean=float(total / count))
        for name, count, total in sorted(zip(part.participants.names, counts, sums, strict=True))
        if count
    ]


def above_half(clusters: Clusters, subject: str, level: float) -> list[Measure]:
    """The share of people whose own win rate lies above, at and under one half; Clopper and Pearson's interval.

    Few judgments a person spread these shares: they describe the sample's own rates, not people's true ones.
    """
    count = clusters.count
    parts = {
        "people_above_half": int((clusters.means > 0.5).sum()),
        "people_at_half": int((clusters.means == 0.5).sum()),
        "people_below_half": int((clusters.means < 0.5).sum()),
    }
    return [_share(name, subject, number, count, level) for name, number in parts.items()]


def _share(name: str, subject: str, number: int, count: int, level: float) -> Measure:
    if not count:
        return Measure(measure=name, subject=subject, n_participants=0, n=0, flags=("no_data",))
    low, high = clopper_pearson(number, count, level)
    return Measure(
        measure=name,
        subject=subject,
        n_participants=count,
        n=count,
        estimate=number / count,
        ci_low=low,
        ci_high=high,
    )


def permuted(clusters: Clusters, subject: str) -> Measure:
    """`sign_flip_mean`: the mean of (y - 1/2) with the p-value of the sign-flip permutation."""
    sums = clusters.sizes * (clusters.means - 0.5)
    judgments = int(clusters.sizes.sum())
    return Measure(
        measure="sign_flip_mean",
        subject=subject,
        n_participants=clusters.count,
        n=judgments,
        estimate=float(sums.sum()) / judgments if judgments else None,
        p=sign_flip(clusters),
        flags=() if judgments else ("no_data",),
    )
