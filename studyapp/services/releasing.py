"""Making the exports that are asked for: claimed by one worker, written below PALATE_DATA, named once whole."""

from __future__ import annotations

import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, connections, transaction
from django.db.models import F
from django.utils import timezone

from studyapp.exports import sealed
from studyapp.exports.manifest import digest
from studyapp.exports.run import ExportError, Progress, export
from studyapp.models import ExportJob, Study
from studyapp.services import downloads, exporting

State = ExportJob.State


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
        exporting.ring_next()
    return True


def _claim(number: int) -> ExportJob | None:
    """queued -> running, unless one is running: two at once would only be slower."""
    now = timezone.now()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [downloads.BEGINNING])
        if ExportJob.objects.filter(state=State.RUNNING, seen_at__gt=now - exporting.SILENT).exists():
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
            state=State.READY, file=name, finished_at=now, expires_at=now + exporting.KEPT, done=F("total"), **values
        )
        if changed:
            path.rename(downloads.folder() / name)


def _fail(job: ExportJob, error: str) -> None:
    ExportJob.objects.filter(pk=job.pk, state=State.RUNNING).update(
        state=State.FAILED, error=error[:500], finished_at=timezone.now()
    )
