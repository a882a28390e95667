"""The tables of results for people to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Any

from annotations.winrate import Row, render_table
from annotations.winrate.tabular import as_text
from studyapp.results.sets import SIMULATED_MARK
from studyapp.results.tables import TABLES

Rows = list[dict[str, Any]]
TITLES = {
    "rates": "Win rates",
    "primary": "Primary comparisons: Holm, and the fixed sequence in the protocol's order",
    "margins": "Against the margin and the smallest rate of interest (one-sided; not shown is never the opposite)",
    "contrasts": "Differences between win rates, and covariates (exploratory, unadjusted)",
    "measures": "Sides, length, strength, people (exploratory)",
    "abilities": "Log-abilities, clustered by participant",
    "people": "Everybody's own win rate",
    "reliability": "Reliability: repeated pairs, control pairs",
    "fidelity": "Personalisation fidelity: probes that never went into a context",
    "making": "Texts: tries, rejections and void pairs by arm",
    "flow": "Flow",
    "exclusions": "Exclusions: who is left out by which rule, with the evidence",
    "looks": "Looks before unblinding",
}
# Too long to print unasked: a row a person.
ON_REQUEST = ("people",)
KNOWN_SETS = {
    "itt": "intention to treat",
    "per_protocol": "per protocol",
}


def named_set(analysis_set: str) -> str:
    """An analysis set in words."""
    return KNOWN_SETS.get(analysis_set, f"without those left out by {analysis_set}")


def print_tables(found: dict[str, Rows], title: str, protocol_hash: str, wanted: str) -> str:
    """The table `wanted`, or with "all" every one that has rows."""
    blocks = []
    for name in TABLES:
        rows = found.get(name)
        if rows is None or wanted not in (name, "all") or (wanted == "all" and (not rows or name in ON_REQUEST)):
            continue
        blocks += list(_rates(rows, title, protocol_hash)) if name == "rates" else [_plain(name, rows)]
    return "\n".join(blocks)


def _plain(name: str, rows: Rows) -> str:
    return f"{TITLES[name]}\n\n{as_text(rows, TABLES[name])}"


def _rates(rows: Rows, title: str, protocol_hash: str) -> Iterator[str]:
    protocol = f", protocol {protocol_hash[:12]}" if protocol_hash else ""
    for analysis_set, group in groupby(rows, key=lambda row: str(row["analysis_set"])):
        table = render_table([Row(**{**row, "flags": tuple(row["flags"])}) for row in group])
        plain = analysis_set.removesuffix(SIMULATED_MARK)
        who = "SIMULATED participants" if plain != analysis_set else "participants"
        yield f"{title}: {who}, {named_set(plain)}{protocol}\n\n{table}"
