"""docs/protocol.md, written from the models: `python -m studyapp.protocol.reference > docs/protocol.md`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from studyapp.protocol.asking import AttentionRow, CandidateRow, QuestionRow
from studyapp.protocol.availability import as_toml
from studyapp.protocol.estimate import (
    ELICIT_DECISION_S,
    JUDGE_DECISION_S,
    LONGEST_MINUTES,
    REASON_S,
    SPEEDS,
    USUAL_SPEED,
)
from studyapp.protocol.explain import tables_in
from studyapp.protocol.files import MAX_ROWS
from studyapp.protocol.model import Protocol
from studyapp.protocol.reading import LIMITS

SINCE = "0.1"
INTRODUCTION = f"""# The study protocol

A study is a folder: `study.toml`, `consent.md`, `instructions.md`, `debrief.md`, `questions.jsonl`,
`candidates.jsonl`, and where they are needed `attention.jsonl`, `calibration.jsonl` and `forms/*.toml`.
`manage.py study check FOLDER` prints every problem at once, each with its file, key or line, and remedy; then what the
study asks of people.

This page is written by `python -m studyapp.protocol.reference` from the models that check the folder; a test holds them
together. *Since* is the version from which a key can be used: a key "not yet" built is checked, warned about by `check`
while it is not at its default, and refused by `load` and `open`. Unknown keys are errors.

- Text files are UTF-8; a byte order mark and the line ends of Windows do not matter. Largest sizes: TOML
  {LIMITS['.toml'] // 1024} KiB, Markdown {LIMITS['.md'] // 1024} KiB, JSONL {LIMITS['.jsonl'] // 1024**2} MiB and
  {MAX_ROWS:,} rows. Control characters and bidirectional overrides are refused in every text.
- Keys of services and base URLs stand in the environment of the workers, never in a protocol. Code that comes with a
  model is never run.
- The hash that freezes a study covers all these files and no others: SHA-256 over each name, a NUL, the length of the
  content, a NUL and the content, in order of name, with byte order marks left out and CRLF written as LF.
- Words are counted between white space. `words = [60, 120]` includes both ends.
- A comparison is named `treatment>baseline`. An exit is a completion code (letters, digits, `-`, `_`) or an https
  address, in which `{{participant}}` and `{{session}}` are filled in.
- `check` estimates minutes as words to read at {SPEEDS[0]}, {SPEEDS[1]} and {SPEEDS[2]} words a minute, with
  {ELICIT_DECISION_S} seconds to decide a labelled pair and {JUDGE_DECISION_S} a judged one, {REASON_S["optional"]} more
  where a reason may and {REASON_S["required"]} more where it must be given. It warns over {LONGEST_MINUTES} minutes at
  {USUAL_SPEED}.
"""


def reference() -> str:
    """The whole page."""
    blocks = [INTRODUCTION.rstrip()]
    blocks.extend(_section(table, later) for table, later in _tables(Protocol))
    blocks.extend(_section(table) for table in (QuestionRow, CandidateRow, AttentionRow))
    return "\n\n".join(blocks) + "\n"


def _tables(table: type[BaseModel], later: bool = False) -> Iterator[tuple[type[BaseModel], bool]]:
    """A table and, in the order of its keys, the tables in it; each with whether it is for later as a whole."""
    yield table, later
    for field in table.model_fields.values():
        extra = field.json_schema_extra
        inner_later = later or (isinstance(extra, dict) and bool(extra.get("later")))
        for inner in tables_in(field.annotation):
            yield from _tables(inner, inner_later)


def _section(table: type[BaseModel], later: bool = False) -> str:
    documentation = (table.__doc__ or "").strip().split("\n")[0]
    title, _, about = documentation.partition(": ")
    heading = f"## `{title}`\n\n{about[:1].upper()}{about[1:]}" if about else f"## `study.toml`\n\n{documentation}"
    schema = table.model_json_schema()
    lines = [f"{heading}\n", "| key | type | default | since | meaning |", "|---|---|---|---|---|"]
    required = schema.get("required", [])
    tables = schema.get("$defs", {})
    for name, entry in schema["properties"].items():
        default = "required" if name in required else _default(entry.get("default"))
        since = "not yet" if later else _since(entry)
        cells = (f"`{name}`", _type(entry, tables), default, since, entry["description"])
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines)


def _default(value: Any) -> str:
    if value is None or value == "" or isinstance(value, dict):
        return "none" if not isinstance(value, dict) else "see there"
    return f"`{as_toml(value)}`"


def _since(entry: dict[str, Any]) -> str:
    if entry.get("later"):
        return "not yet"
    built = entry.get("built")
    return f"{SINCE} (only {', '.join(f'`{value}`' for value in built)})" if built else SINCE


def _type(entry: dict[str, Any], tables: dict[str, Any]) -> str:
    if "$ref" in entry:
        return "table"
    if "anyOf" in entry:
        return " or ".join(_type(part, tables) for part in entry["anyOf"] if part.get("type") != "null")
    if "enum" in entry or "const" in entry:
        values = entry.get("enum", [entry.get("const")])
        return ", ".join(f"`{as_toml(value)}`" for value in values)
    kind = entry.get("type")
    if kind == "array":
        return _list_type(entry, tables)
    if kind == "object":
        inner = entry.get("additionalProperties")
        return f"table of {_type(inner, tables)}" if isinstance(inner, dict) else "table"
    names = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true`, `false`"}
    return f"{names.get(str(kind), 'any')}{_range(entry)}"


def _list_type(entry: dict[str, Any], tables: dict[str, Any]) -> str:
    if "prefixItems" in entry:
        return "`[smallest, largest]`"
    return f"list of {_type(entry['items'], tables)}"


def _range(entry: dict[str, Any]) -> str:
    if "maxLength" in entry:
        return f", {entry['maxLength']} characters at most"
    if "pattern" in entry or entry.get("type") == "string":
        return ""
    bounds = [
        f"{sign} {entry[name]:g}"
        for name, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"), ("exclusiveMaximum", "<"))
        if name in entry and abs(entry[name]) < 2**31 - 1
    ]
    return f" {', '.join(bounds)}" if bounds else ""


if __name__ == "__main__":
    print(reference(), end="")
