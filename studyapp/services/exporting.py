"""Exports that staff ask for on the site: a row, a doorbell, a file that expires.

One is made at a time. Postgres is the truth: a lost doorbell is rung again by the sweep, a lost worker's export fails
and can be asked for again. `releasing` makes them; what it needs is loaded by workers alone.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from inference import queue
from studyapp.models import ExportJob, Study
from studyapp.services import downloads
from studyapp.services.events import log

KEPT = timedelta(hours=24)
# A worker shows itself after every table; one that has not for so long is gone.
SILENT = timedelta(hours=1)
BELL_EXPIRES_S = 60
LOST = "The worker that made it is gone. Ask for it again."
State = ExportJob.State
logger = logging.getLogger(__name__)


def ring(number: int) -> None:
    """Tell a worker that an export is asked for; nothing is raised when the broker is away, the sweep rings again."""
    if queue.silence.holds():
        return
    try:
        current_app.send_task(
            "studyapp.export", args=[number], queue=settings.EXPORT_QUEUE, expires=BELL_EXPIRES_S, retry=False
        )
    except Exception as error:  # kombu, redis and the OS each raise their own; a doorbell must never fail its caller
        queue.silence.begin()
        logger.warning("the broker cannot be reached, the sweep will ring for export %s: %s", number, error)


def request(study: Study, *, format: str, text: bool, pii: bool, actor: Any) -> ExportJob:
    """Ask for a release; a worker is rung on commit with the job's number."""
    with transaction.atomic():
        job = ExportJob.objects.create(study=study, actor=actor, format=format, include_text=text, include_pii=pii)
        log(study, "export_requested", actor=actor, export=job.pk, format=format, text=text, pii=pii)
        transaction.on_commit(lambda: ring(job.pk), robust=True)
    return job


def sweep() -> int:
    """Expire what is old, fail what was lost, ring for what waits; how many changed or were rung for."""
    now = timezone.now()
    with transaction.atomic():
        expired = downloads.expire_old()
    lost = ExportJob.objects.filter(seen_at__lt=now - SILENT, state=State.RUNNING).update(
        state=State.FAILED, error=LOST, finished_at=now
    )
    downloads.sweep_files(SILENT.total_seconds())
    return expired + lost + ring_next()


def ring_next() -> int:
    """Ring for the export that has waited longest; how many were rung for."""
    number = ExportJob.objects.filter(state=State.QUEUED).order_by("pk").values_list("pk", flat=True).first()
    if number is not None:
        ring(number)
    return int(number is not None)
