"""Exports that staff ask for on the site: a row, a doorbell, a file that expires.

One is made at a time. Postgres is the truth: a lost doorbell is rung again by the sweep, a lost worker's export fails
and can be asked for again.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import connection, connections, transaction
from django.db.models import F
from django.utils import timezone

from inference import queue
from studyapp.exports import sealed
from studyapp.exports.manifest import digest
from studyapp.exports.run import ExportError, Progress, export
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


def make(number: int) -> bool:
    """Make an export that is asked for; False when somebody else does, or another one is being made."""
    job = _claim(number)
    if job is None:
        return False
    try:
        with tempfile.TemporaryDirectory(prefix="making-", dir=downloads.folder()) as name:
            blinded, path = _made(job, Path(name))
            _finish(job, blinded, path)
    except (ExportError, OSError) as error:
        _fail(job, str(error))
    except BaseException:
        _fail(job, "It broke off; the worker's log says why. Ask for it again.")
        raise
    finally:
        _ring_next()
    return True


def _claim(number: int) -> ExportJob | None:
    """queued -> running, unless one is running: two at once would only be slower."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [downloads.BEGINNING])
        if ExportJob.objects.filter(state=State.RUNNING, seen_at__gt=now - SILENT).exists():
            return None
        changed = ExportJob.objects.filter(pk=number, state=State.QUEUED).update(
            state=State.RUNNING, started_at=now, seen_at=now, host=socket.gethostname()[:100], error=""
        )
    return ExportJob.objects.select_related("study").get(pk=number) if changed else None


def _made(job: ExportJob, place: Path) -> tuple[bool, Path]:
    """The release as a sealed zip; whether it is blinded."""

    study = Study.objects.get(pk=job.study_id)
    blinded = not study.is_unblinded
    release = place / "release"
    with _progress(job) as progress:
        export(study, release, format=job.format, text=job.include_text, pii=job.include_pii, progress=progress)
    path = place / "release.zip"
    with sealed.written(path) as zipped:
        for source in sorted(found for found in release.rglob("*") if found.is_file()):
            entry = sealed.entry(source.relative_to(release).as_posix())
            with source.open("rb") as content, zipped.open(entry, "w", force_zip64=True) as out:
                shutil.copyfileobj(content, out, sealed.BLOCK)
    return blinded, path


@contextmanager
def _progress(job: ExportJob) -> Iterator[Progress]:
    """Tells how far an export is, on a connection of its own: the export's is in one read-only snapshot."""

    def tell(done: int, total: int) -> None:
        ExportJob.objects.filter(pk=job.pk, state=State.RUNNING).update(done=done, total=total, seen_at=timezone.now())

    with ThreadPoolExecutor(1) as pool:
        try:
            yield lambda done, total: pool.submit(tell, done, total).result()
        finally:
            pool.submit(connections.close_all).result()


def _finish(job: ExportJob, blinded: bool, path: Path) -> None:
    """running -> ready, unless it was failed meanwhile, by a withdrawal for one: then what was made goes."""
    name, now = f"{secrets.token_urlsafe(24)}.zip", timezone.now()
    values = {"bytes": path.stat().st_size, "sha256": digest(path), "blinded": blinded}
    with transaction.atomic():
        changed = ExportJob.objects.filter(pk=job.pk, state=State.RUNNING).update(
            state=State.READY, file=name, finished_at=now, expires_at=now + KEPT, done=F("total"), **values
        )
        if changed:
            path.rename(downloads.folder() / name)


def _fail(job: ExportJob, error: str) -> None:
    ExportJob.objects.filter(pk=job.pk, state=State.RUNNING).update(
        state=State.FAILED, error=error[:500], finished_at=timezone.now()
    )


def sweep() -> int:
    """Expire what is old, fail what was lost, ring for what waits; how many changed or were rung for."""
    now = timezone.now()
    with transaction.atomic():
        expired = downloads.expire_old()
    lost = ExportJob.objects.filter(seen_at__lt=now - SILENT, state=State.RUNNING).update(
        state=State.FAILED, error=LOST, finished_at=now
    )
    downloads.sweep_files(SILENT.total_seconds())
    return expired + lost + _ring_next()


def _ring_next() -> int:
    number = ExportJob.objects.filter(state=State.QUEUED).order_by("pk").values_list("pk", flat=True).first()
    if number is not None:
        ring(number)
    return int(number is not None)
