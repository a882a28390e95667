"""What exclusion rules may know of a participant: progress, checks, times, sides. Never an arm, never an outcome."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from statistics import fmean, median

from annotations.models import Comparison, Judgment, Preference
from studyapp.models import Participant, Study
from studyapp.services import checks

Measured = dict[str, dict[str, float | None]]
Values = Mapping[int, Sequence[float]]


def measure(study: Study) -> Measured:
    """code -> metric -> value, of everybody who consented and did not withdraw; None where nothing was measured.

    The metrics are those of `studyapp.protocol.METRICS`.
    """
    people = Participant.objects.filter(study=study, consented_at__isnull=False)
    people = people.exclude(state=Participant.State.WITHDRAWN)
    judged, sides = _judgments(study)
    chosen, missed, agreed = _choices(study), _missed(study), _agreement(study)
    return {
        person.code: {
            "completed": float(person.state == Participant.State.COMPLETED),
            "attention_missed": float(sum(missed.get(person.pk, ()))),
            "judgments": float(len(judged.get(person.pk, ()))),
            "fastest_judgment_s": _of(judged, person, min),
            "median_judgment_s": _of(judged, person, median),
            "fastest_choice_s": _of(chosen, person, min),
            "median_choice_s": _of(chosen, person, median),
            "first_share": _of(sides, person, fmean),
            "repeat_agreement": _of(agreed, person, fmean),
            "waited_s": person.waited_ms / 1000,
            "minutes": _minutes(person),
        }
        for person in people
    }


def _of(values: Values, person: Participant, summary: Callable[[Sequence[float]], float]) -> float | None:
    own = values.get(person.pk)
    return summary(own) if own else None


def _minutes(person: Participant) -> float | None:
    return (person.judged_at - person.enrolled_at).total_seconds() / 60 if person.judged_at else None


def _grouped(pairs: Iterable[tuple[int, float]]) -> Values:
    found: dict[int, list[float]] = defaultdict(list)
    for person, value in pairs:
        found[person].append(value)
    return found


def _judgments(study: Study) -> tuple[Values, Values]:
    """Seconds of every judgment, and 1 where the first text was chosen, 0 the second (ties left out), by person."""
    rows = list(
        Judgment.objects.filter(participant__study=study).values_list(
            "participant_id", "page_ms", "server_ms", "choice"
        )
    )
    seconds = _grouped((person, (server if page is None else page) / 1000) for person, page, server, _ in rows)
    sides = _grouped((person, float(c == Judgment.Choice.FIRST)) for person, _, _, c in rows if c != "tie")
    return seconds, sides


def _choices(study: Study) -> Values:
    rows = Preference.objects.filter(participant__study=study, choice__isnull=False)
    by_page = rows.filter(page_ms__isnull=False).values_list("participant_id", "page_ms")
    by_server = rows.filter(page_ms__isnull=True, presented_at__isnull=False, decided_at__isnull=False)
    times = by_server.values_list("participant_id", "presented_at", "decided_at")
    return _grouped(
        chain(
            ((person, page / 1000) for person, page in by_page if page is not None),
            ((person, (decided - shown).total_seconds()) for person, shown, decided in times if shown and decided),
        )
    )


def _missed(study: Study) -> Values:
    rows = Judgment.objects.filter(participant__study=study, comparison__kind=Comparison.Kind.ATTENTION)
    return _grouped((row.participant_id, float(not checks.passed(row))) for row in rows.select_related("comparison"))


def _agreement(study: Study) -> Values:
    """1 where a repeated labelled pair was answered with the same candidate as before, by person."""
    rows = Preference.objects.filter(
        participant__study=study, role=Preference.Role.REPEAT, choice__isnull=False, repeat_of__choice__isnull=False
    ).select_related("repeat_of")
    return _grouped((row.participant_id, float(_chosen(row) == _chosen(row.repeat_of))) for row in rows)


def _chosen(row: Preference | None) -> int | None:
    if row is None:
        return None
    return row.first_id if row.choice == "first" else row.second_id
