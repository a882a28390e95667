"""Would the same person say it again? Repeated pairs, control pairs, shared calibration pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import evalica
import numpy as np
import pandas as pd

from annotations.winrate.columns import Labels
from annotations.winrate.kappa import cohens_kappa, jackknifed
from annotations.winrate.measures import Measure, share
from annotations.winrate.sample import Codes, Floats, Mask


@dataclass(frozen=True, slots=True)
class Repeat:
    """A pair seen twice by one person, sides swapped. first, again: 1 the focal text, 0.5 tie, 0 the other one.

    subject: `judged` for blind pairs, `labelled` for elicitation pairs. focal_first: whether the focal text stood
    first the first time.
    """

    participant: str
    subject: str
    first: float
    again: float
    focal_first: bool


@dataclass(frozen=True, slots=True)
class Control:
    """A control pair of one person. score: 1 text a was chosen, 0.5 tie, 0 text b. a_first: whether a stood first."""

    participant: str
    kind: str
    score: float
    a_first: bool
    strength: float | None = None


@dataclass(frozen=True, slots=True)
class Calibration:
    """A pair whose two texts everybody sees. score as in `Control`."""

    participant: str
    item: str
    score: float


def retest(repeats: Sequence[Repeat], level: float) -> list[Measure]:
    """By subject: `retest_agreement` (a tie is a category of its own), `kappa`, `side_following` (of the repeats
    decided both times: the same side twice, so the other text), `first_twice` (the first side both times)."""
    rows = []
    for subject in ("judged", "labelled"):
        chosen = [repeat for repeat in repeats if repeat.subject == subject]
        people = Labels.of(repeat.participant for repeat in chosen).codes
        one = np.array([repeat.first for repeat in chosen], dtype=np.float64)
        two = np.array([repeat.again for repeat in chosen], dtype=np.float64)
        first = np.array([repeat.focal_first for repeat in chosen], dtype=np.bool_)
        decided = (one != 0.5) & (two != 0.5)
        flipped = (one != two)[decided].astype(np.float64)
        took_first = ((one == 1) == first)[decided]
        rows += [
            share("retest_agreement", subject, (one == two).astype(np.float64), people, level),
            _kappa(subject, one, two, people, level),
            share("side_following", subject, flipped, people[decided], level),
            share("first_twice", subject, flipped * took_first, people[decided], level),
        ]
    return rows


def _kappa(subject: str, one: Floats, two: Floats, people: Codes, level: float) -> Measure:
    return jackknifed("kappa", subject, people, len(one), lambda m: cohens_kappa(one[m], two[m]), level)


def controls(pairs: Sequence[Control], level: float) -> list[Measure]:
    """By kind of control: `a_share` (of a null pair: the text made in advance), `first_share`, `tie_share`."""
    rows = []
    for kind in sorted({pair.kind for pair in pairs}):
        chosen = [pair for pair in pairs if pair.kind == kind]
        people = Labels.of(pair.participant for pair in chosen).codes
        scores = np.array([pair.score for pair in chosen], dtype=np.float64)
        first = np.array([pair.a_first for pair in chosen], dtype=np.bool_)
        rows += [
            share("a_share", kind, scores, people, level),
            share("first_share", kind, np.where(first, scores, 1 - scores), people, level),
            share("tie_share", kind, (scores == 0.5).astype(np.float64), people, level),
        ]
    return rows


def calibration_alpha(judged: Sequence[Calibration], level: float) -> Measure:
    """Krippendorff's alpha (nominal) over the pairs that everybody sees, by evalica; jackknife over participants.

    Personal texts differ from person to person: without calibration pairs there is no alpha, and the row is empty.
    """
    people, items = Labels.of(j.participant for j in judged), Labels.of(j.item for j in judged)
    scores = np.array([j.score for j in judged], dtype=np.float64)
    if len(items.names) < 1 or len(people.names) < 2:
        return Measure(
            measure="krippendorff_alpha",
            subject="calibration",
            n_participants=len(people.names),
            n=len(judged),
            flags=("no_shared_items",),
        )

    def alpha(mask: Mask) -> float | None:
        return nominal_alpha(people.codes[mask], items.codes[mask], scores[mask])

    return jackknifed("krippendorff_alpha", "calibration", people.codes, len(judged), alpha, level)


def nominal_alpha(people: Codes, items: Codes, scores: Floats) -> float | None:
    """1 - Do / De with the nominal distance; None where nothing can be paired or nothing varies."""
    ratings = pd.DataFrame({"people": people, "items": items, "scores": scores}).pivot_table(
        index="people", columns="items", values="scores", aggfunc="first"
    )
    paired = ratings.loc[:, ratings.notna().sum() > 1]
    values = paired.to_numpy(dtype=np.float64)
    if not values.size or len(np.unique(values[~np.isnan(values)])) < 2:
        return None
    return float(evalica.alpha(paired, distance="nominal").alpha)
