"""Judgments and plans of a study as columns, read in blocks: main pairs only, never controls or repeats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from django.db.models import BooleanField, Case, F, Q, QuerySet, Value, When

from annotations import blinding
from annotations.models import Comparison
from annotations.winrate.columns import Judgments, Labels, Plan
from annotations.winrate.sample import Codes, Floats
from studyapp.models import Participant, Question, Study

BLOCK = 20_000
MAIN = (Comparison.Kind.ARMS, Comparison.Kind.SWAP)
SAME_TEXT = Case(
    # lengths are compared before texts are read
    When(generation_a__words=F("generation_b__words"), then=Q(generation_a__text=F("generation_b__text"))),
    default=Value(False),
    output_field=BooleanField(),
)
FIELDS = (
    "participant_id", "question_id", "arm_a", "arm_b", "state", "dyad", "judgment__choice", "a_is_first", "position",
    "judgment__strength", "generation_a__words", "generation_b__words", "waited_ms", "generation_a__shots_used",
    "same_text",
)  # fmt: skip
STATE = FIELDS.index("state")


def main_pairs(study: Study, simulated: bool) -> QuerySet[Comparison]:
    """The main comparisons of the real or of the simulated people of a study."""
    return Comparison.objects.filter(
        participant__study=study, participant__simulated=simulated, kind__in=MAIN
    ).order_by("id")


class Coder:
    """Codes of labels in order of first appearance, over many blocks."""

    def __init__(self) -> None:
        self.seen: dict[Any, int] = {}

    def codes(self, values: Iterable[Any]) -> Codes:
        """The codes of one block."""
        seen = self.seen
        return np.array([seen.setdefault(value, len(seen)) for value in values], dtype=np.int64)


def _blocks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    block: list[tuple[Any, ...]] = []
    for row in rows:
        block.append(row)
        if len(block) == BLOCK:
            yield block
            block = []
    if block:
        yield block


def _numbers(values: Iterable[float | None], scale: float = 1.0) -> Floats:
    return np.array([np.nan if value is None else value * scale for value in values], dtype=np.float64)


def pairs(study: Study, simulated: bool) -> tuple[Judgments, Plan, Codes]:
    """Every judgment of a main pair, in the order of planning; every planned main pair, void or not; and the ids of
    those pairs' participants (N,). All in one pass: a large study's texts are gigabytes to the join."""
    rows = main_pairs(study, simulated).annotate(same_text=SAME_TEXT).values_list(*FIELDS)
    judged, planned = JudgedPairs(), PlannedPairs()
    for block in _blocks(rows.iterator(chunk_size=BLOCK)):
        planned.add(block)
        judged.add([row for row in block if row[STATE] == Comparison.State.JUDGED])
    return judged.columns(study), *planned.columns(study)


class JudgedPairs:
    """Judgments, block by block."""

    def __init__(self) -> None:
        self.people, self.asked, self.arms, self.dyads = Coder(), Coder(), Coder(), Coder()
        self.parts: list[dict[str, Any]] = []

    def add(self, block: list[tuple[Any, ...]]) -> None:
        """Rows of `FIELDS`, of judged pairs."""
        if not block:
            return
        person, question, a, b, _, dyad, choice, first, place, strength, long_a, long_b, waited, shots, same = zip(
            *block, strict=True
        )
        sides = zip(choice, first, strict=True)
        self.parts.append(
            {
                "scores": np.array([blinding.score_of_a(word, side) for word, side in sides], dtype=np.float64),
                "participants": self.people.codes(person),
                "questions": self.asked.codes(question),
                "comparisons": self.arms.codes(zip(a, b, strict=True)),
                "dyads": self.dyads.codes(value or "" for value in dyad),
                "first": np.array(first, dtype=np.float64),
                "position": np.array(place, dtype=np.float64),
                "strength": _numbers(strength),
                "treatment_words": _numbers(long_a),
                "baseline_words": _numbers(long_b),
                "wait_s": _numbers(waited, 0.001),
                "shots": _numbers(shots),
                "identical": np.array([bool(value) for value in same], dtype=np.float64),
            }
        )

    def columns(self, study: Study) -> Judgments:
        """All of them."""
        return _judgments(study, self.parts, self.people, self.asked, self.arms, self.dyads)


class PlannedPairs:
    """The plan, block by block."""

    def __init__(self) -> None:
        self.asked, self.arms = Coder(), Coder()
        self.parts: list[tuple[Codes, Codes, Codes, Any]] = []

    def add(self, block: list[tuple[Any, ...]]) -> None:
        """Rows of `FIELDS`."""
        person, question, a, b, state = zip(*(row[: STATE + 1] for row in block), strict=True)
        void = np.array([value == Comparison.State.VOID for value in state], dtype=np.bool_)
        people = np.array(person, dtype=np.int64)
        self.parts.append((people, self.asked.codes(question), self.arms.codes(zip(a, b, strict=True)), void))

    def columns(self, study: Study) -> tuple[Plan, Codes]:
        """All of it, and the ids of the participants (N,)."""
        if not self.parts:
            return Plan.of([]), np.array([], dtype=np.int64)
        people, codes, compared, void = (np.concatenate(column) for column in zip(*self.parts, strict=True))
        questions = Labels(codes, _keys(study, self.asked))
        return Plan(questions, Labels(compared, _names(self.arms)), _domains(study, questions), void), people


def _judgments(
    study: Study, parts: list[dict[str, Any]], people: Coder, asked: Coder, arms: Coder, dyads: Coder
) -> Judgments:
    if not parts:
        return Judgments.of([])
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    codes = dict(Participant.objects.filter(study=study).values_list("id", "code"))
    questions = Labels(columns["questions"], _keys(study, asked))
    return Judgments(
        **{
            **columns,
            "participants": Labels(columns["participants"], tuple(codes[key] for key in people.seen)),
            "questions": questions,
            "comparisons": Labels(columns["comparisons"], _names(arms)),
            "domains": _domains(study, questions),
            "dyads": _dyads(columns["dyads"], dyads),
        }
    )


def _keys(study: Study, asked: Coder) -> tuple[str, ...]:
    keys = dict(Question.objects.filter(study=study).values_list("id", "key"))
    return tuple(keys[key] for key in asked.seen)


def _names(arms: Coder) -> tuple[str, ...]:
    return tuple(f"{a}>{b}" for a, b in arms.seen)


def _domains(study: Study, questions: Labels) -> Labels:
    known = dict(Question.objects.filter(study=study).values_list("key", "domain"))
    named = Labels.of(known[key] for key in questions.names)
    return Labels(named.codes[questions.codes], named.names)


def _dyads(codes: Codes, dyads: Coder) -> Labels:
    blank = dyads.seen.get("", -1)
    return Labels(np.where(codes == blank, -1, codes), tuple(dyads.seen))
