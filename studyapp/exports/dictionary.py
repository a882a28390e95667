"""The data dictionary, from the columns themselves: for a release, for Psych-DS, and for docs/exports.md."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from textwrap import fill
from typing import Any

from studyapp.exports.columns import Column, Table
from studyapp.exports.tables import TABLES

SINCE = "0.1"
HEADER = ("table", "column", "type", "unit", "values", "masked", "privacy", "since", "meaning")


def entries(tables: Iterable[Table] = TABLES) -> list[dict[str, str]]:
    """One entry a column, in order, with every key of `HEADER`."""
    return [_entry(table, column) for table in tables for column in table.columns]


def _entry(table: Table, column: Column) -> dict[str, str]:
    return {
        "table": table.name,
        "column": column.name,
        "type": column.kind,
        "unit": column.unit,
        "values": " | ".join(column.values),
        "masked": column.masks,
        "privacy": column.privacy,
        "since": SINCE,
        "meaning": column.meaning,
    }


def as_csv(tables: Iterable[Table]) -> str:
    """The dictionary as CSV with a header line."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, HEADER, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(entries(tables))
    return out.getvalue()


def as_markdown(table: Table) -> str:
    """A table's section of docs/exports.md and of a release's README."""
    lines = ["| column | type | masked | meaning |", "|---|---|---|---|"]
    lines += [f"| `{c.name}` | {c.kind} | {f'{c.masks} ' * bool(c.masks)}| {c.meaning} |" for c in table.columns]
    return f"## {table.name}\n\n{fill(table.about, 120)}\n\n" + "\n".join(lines) + "\n"


def variables(table: Table) -> list[dict[str, Any]]:
    """A table's columns as schema.org's PropertyValue, for Psych-DS."""
    return [_variable(column) for column in table.columns]


def _variable(column: Column) -> dict[str, Any]:
    found: dict[str, Any] = {"@type": "PropertyValue", "name": column.name, "description": column.meaning}
    if column.unit:
        found["unitText"] = column.unit
    if column.values:
        found["valueReference"] = list(column.values)
    return found
