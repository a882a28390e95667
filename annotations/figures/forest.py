"""Win rates with their intervals and n, one line a comparison or scope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from annotations.figures.style import BLUE, GREY, blank, one_half, point
from annotations.winrate.tabular import headline

LONGEST = 24  # characters of a label
LINE = 0.36  # inches


def forest(rows: Sequence[Mapping[str, Any]]) -> Figure | None:
    """rows: of the win-rate table, in the order of drawing. Lines without a win rate say "no data"; None without any
    line that has one."""
    if not any(row["win_rate"] is not None for row in rows):
        return None
    chart, axes = blank(0.55 + LINE * len(rows))
    heights = list(range(len(rows)))[::-1]
    for row, height in zip(rows, heights, strict=True):
        if row["win_rate"] is not None:
            whole = row["scope"] == "all"
            look = {"color": BLUE if whole else GREY, "fmt": "o" if whole else "s", "markersize": 4.5 if whole else 3.5}
            point(axes, row["win_rate"], height, headline(row), **look)
    axes.set_yticks(heights, [_label(row) for row in rows], fontsize=7, linespacing=1.2)
    axes.tick_params(axis="y", length=0)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4), xlabel=f"win rate, {rows[0]['ci_level']:.0%} interval")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", ".25", ".5", ".75", "1"])
    one_half(axes, across=False)
    beside = axes.twinx()
    beside.set_yticks(heights, [_number(row) for row in rows], fontsize=7)
    beside.tick_params(axis="y", length=0)
    beside.set_ylim(axes.get_ylim())
    beside.spines[:].set_visible(False)
    return chart


def _label(row: Mapping[str, Any]) -> str:
    name = f"{row['focal']} > {row['baseline']}" if row["scope"] == "all" else str(row["scope_value"])
    name = name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"
    return f"{name}\n{row['n_participants']:,} people, {row['n_judgments']:,} pairs"


def _number(row: Mapping[str, Any]) -> str:
    if row["win_rate"] is None:
        return "no data"
    reach = headline(row)
    shown = "no interval" if reach is None else f"[{reach[0]:.2f}, {reach[1]:.2f}]"
    return f"{row['win_rate']:.2f} {shown}"
