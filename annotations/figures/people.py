"""How people's own win rates spread."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from annotations.figures.style import BLUE, GREY, VERMILION, blank, legend_above, one_half

STEP = 0.05


def own_rates(means: Sequence[float]) -> Figure | None:
    """Everybody's own win rate in one comparison (G,), counted in steps of .05; None without anybody."""
    if not means:
        return None
    chart, axes = blank(2.2)
    values = np.array(means, dtype=np.float64)
    parts = {"under one half": values[values < 0.5], "at": values[values == 0.5], "above": values[values > 0.5]}
    edges = np.arange(-STEP / 2, 1 + STEP, STEP)
    _, _, drawn = axes.hist(
        list(parts.values()),
        bins=edges.tolist(),
        stacked=True,
        color=[VERMILION, GREY, BLUE],
        label=[f"{name}: {len(part)}" for name, part in parts.items()],
        edgecolor="white",
        linewidth=0.5,
    )
    for bars, hatch in zip(drawn, ("////", "", ""), strict=True):
        for bar in bars:
            bar.set_hatch(hatch)
    one_half(axes, across=False)
    axes.set(xlim=(-0.04, 1.04), xlabel="a person's own win rate", ylabel=f"people (of {len(values):,})")
    axes.yaxis.get_major_locator().set_params(integer=True)
    legend_above(chart, axes, 3)
    return chart
