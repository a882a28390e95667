"""What it took to make the texts: tries, rejections and void pairs by arm. Unequal arms are a finding, not a detail."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import Any

from django.db.models import Count

from annotations.models import Comparison
from inference.models import Attempt, Generation
from studyapp.models import Study

# Outcomes that are no rejection of a text: it was made, is being made, or the worker went.
NO_VERDICT = (Attempt.Outcome.READY, Attempt.Outcome.RUNNING, Attempt.Outcome.WORKER_LOST, Attempt.Outcome.RETURNED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One arm. texts: asked for; attempts: tries in all; rejected: tries whose text was not used, by reason; flagged:
    shown texts with a flag; void: main pairs of the arm that could not be judged, by reason."""

    arm: str
    texts: int
    ready: int
    failed: int
    attempts: int
    rejected: dict[str, int]
    flagged: int
    pairs: int
    void: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


MAKING_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Making))


def making(study: Study) -> list[Making]:
    """One row an arm that is compared."""
    return [_arm(study, arm) for arm in study.spec.compared_arms]


def _arm(study: Study, arm: str) -> Making:
    texts = Generation.objects.filter(study=study, arm=arm, purpose=Generation.Purpose.ANSWER)
    states = dict(texts.values_list("state").annotate(n=Count("id")))
    tries = Attempt.objects.filter(generation__in=texts)
    rejected = tries.exclude(outcome__in=NO_VERDICT).values_list("outcome").annotate(n=Count("id"))
    main = Comparison.objects.filter(participant__study=study, kind__in=(Comparison.Kind.ARMS, Comparison.Kind.SWAP))
    of_arm = main.filter(arm_a=arm) | main.filter(arm_b=arm)
    void = Counter(of_arm.filter(state=Comparison.State.VOID).values_list("void_reason", flat=True))
    return Making(
        arm=arm,
        texts=sum(states.values()),
        ready=states.get("ready", 0),
        failed=states.get("failed", 0),
        attempts=tries.count(),
        rejected=dict(sorted(rejected)),
        flagged=texts.filter(state=Generation.State.READY).exclude(flags=[]).count(),
        pairs=of_arm.count(),
        void=dict(sorted(void.items())),
    )
