"""An archive as a hostile file: its members, its manifest and its rows, each of the right shape or refused."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from studyapp.archive.parts import ACTORS, IDENTITIES, KIND, MANIFEST, PARTS, README, SCHEMA_VERSION, WIN_RATES, Part
from studyapp.archive.write import ArchiveError
from studyapp.exports import sealed

LARGEST_MANIFEST = LONGEST_LINE = 16 * 1024**2
# Numbers of rows beyond this would use a sequence up for everybody else.
LARGEST_ID = 10**12
USERNAME = re.compile(r"[\w.@+-]{1,150}\Z")
SHAPE: dict[str, type | tuple[type, ...]] = {
    "study": str, "version": int, "protocol_hash": str, "state": str, "blinded": bool, "code": dict, "identities": bool,
    "seats": dict, "counts": dict, "analysis": (dict, type(None)), ACTORS: list, "parts": dict, "extra": dict,
}  # fmt: skip


class Archive:
    """An opened archive whose manifest is of the right shape."""

    def __init__(self, path: Path, zipped: zipfile.ZipFile) -> None:
        self.path, self.zipped = path, zipped
        self.manifest = _manifest(path, zipped)
        self.parts = [part for part in PARTS if self.manifest["identities"] or part.name != IDENTITIES]
        self._refuse_other_shape()

    def _refuse_other_shape(self) -> None:
        told, extra = self.manifest["parts"], set(self.manifest["extra"])
        if set(told) != {part.name for part in self.parts} or extra - {README, WIN_RATES}:
            raise ArchiveError(f"{self.path}: its manifest names other parts than an archive has.")
        for part in self.parts:
            about = told[part.name]
            if not isinstance(about, dict) or about.get("columns") != part.columns:
                by = self.manifest["code"].get("version")
                raise ArchiveError(
                    f"{self.path}: {part.name} have other columns than this Palate's. Restore it with the version that "
                    f"wrote it ({by!r}), then migrate."
                )
        wanted = {MANIFEST, *extra, *(part.member for part in self.parts)}
        there = set(self.zipped.namelist())
        if there != wanted:
            odd = sorted(there ^ wanted)[0]
            raise ArchiveError(f"{self.path}: {odd[:100]!r} is {'missing' if odd in wanted else 'no part of it'}.")

    def changed(self) -> list[str]:
        """The members whose bytes are not those of the manifest."""
        told = {part.member: self.manifest["parts"][part.name].get("sha256") for part in self.parts}
        told |= self.manifest["extra"]
        return [name for name, digest in told.items() if not self._is(name, digest)]

    def _is(self, name: str, digest: Any) -> bool:
        try:
            return sealed.member_digest(self.zipped, name) == digest
        except sealed.SealedError:
            return False

    def rows(self, part: Part) -> Iterator[dict[str, Any]]:
        """A part's rows with exactly its columns. Raises ArchiveError."""
        total, count, wanted = hashlib.sha256(), 0, set(part.columns)
        for line in sealed.lines(self.zipped, part.member, LONGEST_LINE):
            total.update(line + b"\n")
            count += 1
            yield _row(f"{part.member}, line {count}", line, wanted)
        told = self.manifest["parts"][part.name]
        if total.hexdigest() != told.get("sha256"):
            raise ArchiveError(f"{self.path}: {part.member} has changed: another SHA-256 than its manifest says.")
        if count != told.get("rows"):
            raise ArchiveError(f"{self.path}: {part.member} has {count} rows, its manifest says {told.get('rows')}.")

    def read(self, name: str) -> bytes:
        """A small member whole. Raises ArchiveError for more than 16 MiB."""
        return _small(self.path, self.zipped, name)


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """The archive, to be read inside the block. Raises ArchiveError for whatever is not one."""
    try:
        with sealed.opened(path) as zipped:
            yield Archive(path, zipped)
    except sealed.SealedError as error:
        raise ArchiveError(str(error)) from error
    except OSError as error:
        raise ArchiveError(f"{path}: {error.strerror or error}.") from error


def is_archive(path: Path) -> bool:
    """Whether a zip says that it is an archive, not a release."""
    try:
        with sealed.opened(path) as zipped:
            return f"rows/{PARTS[0].name}.jsonl" in zipped.namelist()
    except sealed.SealedError:
        return False


def damage(path: Path) -> list[str]:
    """What has changed since an archive was sealed, by name; nothing when it is whole."""
    if sealed.is_whole(path):
        return []
    try:
        with opened(path) as found:
            return found.changed() or ["the zip's own directory, its manifest or its seal"]
    except ArchiveError as error:
        return [str(error)]


def _small(path: Path, zipped: zipfile.ZipFile, name: str) -> bytes:
    content = b""
    for block in sealed.blocks(zipped, name):
        content += block
        if len(content) > LARGEST_MANIFEST:
            raise ArchiveError(f"{path}: {name} is larger than any such file.")
    return content


def _manifest(path: Path, zipped: zipfile.ZipFile) -> dict[str, Any]:
    try:
        found = json.loads(_small(path, zipped, MANIFEST))
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{path}: {MANIFEST} is no JSON.") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise ArchiveError(f"{path}: is no archive of a study. Give a file that `manage.py archive` wrote.")
    if found.get("schema_version") != SCHEMA_VERSION:
        version = found.get("schema_version")
        raise ArchiveError(f"{path}: has schema version {version!r}; this Palate restores {SCHEMA_VERSION}.")
    for name, kind in SHAPE.items():
        if not isinstance(found.get(name), kind):
            raise ArchiveError(f"{path}: {MANIFEST}: {name!r} is missing or of another kind.")
    for actor in found[ACTORS]:
        if not (isinstance(actor, dict) and _number(actor.get("id")) and USERNAME.match(str(actor.get("username")))):
            raise ArchiveError(f"{path}: {MANIFEST}: {str(actor)[:100]} is no staff account.")
    return found


def _row(where: str, line: bytes, wanted: set[str]) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ArchiveError(f"{where}: is no JSON.") from error
    if not isinstance(row, dict) or set(row) != wanted:
        raise ArchiveError(f"{where}: has other columns than its manifest says.")
    if not _number(row["id"]):
        raise ArchiveError(f"{where}: {str(row['id'])[:40]!r} is no number of a row.")
    return row


def _number(value: Any) -> bool:
    return type(value) is int and 0 < value <= LARGEST_ID
