"""Win rates of parts of the judgments side by side: by side, by difference in length, by number of shots."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from annotations.figures.style import GREY, blank, one_half, upright
from annotations.winrate.strata import Stratum


def by_side(strata: Sequence[Stratum]) -> Figure | None:
    """The win rate where the treatment stood first, where second; None without any."""
    drawn = [one for one in strata if one.measure.estimate is not None]
    if not drawn:
        return None
    chart, axes = blank(2.2)
    _points(axes, drawn)
    axes.set_xticks([one.at for one in drawn], [f"{one.name}\n{_n(one)}" for one in drawn], fontsize=7)
    axes.set_xlim(-0.6, len(drawn) - 0.4)
    return chart


def by_length(strata: Sequence[Stratum]) -> Figure | None:
    """The win rate by how many words longer the treatment's text was, each part at its median; None without two."""
    drawn = [one for one in strata if one.measure.estimate is not None]
    if len(drawn) < 2:
        return None
    chart, axes = blank(2.3)
    _points(axes, drawn)
    axes.axvline(0, color=GREY, linewidth=0.6, linestyle=":", zorder=0)
    smallest = min(one.measure.n for one in drawn)
    parts = f"({len(drawn)} parts of {smallest:,} or more pairs)"
    axes.set_xlabel(f"words of treatment minus baseline, median of a part\n{parts}")
    return chart


def by_shots(strata: Sequence[Stratum]) -> Figure | None:
    """The win rate by the number of choices in the treatment's context; None unless there are two numbers."""
    drawn = [one for one in strata if one.measure.estimate is not None]
    if len({one.at for one in drawn}) < 2:
        return None
    chart, axes = blank(2.3)
    _points(axes, drawn)
    axes.set_xticks([one.at for one in drawn], [f"{one.name}\n{_n(one)}" for one in drawn], fontsize=7)
    axes.margins(x=0.2)
    axes.set_xlabel("shots")
    return chart


def _points(axes: Axes, strata: Sequence[Stratum]) -> None:
    for one in strata:
        row = one.measure
        assert row.estimate is not None
        reach = None if row.ci_low is None or row.ci_high is None else (row.ci_low, row.ci_high)
        upright(axes, row.estimate, one.at, reach)
    one_half(axes, across=True)
    axes.set(ylim=(0, 1.02), ylabel="win rate")


def _n(one: Stratum) -> str:
    return f"{one.measure.n_participants:,} people\n{one.measure.n:,} pairs"
