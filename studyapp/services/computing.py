"""Making the results that the site shows: claimed by one worker, from one snapshot, kept if the claim still holds."""

from __future__ import annotations

import uuid
from typing import Any

from django.db import connection, transaction
from django.utils import timezone

from studyapp.exports.run import snapshot
from studyapp.models import Results, Study
from studyapp.report.drawings import drawings
from studyapp.report.evidence import gather
from studyapp.report.latex import latex
from studyapp.report.page import page
from studyapp.report.shown import shown
from studyapp.services import downloads, exclusions, standing
from studyapp.services.errors import StudyError

State = Results.State
BROKE = "It broke off; the worker's log says why. It is tried again when this page is looked at in a minute or later."


def make(study_id: int) -> bool:
    """Make the results of a study that are asked for; False when somebody else does, or they are outdated already."""
    claim = _claim(study_id)
    if claim is None:
        return False
    try:
        return _write(study_id, claim, state=State.READY, made_at=timezone.now(), **_made(study_id))
    except StudyError as error:
        _write(study_id, claim, state=State.FAILED, error=str(error)[:500])
    except BaseException:
        _write(study_id, claim, state=State.FAILED, error=BROKE)
        raise
    return False


def _claim(study_id: int) -> uuid.UUID | None:
    """queued -> running, by nobody else. A withdrawal that has begun is waited for: it is in what is read then."""
    claim = uuid.uuid4()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [downloads.BEGINNING])
        changed = Results.objects.filter(standing.waiting(), study_id=study_id).update(
            state=State.RUNNING, claim_id=claim, started_at=timezone.now()
        )
    return claim if changed else None


def _made(study_id: int) -> dict[str, Any]:
    """Everything that is shown, and what it was made from."""
    study = Study.objects.get(pk=study_id)
    if study.is_unblinded:
        exclusions.settle(study)
    with snapshot():
        evidence = gather(study)
        figures = drawings(evidence)
        return {
            "stand": standing.stand(study),
            "shown": shown(evidence, figures),
            "figures": {name: one.svg for name, one in figures.items()},
            "report": page(evidence, figures),
            "latex": latex(evidence),
        }


def _write(study_id: int, claim: uuid.UUID, **values: Any) -> bool:
    """Only the claim's holder writes: who withdrew, or asked anew, has taken it away."""
    rows = Results.objects.filter(study_id=study_id, claim_id=claim, state=State.RUNNING)
    return bool(rows.update(**values))
