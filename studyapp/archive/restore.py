"""An archive back into a database that has no such study. The file is taken for hostile: see `reading`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.color import no_style
from django.db import DataError, IntegrityError, connection, transaction
from pydantic import ValidationError

from annotations.plan import seal_of, seat_digest
from inference.models import Generation, Score, Work
from studyapp.archive.parts import ACTORS, PARTS, STUDY, Part
from studyapp.archive.reading import Archive, damage, opened
from studyapp.archive.write import OVER, ArchiveError
from studyapp.models import Seat, Study
from studyapp.protocol import Protocol
from studyapp.services.events import log

CHUNK = 500
# Work of a restored study is history: no worker takes it up, no sweep gives it back.
NEVER = "9999-12-31T00:00:00Z"
HASH = re.compile(r"[0-9a-f]{64}\Z")

Known = dict[str, set[int]]


def restore(path: Path) -> tuple[Study, dict[str, int]]:
    """Put an archived study back, whole or not at all; returns it and the rows by part.

    Numbers of rows stay, so that exports are the same bytes; the database must not have them yet, as an empty one.
    Staff accounts of the log are found by name, or made without a password and switched off. Raises ArchiveError.
    """
    if not path.is_file():
        raise ArchiveError(f"{path}: there is no such file.")
    if wrong := damage(path):
        raise ArchiveError(f"{path}: has changed since it was written: {'; '.join(wrong)}. Take another copy.")
    with opened(path) as found:
        _refuse_known(found)
        try:
            with transaction.atomic():
                return _restored(found)
        except DataError as error:
            raise ArchiveError(f"{path}: holds a value that no column takes: {_line(error)}.") from error
        except IntegrityError as error:
            raise ArchiveError(f"{path}: {_conflict(error)}") from error


def _refuse_known(found: Archive) -> None:
    slug, version = found.manifest["study"], found.manifest["version"]
    if Study.objects.filter(slug=slug, version=version).exists():
        raise ArchiveError(f"{found.path}: {slug}@{version} is in this database already. Restore into an empty one.")


def _restored(found: Archive) -> tuple[Study, dict[str, int]]:
    accounts = _accounts(found.manifest[ACTORS])
    known: Known = {ACTORS: set(accounts)}
    counts = {}
    for part in found.parts:
        known[part.name] = set()
        counts[part.name] = _insert(found, part, known, accounts)
    _reset_sequences()
    connection.check_constraints()
    (number,) = known[STUDY]
    study = Study.objects.get(pk=number)
    _check_study(found, study)
    _lay_down(study)
    log(study, "restored", written_at=str(found.manifest.get("written_at"))[:40])
    return study, counts


def _insert(found: Archive, part: Part, known: Known, accounts: dict[int, int]) -> int:
    """Insert a part's rows, each foreign key found among the archive's own."""
    columns = ", ".join(f'"{name}"' for name in part.columns)
    table = part.model._meta.db_table
    told = f'jsonb_populate_recordset(NULL::"{table}", %s::jsonb)'
    sql = f'INSERT INTO "{table}" ({columns}) SELECT {columns} FROM {told}'
    rows, count = _known_rows(found, part, known, accounts), 0
    with connection.cursor() as cursor:
        while chunk := list(islice(rows, CHUNK)):
            try:
                document = json.dumps(chunk, allow_nan=False)
            except ValueError as error:
                raise ArchiveError(f"{found.path}: {part.member} holds a number that is none ({error}).") from error
            cursor.execute(sql, [document])
            count += len(chunk)
    return count


def _known_rows(found: Archive, part: Part, known: Known, accounts: dict[int, int]) -> Iterator[dict[str, Any]]:
    """A part's rows. Raises ArchiveError where one names a row that is not of the archive."""
    own, foreign = known[part.name], part.foreign
    # A row may name another of its own part that comes later: those are looked at when all are known.
    later: list[tuple[str, Any]] = []
    for row in found.rows(part):
        own.add(row["id"])
        named = [(column, row[column]) for column in foreign if row[column] is not None]
        later += [(column, value) for column, value in named if foreign[column] == part.name]
        for column, value in named:
            if foreign[column] != part.name and not _is_in(value, known.get(foreign[column], set())):
                raise _stray(found, part, column, value)
            if foreign[column] == ACTORS:
                row[column] = accounts[value]
        yield row
    for column, value in later:
        if not _is_in(value, own):
            raise _stray(found, part, column, value)
    if part.name == STUDY and len(own) != 1:
        raise ArchiveError(f"{found.path}: {part.member} holds {'more than one' if own else 'no'} study.")


def _is_in(value: Any, numbers: set[int]) -> bool:
    return type(value) is int and value in numbers


def _stray(found: Archive, part: Part, column: str, value: Any) -> ArchiveError:
    return ArchiveError(
        f"{found.path}: {part.member}: {column} {str(value)[:40]!r} is no row of this archive. It was not written by "
        "`manage.py archive`."
    )


def _accounts(actors: list[dict[str, Any]]) -> dict[int, int]:
    """The account of each actor here: the one of that name, else a new one that nobody can sign in to."""
    users, found = get_user_model().objects, {}
    for actor in actors:
        user = users.filter(username=actor["username"]).first()
        if user is None:
            free = None if users.filter(pk=actor["id"]).exists() else actor["id"]
            user = users.model(pk=free, username=actor["username"], is_active=False)
            user.set_unusable_password()
            user.save(force_insert=True)
        found[actor["id"]] = user.pk
    return found


def _reset_sequences() -> None:
    models = [part.model for part in PARTS] + [get_user_model()]
    with connection.cursor() as cursor:
        for sql in connection.ops.sequence_reset_sql(no_style(), models):
            cursor.execute(sql)


def _check_study(found: Archive, study: Study) -> None:
    """The study is the one of the manifest, over, of a valid protocol, and its seats are those of its seal."""
    told, where = found.manifest, f"{found.path}: rows/study.jsonl"
    if (study.slug, study.version, study.state) != (told["study"], told["version"], told["state"]):
        raise ArchiveError(f"{where}: is another study than the manifest's.")
    if study.state not in OVER:
        raise ArchiveError(f"{where}: is {study.state}; only a study that is over can be restored.")
    try:
        spec = Protocol.model_validate(study.protocol)
    except (ValidationError, RecursionError) as error:
        raise ArchiveError(f"{where}: its protocol is not valid: {_line(error)}.") from error
    if (spec.slug, spec.version) != (study.slug, study.version) or not HASH.match(study.protocol_hash):
        raise ArchiveError(f"{where}: its protocol is another study's.")
    if not isinstance(study.documents, dict) or not all(isinstance(text, str) for text in study.documents.values()):
        raise ArchiveError(f"{where}: its documents are no texts.")
    digests = []
    for seat in Seat.objects.filter(study=study).order_by("number").iterator(chunk_size=CHUNK):
        digests.append(seat.digest)
        if seat_digest(seat.number, seat.plan, study.seat_salt) != seat.digest:
            raise ArchiveError(f"{found.path}: seat {seat.number}: its plan is not the one that was drawn.")
    if study.seat_seal != (seal_of(digests) if digests else ""):
        raise ArchiveError(f"{found.path}: the seats are not those of the seal.")


def _lay_down(study: Study) -> None:
    for model in (Generation, Score):
        rows: Any = model._default_manager.filter(study=study)
        rows.filter(state=Work.State.QUEUED).update(not_before=NEVER)
        rows.filter(state=Work.State.RUNNING).update(lease_until=NEVER)


def _conflict(error: IntegrityError) -> str:
    name = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None) or ""
    if name.endswith("_pkey") or "unique" in _line(error):
        return f"a row of it is in this database already ({name}). Restore into an empty one."
    return f"its rows break the rule {name or _line(error)}. It was not written by `manage.py archive`."


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
