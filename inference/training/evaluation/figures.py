"""Figures for a column of text: win rates by arm, by domain and by number of shots, as SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inference.training.evaluation.arms import ARMS, BASE, CONTROLS
from inference.training.evaluation.ceiling import IDEAL
from inference.training.evaluation.interval import Estimate
from inference.training.evaluation.measures import Measures, ceiling_name
from inference.training.evaluation.people import MAIN
from inference.world import DOMAINS

# Okabe and Ito's palette: told apart with any colour vision; markers differ too.
COLOURS = ("#0072B2", "#D55E00", "#009E73")
MARKERS = ("o", "s", "^")
GREY = "#6b6b6b"
WIDTH = 3.5  # inches: one column
STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "svg.hashsalt": "palate",  # the same figure is the same file
    "svg.fonttype": "none",
}
LABELS = {
    "prompted": "few-shot prompting",
    "pref-ft": "few-shot Pref-FT",
    "population": "population IPO",
    "fspo": "FSPO",
    "fspo+rat": "FSPO + RAT",
    "oracle": "oracle description",
    "donor": "donor's shots",
    "flipped": "labels flipped",
}


def by_arm(measures: Measures, shots: int) -> Figure | None:
    """The mean of the domains by arm, each with the ideal observer's mark; None without any."""
    arms = [arm for arm in ARMS.values() if arm.name != BASE]
    lines = [(arm, measures.rate(MAIN, arm.shown(shots))) for arm in arms]
    drawn = [(arm, rate) for arm, rate in lines if rate is not None][::-1]
    if not drawn:
        return None
    chart, axes = _axes(0.7 + 0.26 * len(drawn))
    for height, (arm, rate) in enumerate(drawn):
        colour = GREY if arm.name in CONTROLS else COLOURS[0]
        _dot(axes, rate, height, colour, "o", across=True)
        ideal = measures.rate(MAIN, ceiling_name(arm.shown(shots)))
        if ideal is not None and arm.name not in CONTROLS:
            axes.plot([100 * ideal.value], [height], "|", color="black", markersize=9, label="ideal observer")
    axes.set_yticks(range(len(drawn)), [LABELS[arm.name] for arm, _ in drawn])
    axes.axvline(50, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.6, len(drawn) - 0.4)
    axes.set_xlabel(f"win rate against base, mean of domains, %\n(n = {drawn[-1][1].n:,} each)")
    _legend(axes, 1)
    return chart


def by_domain(measures: Measures, shots: int) -> Figure | None:
    """Each arm in each domain; None without any."""
    arms = [arm for arm in ARMS.values() if arm.name not in (BASE, *CONTROLS)]
    arms = [a for a in arms if any(measures.rate(MAIN, a.shown(shots), domain) for domain in DOMAINS)][::-1]
    if not arms:
        return None
    chart, axes = _axes(0.9 + 0.36 * len(arms))
    for number, domain in enumerate(DOMAINS):
        for height, arm in enumerate(arms):
            rate = measures.rate(MAIN, arm.shown(shots), domain)
            if rate is not None:
                at = height + 0.22 * (1 - number)
                _dot(axes, rate, at, COLOURS[number], MARKERS[number], across=True, label=f"{domain} (n = {rate.n:,})")
                ideal = measures.rate(MAIN, ceiling_name(arm.shown(shots)), domain)
                if ideal is not None:
                    axes.plot([100 * ideal.value], [at], "|", color="black", markersize=6, label="ideal observer")
    axes.set_yticks(range(len(arms)), [LABELS[arm.name] for arm in arms])
    axes.axvline(50, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_xlim(0, 100)
    axes.set_xlabel("win rate against base, %")
    _legend(axes, 2)
    return chart


def by_shots(measures: Measures, curve: Sequence[int]) -> Figure | None:
    """FSPO (solid) and the ideal observer (dashed) by number of shots and domain; None without any."""
    chart, axes = _axes(2.9)
    drawn = False
    for number, domain in enumerate(DOMAINS):
        for name, line in (("fspo", "-"), (IDEAL, "--")):
            points = [(at, measures.rate(MAIN, f"{name}@{count}", domain)) for at, count in enumerate(curve)]
            there = [(at, rate) for at, rate in points if rate is not None]
            if not there:
                continue
            drawn = True
            label = f"{domain} (n = {there[0][1].n:,})" if name == "fspo" else "ideal observer"
            places, values = [at for at, _ in there], [100 * rate.value for _, rate in there]
            axes.plot(places, values, line, color=COLOURS[number], linewidth=1.0 if line == "-" else 0.8)
            if name == "fspo":
                for at, rate in there:
                    _dot(axes, rate, at + 0.06 * (number - 1), COLOURS[number], MARKERS[number], label=label)
    if not drawn:
        return None
    axes.plot([], [], "--", color=GREY, linewidth=0.8, label="ideal observer, same shots")
    axes.axhline(50, color=GREY, linewidth=0.6, linestyle=":")
    axes.set_xticks(range(len(curve)), [str(count) for count in curve])
    axes.set_xlabel("shots")
    axes.set_ylabel("win rate against base, %")
    axes.set_ylim(30, 101)
    _legend(axes, 2)
    return chart


def save(chart: Figure, folder: Path, name: str) -> None:
    """Write SVG and PNG into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        chart.savefig(folder / f"{name}.svg", metadata={"Date": None})
        chart.savefig(folder / f"{name}.png", dpi=200, metadata={"Software": None})


def _axes(height: float) -> tuple[Figure, Axes]:
    with mpl.rc_context(STYLE):
        chart = Figure(figsize=(WIDTH, height + 0.35), layout="constrained")
        return chart, chart.subplots()


def _dot(
    axes: Axes, rate: Estimate, at: float, colour: str, marker: str, *, across: bool = False, label: str = ""
) -> None:
    value = 100 * rate.value
    reach = None if rate.low is None or rate.high is None else [[value - 100 * rate.low], [100 * rate.high - value]]
    place: dict[str, Any] = {"x": [at], "y": [value], "yerr": reach}
    if across:
        place = {"x": [value], "y": [at], "xerr": reach}
    axes.errorbar(
        **place,
        fmt=marker,
        color=colour,
        markersize=3.6,
        elinewidth=0.9,
        capsize=1.6,
        label=label or None,
    )


def _legend(axes: Axes, columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    chart = axes.get_figure()
    if once and isinstance(chart, Figure):
        chart.legend(
            once.values(),
            once.keys(),
            loc="outside upper center",
            ncols=columns,
            fontsize=7,
            frameon=False,
            handlelength=1.5,
        )
