"""A whole export: every table of a study from one snapshot, and what a stranger needs to use and check it."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection, transaction
from django.utils import timezone

from studyapp.exports import release
from studyapp.exports.columns import Options, Table
from studyapp.exports.formats import FORMATS, Format
from studyapp.exports.tables import released
from studyapp.models import Study

Progress = Callable[[int, int], None]


class ExportError(Exception):
    """An export that cannot be written; the message says where and what to do."""


def export(
    study: Study,
    folder: Path,
    *,
    format: str = "csv",
    text: bool = False,
    pii: bool = False,
    progress: Progress | None = None,
) -> dict[Path, int]:
    """Write a release of the study into `folder`, which must be new or empty; returns rows by file.

    Blinded unless the study is unblinded. Free and personal text leaves only with `text`, panel ids with `pii`, and
    then the file's name says so. All tables show the same moment (one repeatable-read snapshot). The folder appears
    whole or not at all. `progress` is told after each table how many of how many are done. Raises ExportError.
    """
    options = Options(blinded=not study.is_unblinded, text=text, pii=pii)
    try:
        with _appearing(folder) as place, snapshot():
            at = timezone.now()
            tables = _tables(study, place / "data", FORMATS[format], options, progress)
            rows = {path: count for path, (_, count) in tables.items()}
            rows |= release.write(study, place, FORMATS[format], options, tables, at)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}. Choose a folder that can be written to.") from error
    return {folder / path.relative_to(place): count for path, count in rows.items()}


def _tables(
    study: Study, folder: Path, format: Format, options: Options, progress: Progress | None
) -> dict[Path, tuple[Table, int]]:
    tables, written = released(options), {}
    folder.mkdir()
    for number, table in enumerate(tables, start=1):
        path = folder / file_name(table, options, format.name)
        rows = format.write(path, table.columns, table.batches(study, options, format.time))
        written[path] = (table, rows)
        if progress:
            progress(number, len(tables))
    return written


def file_name(table: Table, options: Options, suffix: str) -> str:
    """The name of a table's file, as Psych-DS wants them: pairs of a word and a value, and `data` at the end.

    What is masked or let out by name stands in it: view-blinded, with-text, with-pii.
    """
    marks = {
        "view-blinded": options.blinded,
        "with-text": options.text,
        "with-pii": options.pii and any(column.pii for column in table.columns),
    }
    said = "".join(f"_{mark}" for mark, holds in marks.items() if holds)
    return f"description-{table.name}{said}_data.{suffix}"


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` to write in, which takes its place at the end; nothing stays of a failure."""
    _refuse_used(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    place = folder.parent / f".{folder.name[:100]}.{secrets.token_hex(4)}.partial"
    place.mkdir()
    try:
        yield place
        if folder.exists():
            folder.rmdir()
        place.rename(folder)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise


def _refuse_used(folder: Path) -> None:
    if held := next(iter(sorted(folder.iterdir())), None) if folder.is_dir() else None:
        raise ExportError(f"{folder}: holds {held.name}. Nothing is overwritten: choose an empty folder or a new one.")
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder}: is a file. Choose a folder that can be written to.")


@contextmanager
def snapshot() -> Iterator[None]:
    """One moment for all tables; inside another transaction (a test's) the level is that one's."""
    with transaction.atomic():
        if len(connection.savepoint_ids) == 0:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield
