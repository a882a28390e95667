"""Everything of a study into one sealed file."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from studyapp.archive.parts import ACTORS, IDENTITIES, KIND, MANIFEST, PARTS, README, SCHEMA_VERSION, WIN_RATES, Part
from studyapp.exports import maintable, sealed
from studyapp.exports.columns import iso
from studyapp.exports.release import counts
from studyapp.exports.run import snapshot
from studyapp.models import Event, Study
from studyapp.version import code_version

CHUNK = 2000
OVER = (Study.State.CLOSED, Study.State.UNBLINDED, Study.State.ARCHIVED)


class ArchiveError(Exception):
    """A study that cannot be archived, or a file that cannot be restored; the message says why and what to do."""


def archive(study: Study, path: Path, *, pii: bool = False) -> dict[str, int]:
    """Write the study into `path`, readable by its owner alone; returns rows by part.

    Everything goes in but the key of the panel hashes and, without `pii`, the panel ids. All from one snapshot; the
    file appears whole or not at all, and is never written over another. Raises ArchiveError.
    """
    if study.state not in OVER:
        raise ArchiveError(
            f"{study} is {study.state}: people may still be under way. Close it first: "
            f'manage.py study close {study} --end "REASON"'
        )
    if path.exists():
        raise ArchiveError(f"{path}: is there already. Nothing is overwritten: choose another name.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with sealed.written(path) as zipped, snapshot():
            return _write(study, zipped, pii)
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}. Choose a place that can be written to.") from error


def _write(study: Study, zipped: zipfile.ZipFile, pii: bool) -> dict[str, int]:
    parts: dict[str, dict[str, Any]] = {}
    for part in PARTS:
        if pii or part.name != IDENTITIES:
            rows, digest = _write_part(study, zipped, part)
            parts[part.name] = {"rows": rows, "sha256": digest, "columns": part.columns}
    extra = {README: _add(zipped, README, _readme(study).encode())}
    if study.is_unblinded:
        extra[WIN_RATES] = _add(zipped, WIN_RATES, _win_rates(study))
    manifest = {
        "kind": KIND,
        "schema_version": SCHEMA_VERSION,
        "study": study.slug,
        "version": study.version,
        "protocol_hash": study.protocol_hash,
        "state": study.state,
        "blinded": not study.is_unblinded,
        "code": code_version(),
        "written_at": iso(timezone.now()),
        "identities": pii,
        "seats": {"seal": study.seat_seal, "salt": study.seat_salt},
        "counts": counts(study),
        "analysis": maintable.analysis(study) if study.is_unblinded else None,
        ACTORS: _actors(study),
        "parts": parts,
        "extra": extra,
    }
    _add(zipped, MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
    return {name: about["rows"] for name, about in parts.items()}


def _write_part(study: Study, zipped: zipfile.ZipFile, part: Part) -> tuple[int, str]:
    total, count = hashlib.sha256(), 0
    with zipped.open(sealed.entry(part.member), "w", force_zip64=True) as out:
        for line in _lines(study, part):
            content = line.encode() + b"\n"
            total.update(content)
            out.write(content)
            count += 1
    return count, total.hexdigest()


def _lines(study: Study, part: Part) -> Iterator[str]:
    """Rows as JSON objects, made by Postgres and streamed from a server-side cursor."""
    sql, values = part.rows(study).values_list(*(stored.attname for stored in part.fields)).query.sql_with_params()
    with connection.chunked_cursor() as cursor:
        cursor.execute(f"SELECT row_to_json(r)::text FROM ({sql}) r", values)
        while rows := cursor.fetchmany(CHUNK):
            for (line,) in rows:
                yield json.dumps({**json.loads(line), **part.blanked}) if part.blanked else line


def _actors(study: Study) -> list[dict[str, Any]]:
    """Numbers and names of the staff accounts in the study's log."""
    numbers = Event.objects.filter(study=study, actor__isnull=False).values("actor")
    rows = get_user_model().objects.filter(pk__in=numbers).order_by("pk")
    return [{"id": user.pk, "username": user.get_username()} for user in rows]


def _win_rates(study: Study) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path, _ = maintable.write(study, Path(folder))
        return path.read_bytes()


def _add(zipped: zipfile.ZipFile, name: str, content: bytes) -> str:
    zipped.writestr(sealed.entry(name), content)
    return hashlib.sha256(content).hexdigest()


def _readme(study: Study) -> str:
    return f"""# Archive of {study}

Everything of a study, written by Palate. It holds personal texts: keep it as you keep the database.

`manage.py verify FILE` checks it, without a database. `manage.py restore FILE` puts it into a database that has no such
study.
"""
