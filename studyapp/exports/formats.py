"""Rows to bytes: CSV for spreadsheets and R, JSONL for programs. The same data gives the same bytes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, TextIO

MISSING = "NA"
# A spreadsheet runs a cell that starts so as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def cell(value: Any) -> str:
    """A CSV cell: NA for missing, ISO-8601 UTC times, true/false, JSON for lists; formulas are defused by a quote."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, (datetime, date)):
        return _iso(value)
    if isinstance(value, (list, dict)):
        value = json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = str(value).replace("\x00", "")
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text == MISSING else text


def _iso(value: datetime | date) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value.isoformat()


def write_csv(out: TextIO, header: list[str], rows: Iterable[dict[str, Any]]) -> int:
    """Write CSV with a header line and quoted newlines; returns the number of rows."""
    writer = csv.writer(out, lineterminator="\r\n")  # RFC 4180; also makes the writer quote a bare CR
    writer.writerow(header)
    count = 0
    for row in rows:
        writer.writerow([cell(row[name]) for name in header])
        count += 1
    return count


def write_jsonl(out: TextIO, header: list[str], rows: Iterable[dict[str, Any]]) -> int:
    """Write one JSON object a line with every column; returns the number of rows."""
    count = 0
    for row in rows:
        out.write(json.dumps({name: row[name] for name in header}, ensure_ascii=False, default=_iso) + "\n")
        count += 1
    return count
