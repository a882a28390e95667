"""The output folder: shards of rows, each whole or not there, and a manifest of what is done.

    OUTDIR/preferences/NAME.parquet   the rows
    OUTDIR/trl/NAME.parquet           the same rows as prompt, chosen, rejected
    OUTDIR/manifest.json              configuration hash; rows, counts and SHA-256 of every finished shard

A shard is written under another name and renamed when it is whole, and enters the manifest after that. A kill loses the
shard under work and nothing else.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from inference.training.synthesis.errors import SynthesisError
from inference.training.synthesis.records import SCHEMA, SET_SIZE, TRL_SCHEMA, Questionnaire, table, trl_table

VERSION = 1
GROUP_SETS = 512  # questionnaires in a row group: what is held in memory at once
FOLDERS = ("preferences", "trl")


@dataclass(frozen=True, slots=True)
class Done:
    """A finished shard: its rows, the sums of its counts, and the SHA-256 of its two files."""

    rows: int
    counts: dict[str, int]
    sha256: dict[str, str]


class Store:
    """One output folder, held by one process at a time."""

    def __init__(self, folder: Path, digest: str, code: str) -> None:
        """`digest` is that of the configuration, `code` that of the code that decides the rows."""
        self.folder, self._identity = folder, {"version": VERSION, "config": digest, "code": code}
        self.done: dict[str, Done] = {}

    @contextmanager
    def opened(self, names: list[str]) -> Iterator[Store]:
        """Hold the folder for writing shards of these names; raises SynthesisError when it is another's or damaged."""
        with ExitStack() as held:
            try:
                for name in FOLDERS:
                    (self.folder / name).mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self.folder / "lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._read(names)
                self._save()
            except BlockingIOError as error:
                raise SynthesisError(f"{self.folder}: another run writes here: wait for it or give another") from error
            except OSError as error:
                raise self._unwritable(error) from error
            yield self

    def write(self, name: str, questionnaires: Iterator[Questionnaire], counts: Mapping[str, int]) -> Done:
        """Write a shard from its rows; `counts` is read when they are at an end."""
        try:
            rows, digests = self._write_both(name, questionnaires)
            done = Done(rows, dict(counts), digests)
            self.done[name] = done
            self._save()
        except OSError as error:
            raise self._unwritable(error) from error
        return done

    def _write_both(self, name: str, questionnaires: Iterator[Questionnaire]) -> tuple[int, dict[str, str]]:
        rows, parts = 0, [self.folder / kind / f"{name}.part" for kind in FOLDERS]
        with ExitStack() as files:
            writers = [
                files.enter_context(pq.ParquetWriter(part, schema, compression="zstd"))
                for part, schema in zip(parts, (SCHEMA, TRL_SCHEMA), strict=True)
            ]
            while group := list(islice(questionnaires, GROUP_SETS)):
                for writer, make in zip(writers, (table, trl_table), strict=True):
                    writer.write_table(make(group), row_group_size=GROUP_SETS * SET_SIZE)
                rows += sum(len(each.rows) for each in group)
        digests = {kind: sha256(part) for kind, part in zip(FOLDERS, parts, strict=True)}
        for part in parts:
            _settle(part, part.with_suffix(".parquet"))
        return rows, digests

    def _read(self, names: list[str]) -> None:
        path = self.folder / "manifest.json"
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
                self.done = {name: Done(**done) for name, done in found.pop("shards").items()}
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise SynthesisError(f"{path}: is no manifest ({error}): give an empty folder") from error
            self._refuse_another(path, found)
        for part in self.folder.glob("*/*.part"):
            part.unlink()
        self.done = {name: done for name, done in self.done.items() if name in names and self._is_there(name, done)}

    def _refuse_another(self, path: Path, found: dict[str, Any]) -> None:
        if found.get("config") != self._identity["config"]:
            raise SynthesisError(
                f"{path}: this folder was begun with another configuration (hash {str(found.get('config'))[:12]}, now "
                f"{str(self._identity['config'])[:12]}): give an empty folder, or the configuration it was begun with; "
                "only [limits] and [measure] may change"
            )
        if found != self._identity:
            raise SynthesisError(
                f"{path}: this folder was begun with another version of the program, whose rows differ: give an empty "
                "folder, or check out the version it was begun with"
            )

    def _is_there(self, name: str, done: Done) -> bool:
        paths = {kind: self.folder / kind / f"{name}.parquet" for kind in FOLDERS}
        if not all(path.exists() for path in paths.values()):
            return False
        for kind, path in paths.items():
            if sha256(path) != done.sha256[kind]:
                raise SynthesisError(
                    f"{path}: is truncated or changed since it was written (its SHA-256 is not the manifest's): "
                    "delete the file and run the same command again, which makes it anew"
                )
        return True

    def _save(self) -> None:
        path = self.folder / "manifest.json"
        part = path.with_suffix(".part")
        content = self._identity | {"shards": {name: asdict(done) for name, done in sorted(self.done.items())}}
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        _settle(part, path)

    def _unwritable(self, error: OSError) -> SynthesisError:
        return SynthesisError(
            f"{self.folder}: cannot be written ({error.strerror or error}): give a folder you may write to, with room"
        )


def sha256(path: Path) -> str:
    """Of a file, in constant memory."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _settle(part: Path, path: Path) -> None:
    """Give a whole file its name once its bytes are on the disk."""
    with part.open("rb") as opened:
        os.fsync(opened.fileno())
    part.replace(path)
