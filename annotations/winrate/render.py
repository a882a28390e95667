"""The table for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from annotations.winrate.rows import Row

HEADER = (
    "comparison", "scope", "people", "judgments", "W/T/L", "win rate", "interval", "by", "these questions only",
    "p (Holm)", "decisive", "flags",
)  # fmt: skip
NONE = "-"


def to_json(rows: Sequence[Row]) -> str:
    """A JSON list of rows, every column in order, null where not available."""
    return json.dumps([row.to_json() for row in rows], indent=2, allow_nan=False)


def render_table(rows: Sequence[Row]) -> str:
    """A text table: headline interval beside every win rate, its n, and the flags; one line a row."""
    if not rows:
        return "No comparisons.\n"
    lines = [HEADER, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    body = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    body.insert(1, "  ".join("-" * width for width in widths))
    level = f"{rows[0].ci_level:.0%}"
    note = (
        f"Win rate: a tie counts one half. Interval: {level}, clustered by participant (CR2, Satterthwaite t, logit "
        "scale);\ntwo_way: by question as well. These questions only: by participant alone.\n"
    )
    return "\n".join(body) + "\n\n" + note


def _cells(row: Row) -> tuple[str, ...]:
    interval = row.headline
    return (
        f"{row.focal} > {row.baseline}",
        row.scope if row.scope_value is None else f"{row.scope}: {row.scope_value}",
        str(row.n_participants),
        str(row.n_judgments),
        f"{row.wins}/{row.ties}/{row.losses}",
        _rate(row.win_rate),
        _interval(interval),
        NONE if interval is None else row.headline_ci,
        _interval(row.participant_interval),
        NONE if row.p_holm is None else _p(row.p_holm),
        NONE if row.win_rate_decisive is None else f"{_rate(row.win_rate_decisive)} (n={row.n_decisive})",
        ", ".join(row.flags),
    )


def _interval(interval: tuple[float, float] | None) -> str:
    return NONE if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]"


def _rate(value: float | None) -> str:
    return NONE if value is None else f"{value:.3f}"


def _p(value: float) -> str:
    return "<.0001" if value < 0.0001 else f"{value:.4f}"
