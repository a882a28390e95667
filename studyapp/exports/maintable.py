"""The main table of an unblinded release: every win rate, over all questions and by domain."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from django.db.models import Max

from annotations.models import Judgment
from studyapp.exports.columns import iso
from studyapp.exports.formats import MISSING, cell
from studyapp.models import Study

NAME = "results/win_rates.csv"


def write(study: Study, place: Path) -> tuple[Path, int]:
    """Write the table; its `data_cutoff` is the time of the last judgment, so that it follows from the data alone."""
    # Statistics take 100 MiB: they are loaded when the tables are written, and not where only those are wanted.
    from annotations.winrate import COLUMNS
    from studyapp.results import win_rates

    last = Judgment.objects.filter(participant__study=study).aggregate(last=Max("created_at"))["last"]
    rows = [{**row.to_json(), "data_cutoff": iso(last) if last else None} for row in win_rates(study, by="domain")]
    path = place / NAME
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        writer.writerows([_cell(row[name]) for name in COLUMNS] for row in rows)
    return path, len(rows)


def _cell(value: Any) -> Any:
    if value is None:
        return MISSING
    if isinstance(value, (list, tuple)):
        return " ".join(value)
    return cell(value) if isinstance(value, str) else value


def analysis(study: Study) -> dict[str, Any]:
    """What the table was made with: comparisons, the primary ones, level, headline interval, least df for a p-value."""
    spec = study.spec
    return {
        "comparisons": list(dict.fromkeys(comparison.name for comparison in spec.comparisons)),
        "primary": list(spec.primary),
        "alpha": spec.analysis.alpha,
        "interval": spec.analysis.interval,
        "min_df": spec.analysis.min_df,
    }
