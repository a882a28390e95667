"""Repeats, controls, probes and labelled choices of a study as records of the pure analysis."""

from __future__ import annotations

from collections.abc import Iterator

from annotations import blinding
from annotations.models import Comparison, Preference
from annotations.winrate.fidelity import Choice, Probe
from annotations.winrate.reliability import Control, Repeat
from inference.models import Score
from studyapp.models import Study

State, Kind = Comparison.State, Comparison.Kind
# Attention pairs say what to choose; they are a check, not a control of the judging.
CONTROLS = (Kind.NULL, Kind.IDENTICAL)


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


def probes(study: Study, simulated: bool) -> list[Probe]:
    """Probes of which both answers were scored, with and without the person's choices."""
    rows = Score.objects.filter(
        study=study, owner__simulated=simulated, state=Score.State.READY, logprob__isnull=False,
        reference_logprob__isnull=False,
    ).select_related("owner", "probe__question")  # fmt: skip
    pairs: dict[tuple[int, str], dict[int, Score]] = {}
    for row in rows.order_by("id"):
        pairs.setdefault((row.probe_id, row.arm), {})[row.candidate_id] = row
    return [found for scores in pairs.values() if (found := _probe(scores)) is not None]


def _probe(scores: dict[int, Score]) -> Probe | None:
    one = next(iter(scores.values()))
    asked = one.probe
    first, second = scores.get(asked.first_id), scores.get(asked.second_id)
    if first is None or second is None or asked.choice is None or one.owner is None:
        return None
    chosen, other = (first, second) if asked.choice == "first" else (second, first)
    values = (chosen.logprob, other.logprob, chosen.reference_logprob, other.reference_logprob)
    with_it, against, plain, plain_against = (float(value or 0.0) for value in values)
    return Probe(one.owner.code, asked.question.key, one.arm, with_it, against, plain, plain_against)
