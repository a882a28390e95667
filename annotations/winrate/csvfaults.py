"""Every fault of a CSV file of judgments, with its line: the exact reading of a file that the fast one refused."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from annotations.winrate.csvrules import (
    MISSING,
    NEEDED,
    NUMBERS,
    OUTCOMES,
    RIGHT,
    TEXTS,
    TREATMENT,
    fault_in_header,
    sound_number,
    sound_text,
)

SHORT = 60
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a line (from 1, the header's is 1) and what to do."""

    line: int
    what: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}"


def faults_of(path: Path) -> list[Fault]:
    """Every fault, in the order of lines; never empty: a file without rows has one too."""
    try:
        content = path.read_bytes()
    except OSError as error:
        return [Fault(1, f"cannot be read ({error.strerror}); check the path")]
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return [Fault(line, f"is not UTF-8 (byte 0x{content[error.start]:02x}); save the file as UTF-8")]
    if "\0" in text:
        return [Fault(text.count("\n", 0, text.index("\0")) + 1, "holds a null byte; save the file as UTF-8 text")]
    return list(_in_text(text)) or [Fault(1, "cannot be read as CSV; save it with commas and one header line")]


def _in_text(text: str) -> Iterator[Fault]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, None)
        if not header:
            yield Fault(1, "is empty; the first line names the columns")
            return
        if fault := fault_in_header(header):
            yield Fault(1, fault)
            return
        yield from _in_rows(reader, header)
    except csv.Error as error:
        yield Fault(reader.line_num, f"is no CSV ({error}); close every quote and double those inside a value")


def _in_rows(reader: Iterator[list[str]], header: Sequence[str]) -> Iterator[Fault]:
    seen: dict[tuple[str, ...], int] = {}
    line, rows = 2, 0
    for cells in reader:
        at, line = line, int(getattr(reader, "line_num", line)) + 1
        if not cells:
            continue
        rows += 1
        if len(cells) != len(header):
            yield Fault(at, f"has {len(cells)} values, but the header {len(header)} columns; quote values with commas")
            continue
        row = dict(zip(header, cells, strict=True))
        yield from (Fault(at, what) for what in _in_row(row))
        key = _key(row)
        if key is not None and seen.setdefault(key, at) != at:
            yield Fault(at, f"repeats line {seen[key]} (same participant, question, arms and position); keep one")
    if not rows:
        yield Fault(2, "there are no judgments under the header; add one line for each")


def _in_row(row: Row) -> Iterator[str]:
    for name in TEXTS:
        if name in row and not sound_text(name, row[name]):
            yield _text_fault(name, row[name])
    for name in NUMBERS:
        if name in row and not sound_number(name, row[name]):
            yield f"{name} is {_shown(row[name])}; write {RIGHT[name]}, or leave it empty"
    outcome, void = row["outcome"], row.get("void") == "1"
    if void and outcome not in MISSING:
        yield f"outcome is {_shown(outcome)}, but void is 1; a void comparison has no outcome: leave it empty"
    if not void and outcome not in OUTCOMES:
        yield f"outcome is {_shown(outcome)}; write win, tie or loss (of the treatment)"
    yield from _arms_fault(row.get("treatment", TREATMENT), row["baseline"])


def _arms_fault(treatment: str, baseline: str) -> Iterator[str]:
    if treatment == baseline:
        yield f"compares {_shown(treatment)} with itself; treatment and baseline are two different arms"
    if ">" in treatment + baseline:
        yield 'an arm\'s name holds ">", which separates treatment and baseline; rename it'


def _text_fault(name: str, value: str) -> str:
    if not value.strip():
        return f"{name} is empty; write one, or remove the line"
    if value.strip() != value or "\n" in value or "\r" in value:
        return f"{name} is {_shown(value)}, with space or a line's end around or inside it; remove that"
    way = "write the real one, or remove the line" if name in NEEDED else "leave it empty where there is none"
    return f"{name} is {_shown(value)}, which stands for a missing value; {way}"


def _key(row: Row) -> tuple[str, ...] | None:
    """What tells a placed row from others; None without a position."""
    position = row.get("position", "")
    if position in MISSING or not sound_number("position", position):
        return None
    names = ("participant", "question", "treatment", "baseline")
    return (*(row.get(name, "") for name in names), str(int(float(position))))


def _shown(value: str) -> str:
    short = value if len(value) <= SHORT else value[:SHORT] + "..."
    return f'"{short}"'.replace("\n", "\\n").replace("\r", "\\r")
