"""Who came, how far they got, who counts: a CONSORT-style flow from states and times alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from annotations.models import Judgment
from studyapp.models import UNFINISHED, Exclusion, Invite, Participant, Study

State = Participant.State
GONE = (State.STOPPED, State.EXCUSED, State.TIMED_OUT, State.SCREENED_OUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One count of the flow, of real or simulated people."""

    step: str
    people: str
    n: int
    of: int

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


STEP_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Step))


def flow(study: Study) -> list[Step]:
    """Every step, for real people and, where there are any, for simulated ones; `of`: how many entered.

    Leavers are told apart by where they left; withdrawn people count in `entered`, `consented` and `withdrawn` only.
    """
    kinds = sorted(set(Participant.objects.filter(study=study).values_list("simulated", flat=True))) or [False]
    return [step for simulated in kinds for step in _steps(study, simulated)]


def _steps(study: Study, simulated: bool) -> list[Step]:
    judged = Exists(Judgment.objects.filter(participant=OuterRef("pk")))
    people = Participant.objects.filter(study=study, simulated=simulated)
    stayed = people.exclude(state=State.WITHDRAWN)
    entered = people.count()
    counts = {
        "invited": Invite.objects.filter(study=study, simulated=simulated).count(),
        "entered": entered,
        "declined": people.filter(state=State.DECLINED).count(),
        "left before consent": _left(people).filter(consented_at__isnull=True).count(),
        "consented": people.filter(consented_at__isnull=False).count(),
        "left before the last shot": _left(stayed)
        .filter(consented_at__isnull=False, shots_done_at__isnull=True)
        .count(),
        "few-shot done": stayed.filter(shots_done_at__isnull=False).count(),
        "left before the first judgment": _left(stayed)
        .filter(~judged, shots_done_at__isnull=False)
        .count(),
        "at least one judgment": stayed.filter(judged).count(),
        "left after the first judgment": _left(stayed).filter(judged).count(),
        "completed": stayed.filter(state=State.COMPLETED).count(),
        "under way": stayed.filter(state__in=UNFINISHED).count(),
        "withdrawn": people.filter(state=State.WITHDRAWN).count(),
    }
    who = "simulated" if simulated else "real"
    steps = [Step(step=name, people=who, n=number, of=entered) for name, number in counts.items()]
    for rule in dict.fromkeys(Exclusion.objects.filter(study=study).values_list("rule", flat=True).order_by("id")):
        number = Exclusion.objects.filter(study=study, rule=rule, participant__simulated=simulated).count()
        steps.append(Step(step=f"excluded by {rule}", people=who, n=number, of=entered))
    return steps


def _left(people: QuerySet[Participant]) -> QuerySet[Participant]:
    return people.filter(state__in=GONE)
