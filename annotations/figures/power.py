"""Power against the number of people, a line a planned win rate and correlation."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from annotations.figures.style import COLOURS, GREY, MARKERS, blank, legend_above
from annotations.winrate.power import Power

LINES = ("-", "--", ":", "-.")
WANTED = 0.8


def power_curves(rows: Sequence[Power]) -> Figure | None:
    """Colour and marker tell the win rate, the line the intraclass correlation; bars are two Monte Carlo standard
    errors. A line of its own for every number of items. None without rows."""
    if not rows:
        return None
    lines: dict[tuple[float, float, int], list[Power]] = {}
    for row in rows:
        lines.setdefault((row.win_rate, row.icc, row.items), []).append(row)
    rates, iccs, items = (sorted({key[place] for key in lines}) for place in range(3))
    chart, axes = blank(2.6 + 0.13 * ((len(lines) + 1) // 2))
    axes.axhline(WANTED, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
    for (rate, icc, each), found in lines.items():
        found = sorted(found, key=lambda row: row.participants)
        number = rates.index(rate)
        axes.errorbar(
            [row.participants for row in found],
            [row.power for row in found],
            yerr=[2 * row.mc_se for row in found],
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
            linestyle=LINES[(iccs.index(icc) + items.index(each)) % len(LINES)],
            markersize=3.5,
            linewidth=1.1,
            elinewidth=0.8,
            label=f"{rate:g}, {icc:g}" + (f", {each} items" if len(items) > 1 else ""),
        )
    axes.set(ylim=(0, 1.02), xlabel=_people(rows), ylabel="power")
    axes.set_xlim(0)
    legend_above(chart, axes, 2, "win rate, intraclass correlation by person")
    return chart


def _people(rows: Sequence[Power]) -> str:
    one = rows[0]
    asked = f", {one.questions} questions" if one.questions else ""
    return f"participants\n({one.repetitions:,} simulated studies each{asked})"
