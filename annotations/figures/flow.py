"""Who came, how far they got: a CONSORT-style chart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annotations.figures.style import GREY, blank

# Down the chart: a step, and the ways out between it and the next one.
STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("entered", ("declined", "left before consent")),
    ("consented", ("withdrawn", "left before the last shot")),
    ("few-shot done", ("left before the first judgment",)),
    ("at least one judgment", ("left after the first judgment", "under way")),
    ("completed", ()),
)
SPOKEN = {"few-shot done": "choices given", "at least one judgment": "judged at least one pair"}
MIDDLE, SIDE = 0.27, 0.77
EXCLUDED = "excluded by "


def flow_chart(counts: Mapping[str, int]) -> Figure | None:
    """counts: step -> people, as the table `flow` has them of one group. None where nobody entered."""
    if not counts.get("entered"):
        return None
    chart, axes = blank(0.76 * len(STEPS))
    axes.set(xlim=(0, 1), ylim=(-(len(STEPS) - 1) - 0.55, 0.45))
    axes.axis("off")
    for place, (step, ways) in enumerate(STEPS):
        _box(axes, MIDDLE, -place, f"{SPOKEN.get(step, step)}\nn = {counts.get(step, 0):,}", "#eaf3f9")
        if place < len(STEPS) - 1:
            _arrow(axes, (MIDDLE, -place - 0.27), (MIDDLE, -place - 0.73))
        out = [f"{way}: {counts[way]:,}" for way in ways if counts.get(way)]
        if out:
            _arrow(axes, (MIDDLE, -place - 0.5), (SIDE - 0.22, -place - 0.5))
            _box(axes, SIDE, -place - 0.5, "\n".join(out), "white")
    rules = [f"{rule.removeprefix(EXCLUDED)}: {n:,}" for rule, n in counts.items() if rule.startswith(EXCLUDED) and n]
    if rules:
        _box(axes, SIDE, -(len(STEPS) - 1) - 0.1, "left out by a rule\n" + "\n".join(rules), "white")
    return chart


def _box(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    look: dict[str, Any] = {"boxstyle": "square,pad=0.45", "facecolor": colour, "edgecolor": GREY, "linewidth": 0.6}
    axes.text(x, y, text, ha="center", va="center", fontsize=6.5, bbox=look, zorder=3)


def _arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "linewidth": 0.6, "shrinkA": 0})
