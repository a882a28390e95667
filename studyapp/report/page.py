"""The report as one page that needs nothing else: its style and its figures are inside, and there are no scripts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from studyapp.report.drawings import Drawing
from studyapp.report.evidence import Evidence, Row
from studyapp.report.headline import headline_of, rate_lines
from studyapp.report.methods import departures, methods
from studyapp.report.objections import answered
from studyapp.results.printing import ON_REQUEST, TITLES
from studyapp.results.tables import TABLES

# The report says that word only of what is shown to be so.
PLAIN_TITLES = {**TITLES, "fidelity": "Fidelity: probes that never went into a context"}
STYLE = Path(__file__).with_name("report.css")
PERSONAL = ("people", "exclusions")  # a row a person: not for a page that travels


def page(evidence: Evidence, figures: Mapping[str, Drawing]) -> str:
    """The HTML of the report."""
    context = {
        **headline_of(evidence),
        "study": evidence.study,
        "rates": rate_lines(evidence),
        "figures": {name: _figure(one) for name, one in figures.items()},
        "answers": answered(evidence),
        "methods": methods(evidence),
        "departures": departures(evidence),
        "looks": evidence.tables["looks"],
        "tables": _tables(evidence),
        "style": mark_safe(STYLE.read_text(encoding="utf-8")),
    }
    return render_to_string("report/report.html", context)


def _figure(one: Drawing) -> dict[str, str]:
    # matplotlib escapes what it writes; nothing else comes in here
    return {"caption": one.caption, "svg": mark_safe(one.svg)}


def _tables(evidence: Evidence) -> list[dict[str, Any]]:
    """Every other table that has rows, without those that have one a person."""
    shown = {name: _used(rows, TABLES[name]) for name, rows in evidence.tables.items() if rows}
    return [
        {"title": PLAIN_TITLES[name], "columns": used, "rows": [_cells(row, used) for row in evidence.tables[name]]}
        for name, used in shown.items()
        if name not in ("rates", *ON_REQUEST, *PERSONAL)
    ]


def _used(rows: Sequence[Row], columns: Sequence[str]) -> list[str]:
    return [name for name in columns if any(row[name] not in (None, "", [], {}) for row in rows)]


def _cells(row: Row, columns: Sequence[str]) -> list[str]:
    return [_cell(row[name]) for name in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {number}" for key, number in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
