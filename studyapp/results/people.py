"""Repeats, controls, probes and labelled choices of a study as records of the pure analysis."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from annotations import blinding
from annotations.models import Comparison, Preference
from annotations.winrate.fidelity import Choice, Probe
from annotations.winrate.reliability import Control, Repeat
from inference.models import Score
from studyapp.models import Study

State, Kind = Comparison.State, Comparison.Kind
# Attention pairs say what to choose; they are a check, not a control of the judging.
CONTROLS = (Kind.NULL, Kind.IDENTICAL)
# Of a probe under one arm: log-probability by candidate, conditioned on the person's choices and not.
Scores = dict[int, tuple[float, float]]
ASKED = ("participant__code", "question__key", "first_id", "second_id", "choice")
SCORED = ("probe_id", "arm", "candidate_id", "logprob", "reference_logprob")


def repeats(study: Study, simulated: bool) -> list[Repeat]:
    """Repeated judged pairs, then repeated labelled pairs, of which both answers are there."""
    return [*_judged_repeats(study, simulated), *_labelled_repeats(study, simulated)]


def _judged_repeats(study: Study, simulated: bool) -> Iterator[Repeat]:
    rows = Comparison.objects.filter(
        participant__study=study,
        participant__simulated=simulated,
        kind=Kind.REPEAT,
        state=State.JUDGED,
        repeat_of__state=State.JUDGED,
    ).select_related("participant", "judgment", "repeat_of__judgment")
    for row in rows.order_by("id"):
        before = row.repeat_of
        assert before is not None
        one, two = blinding.unblind(before, before.judgment.choice), blinding.unblind(row, row.judgment.choice)
        yield Repeat(row.participant.code, "judged", one.score, two.score, one.a_is_first)


def _labelled_repeats(study: Study, simulated: bool) -> Iterator[Repeat]:
    rows = Preference.objects.filter(
        participant__study=study,
        participant__simulated=simulated,
        role=Preference.Role.REPEAT,
        choice__isnull=False,
        repeat_of__choice__isnull=False,
    ).select_related("participant", "repeat_of")
    for row in rows.order_by("id"):
        before = row.repeat_of
        assert before is not None
        # the candidate that stood first the first time is what a score of 1 means
        again = row.first_id if row.choice == "first" else row.second_id
        yield Repeat(
            row.participant.code, "labelled", float(before.choice == "first"), float(again == before.first_id), True
        )


def controls(study: Study, simulated: bool) -> list[Control]:
    """Judged null and identical pairs. Text a of a null pair was made in advance, text b by the live path."""
    rows = Comparison.objects.filter(
        participant__study=study, participant__simulated=simulated, kind__in=CONTROLS, state=State.JUDGED
    ).select_related("participant", "judgment")
    found = []
    for row in rows.order_by("id"):
        seen = blinding.unblind(row, row.judgment.choice)
        found.append(Control(row.participant.code, row.kind, seen.score, seen.a_is_first, row.judgment.strength))
    return found


def choices(study: Study, simulated: bool) -> list[Choice]:
    """Every labelled pair that was answered, repeats left out."""
    rows = Preference.objects.filter(
        participant__study=study, participant__simulated=simulated, choice__isnull=False
    ).exclude(role=Preference.Role.REPEAT)
    fields = ("participant__code", "question__key", "first__key", "second__key", "choice", "role")
    found = []
    for code, question, first, second, choice, role in rows.order_by("id").values_list(*fields):
        chosen, other = (first, second) if choice == "first" else (second, first)
        found.append(Choice(code, question, chosen, other, role == Preference.Role.PROBE))
    return found


class Asked(NamedTuple):
    """A probe that was answered."""

    participant: str
    question: str
    first: int
    second: int
    choice: str


def probes(study: Study, simulated: bool) -> list[Probe]:
    """Probes of which both answers were scored, with and without the person's choices."""
    rows = Score.objects.filter(
        study=study, owner__simulated=simulated, state=Score.State.READY, logprob__isnull=False,
        reference_logprob__isnull=False,
    ).order_by("id")  # fmt: skip
    asked = Preference.objects.filter(
        participant__study=study, participant__simulated=simulated, role=Preference.Role.PROBE, choice__isnull=False
    ).values_list("id", *ASKED)
    known = {key: Asked(*values) for key, *values in asked}
    pairs: dict[tuple[int, str], Scores] = {}
    for probe, arm, candidate, conditioned, plain in rows.values_list(*SCORED):
        pairs.setdefault((probe, arm), {})[candidate] = (float(conditioned or 0), float(plain or 0))
    found = (_probe(arm, scores, known[key]) for (key, arm), scores in pairs.items() if key in known)
    return [one for one in found if one is not None]


def _probe(arm: str, scores: Scores, asked: Asked) -> Probe | None:
    chosen, other = (asked.first, asked.second) if asked.choice == "first" else (asked.second, asked.first)
    if chosen not in scores or other not in scores:
        return None
    (with_it, plain), (against, plain_against) = scores[chosen], scores[other]
    return Probe(asked.participant, asked.question, arm, with_it, against, plain, plain_against)
