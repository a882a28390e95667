"""A whole export: every table of a study from one snapshot into a folder."""

from __future__ import annotations

from pathlib import Path

from django.db import connection, transaction

from studyapp.exports.formats import write_csv, write_jsonl
from studyapp.exports.tables import TABLES, Options
from studyapp.models import Study

FORMATS = {"csv": write_csv, "jsonl": write_jsonl}


class ExportError(Exception):
    """An export that cannot be written; the message says where and what to do."""


def export(study: Study, folder: Path, *, format: str = "csv", text: bool = False) -> dict[Path, int]:
    """Write every table; returns rows by file. Blinded unless the study is unblinded.

    Free and personal text leaves only with `text`, and then says so in the file's name. All tables show the same moment
    (one repeatable-read snapshot). Files are written beside their place and moved there whole. Raises ExportError, also
    where the folder holds anything but exports of another kind: nothing is mixed up or overwritten.
    """
    write = FORMATS[format]
    options = Options(blinded=not study.is_unblinded, text=text)
    name = "_".join(part for part in ("blinded" if options.blinded else "", "with-text" if text else "") if part)
    suffix = f"{'.' + name if name else ''}.{format}"
    written: dict[Path, int] = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _refuse_used(folder, suffix)
        with transaction.atomic():
            _snapshot()
            for table in TABLES:
                path = folder / f"{table.name}{suffix}"
                partial = path.with_name(path.name + ".partial")
                with partial.open("w", encoding="utf-8", newline="") as out:
                    written[path] = write(out, table.header, table.rows(study, options))
                partial.replace(path)
    except OSError as error:
        raise ExportError(f"{folder}: {error.strerror or error}. Choose a folder that can be written to.") from error
    return written


def _refuse_used(folder: Path, suffix: str) -> None:
    here = sorted(path.name for path in folder.iterdir() if not path.name.endswith(".partial"))
    kinds = {name: name.partition(".") for name in here}
    ours = {table.name for table in TABLES}
    strange = [name for name, (table, _, kind) in kinds.items() if table not in ours or not kind.endswith((*FORMATS,))]
    if strange:
        raise ExportError(f"{folder}: holds {strange[0]}, which is no export. Choose an empty folder or a new one.")
    if taken := [name for name, (table, _, kind) in kinds.items() if f".{kind}" == suffix]:
        raise ExportError(f"{folder}: holds {taken[0]} of an earlier export. Choose another folder, or remove it.")


def _snapshot() -> None:
    """One moment for all tables; inside another transaction (a test's) the level is that one's."""
    if len(connection.savepoint_ids) == 0:
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
