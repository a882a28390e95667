"""Counts of a study, in SQL: a page costs the same queries with ten people and with ten thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, Q, Sum
from django.utils import timezone

from annotations.models import Comparison, Preference
from inference.models import Attempt, Generation, Need
from studyapp.dashboard.masking import scrub
from studyapp.models import UNFINISHED, Participant, Seat, Study

PERSON = Participant.State
QUIET = (Attempt.Outcome.RUNNING, Attempt.Outcome.READY)


@dataclass(frozen=True, slots=True)
class StateCount:
    """How many people are in a state, real and simulated apart."""

    state: str
    real: int
    simulated: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.real + self.simulated


@dataclass(frozen=True, slots=True)
class People:
    """Participants of a study by state."""

    states: tuple[StateCount, ...]
    waiting: int
    waiting_since: datetime | None
    under_way: int

    @property
    def total(self) -> int:
        """Everybody who ever enrolled."""
        return sum(state.total for state in self.states)

    @property
    def simulated(self) -> int:
        """Of them simulated."""
        return sum(state.simulated for state in self.states)

    def count(self, state: str) -> int:
        """People in one state."""
        return sum(row.total for row in self.states if row.state == state)


def people(study: Study, now: datetime | None = None) -> People:
    """Participants by state; who waits for a text now; who is under way or may come back. Two queries."""
    now = now or timezone.now()
    sessions = study.spec.sessions
    window = timedelta(minutes=sessions.lease_min, hours=sessions.resume_hours)
    rows = Participant.objects.filter(study=study)
    found: dict[str, list[int]] = {}
    for row in rows.values("state", "simulated").annotate(n=Count("id")):
        found.setdefault(row["state"], [0, 0])[row["simulated"]] = row["n"]
    waits = rows.aggregate(
        waiting=Count("id", filter=Q(wait_started_at__isnull=False, state__in=UNFINISHED)),
        since=Min("wait_started_at", filter=Q(state__in=UNFINISHED)),
        back=Count("id", filter=Q(state=PERSON.TIMED_OUT, ended_at__isnull=True, last_seen_at__gte=now - window)),
    )
    states = tuple(StateCount(state, *found[state]) for state in PERSON.values if state in found)
    unfinished = sum(row.total for row in states if row.state in UNFINISHED)
    return People(states, waits["waiting"], waits["since"], unfinished + waits["back"])


def seats(study: Study) -> Counter[str]:
    """Seats by state. One query."""
    rows = Seat.objects.filter(study=study).order_by().values("state").annotate(n=Count("id"))
    return Counter({row["state"]: row["n"] for row in rows})


@dataclass(frozen=True, slots=True)
class Answers:
    """Elicitation choices and judged pairs: how many, never how they came out."""

    choices: int
    choices_planned: int
    judged: int
    open: int
    void: dict[str, int]

    @property
    def planned(self) -> int:
        """Pairs that can still be judged, and those that were."""
        return self.judged + self.open


def answers(study: Study) -> Answers:
    """Choices and judged pairs of a study. Two queries."""
    return _answers(Q(participant__study=study))


def answers_of(participant: Participant) -> Answers:
    """Choices and judged pairs of one person. Two queries."""
    return _answers(Q(participant=participant))


def _answers(whose: Q) -> Answers:
    choices = Preference.objects.filter(whose).aggregate(planned=Count("id"), made=Count("choice"))
    states: Counter[str] = Counter()
    void: Counter[str] = Counter()
    for row in Comparison.objects.filter(whose).order_by().values("state", "void_reason").annotate(n=Count("id")):
        states[row["state"]] += row["n"]
        if row["void_reason"]:
            void[row["void_reason"].replace("_", " ")] += row["n"]
    return Answers(
        choices=choices["made"],
        choices_planned=choices["planned"],
        judged=states[Comparison.State.JUDGED],
        open=states[Comparison.State.PLANNED] + states[Comparison.State.READY],
        void=dict(sorted(void.items())),
    )


@dataclass(frozen=True, slots=True)
class Texts:
    """Generations of a study by state, the queue by need, and what went wrong on the way, pooled over arms."""

    states: Counter[str]
    queue: tuple[tuple[str, int], ...]
    oldest: datetime | None
    trouble: tuple[tuple[str, int], ...]
    messages: tuple[tuple[str, int], ...]

    @property
    def total(self) -> int:
        """Texts wanted: discarded ones are wanted no more."""
        return self.states.total() - self.states[Generation.State.DISCARDED]


def texts(study: Study) -> Texts:
    """Generations and their troubles. Three queries."""
    rows = Generation.objects.filter(study=study).order_by()
    states: Counter[str] = Counter()
    queue: Counter[int] = Counter()
    ages = []
    for row in rows.values("state", "need").annotate(n=Count("id"), oldest=Min("queued_at")):
        states[row["state"]] += row["n"]
        if row["state"] == Generation.State.QUEUED:
            queue[row["need"]] += row["n"]
            ages.append(row["oldest"])
    tries = Attempt.objects.filter(generation__study=study).exclude(outcome__in=QUIET).order_by()
    trouble = tries.values("outcome").annotate(n=Count("id")).values_list("outcome", "n")
    stuck = rows.exclude(error="").exclude(state=Generation.State.READY)
    errors = stuck.values("error").annotate(n=Count("id")).order_by("-n", "error").values_list("error", "n")[:20]
    return Texts(
        states=states,
        queue=tuple((str(Need(need).label), number) for need, number in sorted(queue.items())),
        oldest=min(ages) if ages else None,
        trouble=tuple((str(Attempt.Outcome(outcome).label), n) for outcome, n in sorted(trouble, key=lambda r: -r[1])),
        messages=_pooled((scrub(study, error), n) for error, n in errors),
    )


def _pooled(messages: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Messages that became equal by masking are one."""
    pooled: Counter[str] = Counter()
    for message, n in messages:
        pooled[message] += n
    return tuple(pooled.most_common(5))


def by_study(model: type[Participant] | type[Generation], ids: Iterable[int]) -> dict[int, Counter[str]]:
    """Rows by state for each of some studies. One query."""
    found: dict[int, Counter[str]] = {pk: Counter() for pk in ids}
    rows: Any = model.objects.filter(study_id__in=found)
    for row in rows.order_by().values("study_id", "state").annotate(n=Count("id")):
        found[row["study_id"]][row["state"]] = row["n"]
    return found


def waited(study: Study) -> tuple[int, int]:
    """People who waited for a text, and all their milliseconds. One query."""
    row = Participant.objects.filter(study=study, waited_ms__gt=0).aggregate(n=Count("id"), ms=Sum("waited_ms"))
    return row["n"], row["ms"] or 0
