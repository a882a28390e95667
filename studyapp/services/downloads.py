"""Files of finished exports: where they lie, and that they go when their time is over or somebody withdraws."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from studyapp.models import ExportJob, Study

State = ExportJob.State
# The advisory lock under which an export begins.
BEGINNING = 0xE8901
WITHDRAWN = "Somebody withdrew while it was made. Ask for it again."


def folder() -> Path:
    """`PALATE_DATA/exports`, for this user alone."""
    path: Path = settings.DATA_DIR / "exports"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def path_of(job: ExportJob) -> Path | None:
    """The file of a ready export, where it lies on this machine."""
    path = folder() / job.file
    return path if job.state == State.READY and job.file and path.is_file() else None


def expire(jobs: Any) -> int:
    """ready -> expired for these exports; their files go once that is committed. How many."""
    gone = 0
    for number, file in list(jobs.filter(state=State.READY).values_list("pk", "file")):
        changed = ExportJob.objects.filter(pk=number, state=State.READY).update(state=State.EXPIRED, file="")
        if changed:
            transaction.on_commit(partial((folder() / file).unlink, missing_ok=True))
        gone += changed
    return gone


def expire_old() -> int:
    """Every export whose time is over."""
    return expire(ExportJob.objects.filter(expires_at__lte=timezone.now()))


def expire_of(study: Study) -> int:
    """Every export of a study, ready or half made: somebody withdraws, and is in it.

    The caller's transaction holds off every export that begins until it is committed; one that is being finished is
    either waited for and taken away, or finds itself failed.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [BEGINNING])
    ExportJob.objects.filter(study=study, state=State.RUNNING).update(
        state=State.FAILED, error=WITHDRAWN, finished_at=timezone.now()
    )
    return expire(ExportJob.objects.filter(study=study))


def sweep_files(age_s: float) -> int:
    """Remove what no export names or makes any more, a worker died over it, once it is so old; how many."""
    kept = set(ExportJob.objects.exclude(file="").values_list("file", flat=True))
    if ExportJob.objects.filter(state=State.RUNNING).exists():
        return 0
    before, removed = timezone.now().timestamp() - age_s, 0
    for path in folder().iterdir():
        if path.name not in kept and path.lstat().st_mtime < before:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
            removed += 1
    return removed
