"""Attention checks: who missed them. Everybody leaves alike, unless a study names a way out of its own for it."""

from __future__ import annotations

from django.db.models import BooleanField, Case, Q, Value, When

from annotations import blinding
from annotations.models import Comparison, Judgment
from studyapp.models import Participant


def passed(judgment: Judgment) -> bool | None:
    """Whether an attention pair was answered as it asked; None for other pairs."""
    if judgment.comparison.kind != Comparison.Kind.ATTENTION:
        return None
    return blinding.unblind(judgment.comparison, judgment.choice).score == 1.0


def passing(outcome: str) -> Case:
    """`passed` for a whole query of judgments; `outcome`: the path of `blinding.outcome_of_a`."""
    return Case(
        When(~Q(comparison__kind=Comparison.Kind.ATTENTION), then=Value(None, output_field=BooleanField())),
        When(Q(**{outcome: "win"}), then=Value(True)),
        default=Value(False),
        output_field=BooleanField(),
    )


def missed(participant: Participant) -> int:
    """How many attention pairs a person answered otherwise than they asked."""
    rows = Judgment.objects.filter(participant=participant, comparison__kind=Comparison.Kind.ATTENTION)
    return sum(not passed(row) for row in rows.select_related("comparison"))


def way_out(participant: Participant) -> str:
    """The key of [exits] for somebody who left: their state, or `failed_checks` where a study names that way."""
    spec = participant.study.spec
    if participant.state != Participant.State.COMPLETED or not spec.exits.failed_checks:
        return participant.state
    return "failed_checks" if missed(participant) >= spec.checks_to_fail else participant.state
