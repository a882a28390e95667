"""The analysis of judgments collected elsewhere: the same tables as a study's, as far as a CSV file can fill them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from annotations.winrate.analysis import beside
from annotations.winrate.csvfile import read_csv
from annotations.winrate.rows import Headline, Scope
from annotations.winrate.tables import table

SET = "itt"


def collected_tables(
    path: Path,
    *,
    by: Scope | None = None,
    alpha: float = 0.05,
    margin: float | None = None,
    sesoi: float | None = None,
    interval: Headline = "two_way",
    rates_only: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """rates, primary, margins, contrasts, measures, abilities, people; every comparison of the file is primary.

    Raises `CsvError` for a file that cannot be used.
    """
    found = read_csv(path)
    rows = table(
        found.judgments,
        comparisons=found.comparisons,
        primary=found.comparisons,
        scopes=("all", by) if by else ("all",),
        planned=found.plan,
        alpha=alpha,
        interval=interval,
    )
    rates = [row.to_json() for row in rows]
    if rates_only:
        return {"rates": rates}
    more = beside(
        found.judgments,
        rows,
        found.comparisons,
        found.comparisons,
        alpha=alpha,
        interval=interval,
        margin=margin,
        sesoi=sesoi,
    )
    return {
        "rates": rates,
        **{
            name: [{"analysis_set": SET, **row.to_json()} for row in getattr(more, name)]
            for name in ("primary", "margins", "contrasts", "measures", "abilities", "people")
        },
    }
