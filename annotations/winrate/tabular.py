"""Rows of plain values as text, CSV, JSON and LaTeX; every column in order, whatever the rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

NONE = "-"
MISSING = "NA"
Rows = Sequence[Mapping[str, Any]]
LATEX = {
    "\\": r"\textbackslash{}", "_": r"\_", "%": r"\%", "&": r"\&", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", ">": r"\textgreater{}", "<": r"\textless{}",
    "≥": r"$\geq$", "≤": r"$\leq$", "≠": r"$\neq$",
}  # fmt: skip
LATEX_HEAD = ("Set", "Comparison", "Scope", "People", "Judgments", "W/T/L", "Win rate", "Interval", "$p$ (Holm)")


def as_json(rows: Rows) -> str:
    """A JSON list."""
    return json.dumps(list(rows), indent=2, allow_nan=False)


def as_csv(rows: Rows, columns: Sequence[str]) -> str:
    """A header line and a line a row: NA for missing, lists and objects as JSON, floats in full."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_csv_cell(row[name]) for name in columns])
    return out.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool | list | dict):
        return json.dumps(value)
    text = repr(value) if isinstance(value, float) else str(value)
    return "'" + text if isinstance(value, str) and text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def as_text(rows: Rows, columns: Sequence[str]) -> str:
    """Aligned columns for people; a column in which nothing stands is left out."""
    if not rows:
        return "None.\n"
    used = [name for name in columns if any(row[name] not in (None, [], {}, "") for row in rows)]
    lines = [used, *([_text_cell(row[name]) for name in used] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(used))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    body.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(body) + "\n"


def _text_cell(value: Any) -> str:
    if value is None or value == [] or value == {}:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() and abs(value) >= 1 else f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)


def as_latex(rows: Rows) -> str:
    """The win-rate table for print (booktabs): headline interval and n beside every rate."""
    lines = [
        r"\begin{tabular}{lllrrlrlr}",
        r"\toprule",
        " & ".join(LATEX_HEAD) + r" \\",
        r"\midrule",
        *(" & ".join(_latex_cells(row)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def headline(row: Mapping[str, Any]) -> tuple[float, float] | None:
    """The headline interval (low, high) of a row of the win-rate table; None where there is none."""
    crossed = row["headline_ci"] == "two_way"
    low, high = (row["ci_twoway_low"], row["ci_twoway_high"]) if crossed else (row["ci_low"], row["ci_high"])
    return None if low is None or high is None else (low, high)


def _latex_cells(row: Mapping[str, Any]) -> list[str]:
    reach = headline(row)
    scope = row["scope"] if row["scope_value"] is None else f"{row['scope']}: {row['scope_value']}"
    p = row["p_holm"]
    return [
        latex_escaped(row["analysis_set"]),
        latex_escaped(f"{row['focal']} > {row['baseline']}"),
        latex_escaped(scope),
        str(row["n_participants"]),
        str(row["n_judgments"]),
        f"{row['wins']}/{row['ties']}/{row['losses']}",
        "--" if row["win_rate"] is None else f"{row['win_rate']:.3f}",
        "--" if reach is None else f"[{reach[0]:.3f}, {reach[1]:.3f}]",
        "--" if p is None else r"$<$.0001" if p < 0.0001 else f"{p:.4f}",
    ]


def latex_escaped(text: str) -> str:
    """The text as LaTeX prints it, whatever characters it has."""
    return "".join(LATEX.get(character, character) for character in text)
