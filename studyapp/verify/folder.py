"""A release's folder: its manifest, its files against it, and its rows."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from studyapp.exports import maintable
from studyapp.exports.formats import MISSING
from studyapp.exports.manifest import DIGEST, KIND, NAME, SCHEMA_VERSION, digest, digest_line
from studyapp.verify.findings import Finding, VerifyError, few

LARGEST_MANIFEST = LONGEST_CELL = 16 * 1024**2
SAFE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*\Z")
SPECIAL = {MISSING: None, "true": True, "false": False}
NEEDED: dict[str, type | tuple[type, ...]] = {
    "study": str, "version": int, "protocol_hash": str, "format": str, "blinded": bool, "filters": dict, "counts": dict,
    "seats": dict, "files": dict, "analysis": (dict, type(None)),
}  # fmt: skip


class Release:
    """A release in a folder. Raises VerifyError when it has no readable manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest = read_manifest(folder)
        self.by_table = {about["table"]: name for name, about in self.manifest["files"].items() if "table" in about}

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table; of CSV every value but None, true and false is text."""
        if table not in self.by_table:
            raise VerifyError(f"{self.folder}: the manifest names no file of the table {table}.")
        path = self.folder / self.by_table[table]
        try:
            yield from READERS[path.suffix](path)
        except (OSError, ValueError, KeyError, pa.ArrowException, csv.Error, RecursionError) as error:
            raise VerifyError(f"{path}: cannot be read as {path.suffix[1:]} ({_line(error)}).") from error

    def win_rates(self) -> list[dict[str, str]]:
        """The main table's rows as text."""
        path = self.folder / maintable.NAME
        if self.manifest["blinded"] or not path.is_file():
            return []
        with path.open(encoding="utf-8", newline="") as lines:
            return list(csv.DictReader(lines))

    def files(self) -> Finding:
        """Every listed file against its digest, and no other file there."""
        listed = self.manifest["files"]
        there = {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if not path.is_dir()}
        wrong = [f"{name}: is not in the manifest" for name in sorted(there - set(listed) - {NAME, DIGEST})]
        for name, about in listed.items():
            if trouble := self._trouble(name, about):
                wrong.append(f"{name}: {trouble}")
        return Finding("files", f"{len(listed)} files, SHA-256", few(wrong))

    def named(self) -> Finding:
        """The manifest against its own digest."""
        path = self.folder / DIGEST
        found = path.read_bytes()[:200] if path.is_file() and not path.is_symlink() else b""
        wrong = () if found == digest_line(self.folder / NAME).encode() else (f"{NAME}: is not the one of {DIGEST}",)
        return Finding("manifest", f"{NAME} has SHA-256 {digest(self.folder / NAME)}", wrong)

    def _trouble(self, name: str, about: dict[str, Any]) -> str:
        path = self.folder / name
        if path.is_symlink() or not path.is_file():
            return "is missing, or no plain file"
        if digest(path) != about.get("sha256"):
            return "has changed: another SHA-256"
        return ""

    def tables(self) -> Finding:
        """Every table's columns and number of rows against the manifest."""
        wrong, total = [], 0
        for table, name in self.by_table.items():
            about, count, header = self.manifest["files"][name], 0, None
            for row in self.rows(table):
                header = header or list(row)
                count += 1
            total += count
            if count != about.get("rows"):
                wrong.append(f"{name}: has {count} rows, the manifest says {about.get('rows')}")
            if header is not None and header != about.get("columns"):
                wrong.append(f"{name}: has other columns than the manifest says")
        return Finding("tables", f"{len(self.by_table)} tables, {total:,} rows", few(wrong))


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a release, of the right shape. Raises VerifyError."""
    path = folder / NAME
    if not path.is_file():
        raise VerifyError(f"{folder}: has no {NAME}. Give the folder that `manage.py export` wrote, or an archive.")
    if path.stat().st_size > LARGEST_MANIFEST:
        raise VerifyError(f"{path}: is larger than any manifest.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise VerifyError(f"{path}: is no JSON ({_line(error)}).") from error
    return checked(path, found)


def checked(path: Path, found: Any) -> dict[str, Any]:
    """The manifest if it is one of a release. Raises VerifyError."""
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise VerifyError(f"{path}: is not the manifest of a release.")
    if found.get("schema_version") != SCHEMA_VERSION:
        raise VerifyError(
            f"{path}: has schema version {found.get('schema_version')!r}; this Palate reads {SCHEMA_VERSION}. "
            "Verify it with the version that the manifest names under `code`."
        )
    for name, kind in NEEDED.items():
        if not isinstance(found.get(name), kind):
            raise VerifyError(f"{path}: {name!r} is missing or of another kind.")
    for name, about in found["files"].items():
        named = all(SAFE.match(part) for part in name.split("/"))
        if not (named and isinstance(about, dict) and isinstance(about.get("table", ""), str)):
            raise VerifyError(f"{path}: lists {name[:100]!r}, which is no file of a release.")
    return found


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    csv.field_size_limit(LONGEST_CELL)
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: SPECIAL.get(value, value) for name, value in row.items()}


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError("a line is no object")
            yield row


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=4096):
            yield from batch.to_pylist()


READERS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
