"""The main number and the lines of the win-rate table, in words: the same in the report and on the site."""

from __future__ import annotations

from typing import Any

from annotations.winrate.tabular import headline
from studyapp.report.claims import meaning, verdict
from studyapp.report.evidence import Evidence, Row


def headline_of(evidence: Evidence) -> dict[str, Any]:
    """What a reader has to find first: the win rate of the main comparison, its interval, its n, what they mean."""
    row = evidence.rate()
    focal, baseline = evidence.main.split(">")
    return {
        "simulated": evidence.simulated,
        "focal": focal,
        "baseline": baseline,
        "level": f"{evidence.level:.0%}",
        "rate": _percent(row["win_rate"]) if row and row["win_rate"] is not None else None,
        "interval": [_percent(end) for end in headline(row) or ()] if row else [],
        "people": row["n_participants"] if row else 0,
        "judgments": row["n_judgments"] if row else 0,
        "crossed": row is not None and row["headline_ci"] == "two_way",
        "verdict": verdict(evidence),
        "meaning": meaning(evidence),
    }


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def rate_lines(evidence: Evidence) -> list[dict[str, Any]]:
    """Every win rate of every set, comparison and scope."""
    return [_line(row) for row in evidence.tables["rates"]]


def _line(row: Row) -> dict[str, Any]:
    interval = headline(row)
    name = f"{row['focal']} > {row['baseline']}"
    p = row["p_holm"]
    return {
        "set": row["analysis_set"],
        "name": name if row["scope"] == "all" else f"{name}, {row['scope_value']}",
        "whole": row["scope"] == "all",
        "rate": "no data" if row["win_rate"] is None else f"{row['win_rate']:.3f}",
        "interval": "" if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]",
        "people": row["n_participants"],
        "judgments": row["n_judgments"],
        "outcomes": " / ".join(f"{row[name]:,}" for name in ("wins", "ties", "losses")),
        "p": "" if p is None else "<.0001" if p < 0.0001 else f"{p:.4f}",
        "flags": ", ".join(row["flags"]),
    }
