"""Win rates of a study: judgments out of rows, into the pure analysis. Only for an unblinded study."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.db.models import QuerySet
from django.utils import timezone

from annotations import blinding
from annotations.models import Comparison
from annotations.winrate import Outcome, Planned, Row, table
from annotations.winrate import Study as Place
from annotations.winrate.rows import Scope
from studyapp.models import Participant, Question, Study
from studyapp.services.studies import StudyError

REAL, SIMULATED = "itt", "itt_simulated"


def win_rates(study: Study, *, by: Scope | None = None) -> list[Row]:
    """The win-rate table of every judgment of every consenting person who did not withdraw (intention to treat).

    `by` adds a row a domain or question. Simulated people never mix with real ones: they are an analysis set of their
    own, and without real people the only one. Raises StudyError before unblinding.
    """
    if not study.is_unblinded:
        raise StudyError(
            f"{study} is {study.state}: win rates are for an unblinded study. Close it, then: "
            f'manage.py study unblind {study} --reason "why now"'
        )
    groups = sorted(
        set(Participant.objects.filter(study=study, consented_at__isnull=False).values_list("simulated", flat=True))
    )
    return [row for simulated in groups or [False] for row in _group(study, simulated, ("all", by) if by else ("all",))]


def _group(study: Study, simulated: bool, scopes: Sequence[Scope]) -> list[Row]:
    spec = study.spec
    asked = Question.objects.filter(study=study, use=Question.Use.JUDGE).order_by("key")
    rows = _arms(study, simulated)
    return table(
        (_outcome(row) for row in _judged(rows)),
        comparisons=list(dict.fromkeys(comparison.name for comparison in spec.comparisons)),
        primary=spec.primary,
        scopes=scopes,
        domains=sorted(set(asked.values_list("domain", flat=True))),
        questions=list(asked.values_list("key", flat=True)),
        planned=_planned(rows),
        study=Place(
            study_id=study.slug,
            config_hash=study.protocol_hash,
            data_cutoff=timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            analysis_set=SIMULATED if simulated else REAL,
        ),
        alpha=spec.analysis.alpha,
        bank_size=asked.count(),
    )


def _arms(study: Study, simulated: bool) -> QuerySet[Comparison]:
    """Main comparisons only: controls and repeats never enter a win rate."""
    return (
        Comparison.objects.filter(participant__study=study, participant__simulated=simulated, kind=Comparison.Kind.ARMS)
        .select_related("participant", "question", "judgment")
        .order_by("id")
    )


def _judged(rows: QuerySet[Comparison]) -> Iterator[Comparison]:
    return rows.filter(state=Comparison.State.JUDGED).iterator(chunk_size=2000)


def _outcome(row: Comparison) -> Outcome:
    seen = blinding.unblind(row, row.judgment.choice)
    return Outcome(
        participant=row.participant.code,
        question=row.question.key,
        comparison=f"{seen.arm_a}>{seen.arm_b}",
        score=seen.score,
        focal_first=seen.a_is_first,
        domain=row.question.domain,
        position=row.position,
    )


def _planned(rows: QuerySet[Comparison]) -> Iterator[Planned]:
    values = rows.values_list("question__key", "arm_a", "arm_b", "question__domain", "state")
    for question, arm_a, arm_b, domain, state in values.iterator(chunk_size=2000):
        yield Planned(question, f"{arm_a}>{arm_b}", domain, void=state == Comparison.State.VOID)
