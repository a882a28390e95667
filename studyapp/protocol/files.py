"""The files of a study folder, one by one, with every problem kept on the way; and their hash."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from pydantic import ValidationError

from studyapp.protocol.explain import explain
from studyapp.protocol.fields import Table, unsafe_characters
from studyapp.protocol.problem import Problem
from studyapp.protocol.reading import decode, parse_line, read_bytes

MAX_FORMS = 50
MAX_ROWS = 20_000
Row = TypeVar("Row", bound=Table)
_FORM = re.compile(r"[A-Za-z0-9_-]{1,60}\.toml")


@dataclass(frozen=True)
class Bank(Generic[Row]):
    """The valid rows of a JSONL file with their line numbers; `whole` is False when a line had to be left out."""

    name: str
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    whole: bool


class Reader:
    """Reads a folder file by file and keeps every problem on the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problems: list[Problem] = []
        self.contents: dict[str, bytes] = {}

    def text(self, name: str, *, required: bool) -> str | None:
        """The text of a file; None when absent, unreadable or empty, which is a problem if it is required."""
        content, problem = read_bytes(self.folder, name)
        if problem:
            self.problems.append(problem)
            return None
        if content is None:
            if required:
                self.problems.append(Problem(name, "", "is missing", self._remedy_for_missing(name)))
            return None
        self.contents[name] = content
        text, problem = decode(name, content)
        if problem:
            self.problems.append(problem)
            return None
        if text is not None and not text.strip():
            self.problems.append(Problem(name, "", "is empty", "write it" if required else "write it or remove it"))
            return None
        return text

    def _remedy_for_missing(self, name: str) -> str:
        try:
            there = sorted(os.listdir(self.folder))[:1000]
        except OSError:
            there = []
        close = difflib.get_close_matches(name, [n for n in there if n not in self.contents], n=1, cutoff=0.75)
        return f"rename {close[0]!r} to {name}" if close else f"put {name} into the folder"

    def document(self, name: str) -> str:
        """The markdown of a document; empty when there is none."""
        text = self.text(name, required=True) or ""
        if found := unsafe_characters(text):
            line = next(n for n, part in enumerate(text.split("\n"), start=1) if unsafe_characters(part))
            what = f"holds invisible control characters ({', '.join(found[:5])})"
            self.problems.append(Problem(name, f"line {line}", what, "type the text again without them"))
        return text

    def rows(self, name: str, kind: type[Row], *, required: bool) -> Bank[Row]:
        """The valid lines of a JSONL file; each other line is a problem."""
        before = len(self.problems)
        text = self.text(name, required=required)
        whole = len(self.problems) == before
        rows: list[Row] = []
        lines: list[int] = []
        found: list[Problem] = []
        for number, line in enumerate((text or "").split("\n"), start=1):
            if not line.strip():
                continue
            if len(rows) == MAX_ROWS or len(found) > MAX_ROWS:
                found.append(Problem(name, f"line {number}", "is one row too many", f"keep {MAX_ROWS:,} rows at most"))
                break
            row, problems = _row(name, number, line, kind)
            found.extend(problems)
            if row is not None:
                rows.append(row)
                lines.append(number)
        self.problems.extend(found)
        return Bank(name, tuple(rows), tuple(lines), whole and not found)

    def forms(self) -> list[str]:
        """Names of the folder's forms."""
        try:
            names = sorted(e.name for e in os.scandir(self.folder / "forms") if e.name.endswith(".toml"))
        except OSError:
            return []
        for name in names:
            if not _FORM.fullmatch(name):
                what = f"has a form called {name!a}"
                self.problems.append(Problem("forms", "", what, "use letters, digits, - and _ in its name"))
        return [f"forms/{name}" for name in names if _FORM.fullmatch(name)][:MAX_FORMS]


def _row(name: str, number: int, line: str, kind: type[Row]) -> tuple[Row | None, list[Problem]]:
    where = f"line {number}"
    values, what, remedy = parse_line(line)
    if values is None:
        return None, [Problem(name, where, what, remedy)]
    try:
        return kind.model_validate(values), []
    except ValidationError as error:
        return None, explain(kind, error, name, where)


def digest(contents: dict[str, bytes]) -> str:
    """SHA-256 (hex) over the files of a study in order of name: each name, a NUL, the length of the content, a NUL,
    the content. A byte order mark and carriage returns at line ends do not count, so that a checkout on another
    system keeps the hash. Other files (a README, notes) do not count either.
    """
    total = hashlib.sha256()
    for name in sorted(contents):
        content = contents[name].removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()
