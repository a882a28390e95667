"""The smallest cells over what a release says of people: how few share a description.

A person who is alone, or nearly, with a combination of values can be found again by somebody who knows the values.
"""

from __future__ import annotations

import csv
from itertools import combinations
from pathlib import Path
from typing import Any

from django.db.models import Count

from studyapp.models import Participant, Study

NAME = "results/smallest_cells.csv"
# What is known of people beside their choices. Answers to forms join it when there are forms.
DEMOGRAPHICS = ("panel", "device")
SMALL = 5
HEADER = ("variables", "values", "simulated", "people", "small")


def cells(study: Study) -> list[dict[str, Any]]:
    """How many people share each value and each combination of values, fewest first; `small`: fewer than 5."""
    people = Participant.objects.filter(study=study).exclude(state=Participant.State.WITHDRAWN)
    found = []
    for width in range(1, len(DEMOGRAPHICS) + 1):
        for names in combinations(DEMOGRAPHICS, width):
            for row in people.values(*names, "simulated").annotate(n=Count("id")).order_by("n", *names, "simulated"):
                values = " x ".join(row[name] or "unknown" for name in names)
                told = (" x ".join(names), values, row["simulated"], row["n"], row["n"] < SMALL)
                found.append(dict(zip(HEADER, told, strict=True)))
    return sorted(found, key=lambda row: (row["people"], row["variables"], row["values"], row["simulated"]))


def write(study: Study, place: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Write the report; returns its path and its rows."""
    path, rows = place / NAME, cells(study)
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, HEADER, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows({**row, **{n: str(row[n]).lower() for n in ("simulated", "small")}} for row in rows)
    return path, rows
