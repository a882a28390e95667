"""Results on the site: a row that a worker makes, shown only while everything it was made from still holds.

Postgres is the truth: a lost doorbell is rung again by the sweep and by whoever looks. `computing` makes them; what it
needs is loaded by workers alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, Q
from django.utils import timezone

from inference import queue
from inference.models import Generation, Score
from studyapp.models import Event, Exclusion, Participant, Results, Study
from studyapp.version import code_version

State = Results.State
# What the log says of looking and of taking away changes no result.
QUIET = ("archived_to_file", "export_downloaded", "export_requested", "exported", "identity_viewed")
LONG = ("figures", "report", "latex")
EMPTY: dict[str, Any] = {"shown": {}, "figures": {}, "report": "", "latex": "", "error": "", "made_at": None}
BELL_EXPIRES_S = 60
# Results of a worker that has been at it for so long are asked for again.
SILENT = timedelta(minutes=30)
RETRY = timedelta(minutes=1)
logger = logging.getLogger(__name__)


def stand(study: Study) -> str:
    """A digest of all that the results depend on: people by state, exclusions, the log, work under way, the code."""
    people = Participant.objects.filter(study=study).order_by("state", "simulated").values_list("state", "simulated")
    excluded = Exclusion.objects.filter(study=study).aggregate(n=Count("id"), last=Max("id"))
    told = Event.objects.filter(study=study).exclude(kind__in=QUIET).aggregate(last=Max("id"))
    facts = [
        study.protocol_hash,
        code_version(),
        list(people.annotate(n=Count("id"))),
        list(excluded.values()),
        told["last"],
        # the state for itself: each has a partial index
        [
            model.objects.filter(study=study, state=state).count()
            for model in (Generation, Score)
            for state in (Generation.State.QUEUED, Generation.State.RUNNING)
        ],
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def current(study: Study, *, whole: bool = False) -> Results | None:
    """The results that stand now, without the long columns unless `whole`; None where there are none, or before
    unblinding."""
    if not study.is_unblinded:
        return None
    rows = Results.objects.filter(study=study, state=State.READY, stand=stand(study))
    return (rows if whole else rows.defer(*LONG)).first()


def ask(study: Study) -> Results | None:
    """The row of the results that stand now; where it is not ready a worker is rung. None before unblinding."""
    if not study.is_unblinded:
        return None
    now, at = stand(study), timezone.now()
    stale = ~Q(stand=now) | Q(state=State.FAILED, asked_at__lt=at - RETRY)
    with transaction.atomic():
        Results.objects.bulk_create([Results(study=study, stand=now)], ignore_conflicts=True)
        Results.objects.filter(stale, study=study).update(
            state=State.QUEUED, stand=now, claim_id=None, asked_at=at, **EMPTY
        )
        row = Results.objects.defer(*LONG).get(study=study)
        if row.state == State.QUEUED:
            transaction.on_commit(lambda: ring(study.pk), robust=True)
    return row


def forget(study: Study) -> None:
    """Throw away what was made: somebody withdraws, and is in it.

    Call it under the lock of `downloads.expire_of`: nothing is begun then until the caller's transaction is over, and
    what is being made finds its row gone.
    """
    Results.objects.filter(study=study).delete()


def ring(study_id: int) -> None:
    """Tell a worker that results are asked for; nothing is raised when the broker is away, the sweep rings again."""
    if queue.silence.holds():
        return
    try:
        current_app.send_task(
            "studyapp.results", args=[study_id], queue=settings.CELERY_TASK_DEFAULT_QUEUE, expires=BELL_EXPIRES_S,
            retry=False,
        )  # fmt: skip
    except Exception as error:  # kombu, redis and the OS each raise their own; a doorbell must never fail its caller
        queue.silence.begin()
        logger.warning("the broker cannot be reached, the sweep will ring for results of %s: %s", study_id, error)


def waiting() -> Q:
    """Asked for, or with a worker that is gone."""
    return Q(state=State.QUEUED) | Q(state=State.RUNNING, started_at__lt=timezone.now() - SILENT)


def sweep() -> int:
    """Ring for what waits; how many."""
    ids = list(Results.objects.filter(waiting()).order_by("pk").values_list("study_id", flat=True))
    for study_id in ids:
        ring(study_id)
    return len(ids)
