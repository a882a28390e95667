"""Bytes to values: files of a study folder read within stated limits, with every fault as a `Problem`."""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from studyapp.protocol.problem import Problem

MIB = 1024 * 1024
LIMITS = {".toml": MIB // 4, ".md": MIB, ".jsonl": 20 * MIB}
# A key of so many parts is no protocol, and the TOML parser needs quadratic time for it.
_DEEP_KEY = re.compile(r"""(?<![\w-])(?>(?:"[^"\n]*"|'[^'\n]*'|[\w-]++)[ \t]*+\.[ \t]*+){64}""")
_LINE = re.compile(r"\(at line (\d+), column (\d+)\)")


class Refused(ValueError):
    """A value that JSON or TOML can spell and a study cannot use."""


def read_bytes(folder: Path, name: str) -> tuple[bytes | None, Problem | None]:
    """The bytes of a file of the folder; None and a problem when it cannot be read, None and None when absent."""
    path, limit = folder / name, LIMITS[Path(name).suffix]
    try:
        if not path.is_symlink() and not path.exists():
            return None, None
        if not path.resolve(strict=True).is_relative_to(folder.resolve(strict=True)):
            return None, Problem(name, "", "points outside the study folder", "put the file itself into the folder")
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            return None, Problem(name, "", "is not a file", f"put a text file called {name} there")
        if status.st_size > limit:
            return None, _too_large(name, status.st_size, limit)
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except (OSError, RuntimeError, ValueError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else "it cannot be opened"
        return None, Problem(name, "", f"cannot be read ({reason})", "make it a readable file of the study folder")
    return (None, _too_large(name, len(content), limit)) if len(content) > limit else (content, None)


def _too_large(name: str, size: int, limit: int) -> Problem:
    return Problem(name, "", f"has {size:,} bytes, the limit is {limit:,}", "make it smaller or split the study")


def decode(name: str, content: bytes) -> tuple[str | None, Problem | None]:
    """UTF-8 text without byte order mark and with plain line ends."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"is not UTF-8 (byte 0x{content[error.start]:02x})"
        return None, Problem(name, f"line {line}", what, "save the file as UTF-8")
    text = text.replace("\r\n", "\n")
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        return None, Problem(name, f"line {line}", "holds a NUL character", "save the file as plain text")
    return text, None


def parse_toml(name: str, text: str) -> tuple[dict[str, Any] | None, Problem | None]:
    """The tables of a TOML file."""
    too_deep = Problem(name, "", "is nested too deeply", "a protocol needs three levels at most")
    if _DEEP_KEY.search(text):
        return None, too_deep
    try:
        return tomllib.loads(text), None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _LINE.search(message)
        where = f"line {place[1]}, column {place[2]}" if place else "last line"
        what = _LINE.sub("", message.replace("(at end of document)", "")).strip().rstrip(".")
        return None, Problem(name, where, f"is not valid TOML ({what})", "correct the line; texts stand in quotes")
    except RecursionError:
        return None, too_deep
    except (ValueError, OverflowError):
        return None, Problem(name, "", "holds a number or date that no program can use", "write a smaller number")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Refused(f"has the key {name[:40]!r} twice")
        values[name] = value
    return values


def _no_constant(name: str) -> Any:
    raise Refused(f"holds {name}, which is not a number")


def parse_line(line: str) -> tuple[dict[str, Any] | None, str, str]:
    """A JSONL line as (object, "", "") or (None, what is wrong, remedy)."""
    remedy = 'write one object a line, like {"id": "q1", ...}'
    try:
        row = json.loads(line, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        return None, f"is not valid JSON (column {error.colno}: {error.msg})", remedy
    except Refused as error:
        return None, str(error), "correct the line"
    except RecursionError:
        return None, "is nested too deeply", remedy
    except ValueError:
        return None, "holds a number that no program can use", "write a smaller number"
    if not isinstance(row, dict):
        return None, "is not an object", remedy
    return row, "", ""
