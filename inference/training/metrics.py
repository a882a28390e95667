"""`metrics.jsonl` as a figure: the loss of every stage, and of preference stages margin and accuracy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

PANELS = (
    ("loss", "loss", "eval_loss"),
    ("reward margin", "rewards/margins", "eval_rewards/margins"),
    ("accuracy", "rewards/accuracies", "eval_rewards/accuracies"),
)
INK = ("#0072B2", "#D55E00")  # training, held-out users: told apart by colour-blind people, and by their marks


def read(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Stage -> its lines, in the order of the file. A line that breaks off (a killed run) is left out."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        stages.setdefault(line["stage"], []).append(line)
    return stages


def draw(path: Path, target: Path) -> None:
    """One row of panels a stage; a panel that a stage has no figures for stays away."""
    stages = read(path)
    figure, axes = pyplot.subplots(len(stages), 3, figsize=(9, 2.2 * len(stages)), squeeze=False, layout="constrained")
    for row, (stage, lines) in zip(axes, stages.items(), strict=True):
        for axis, (title, *names) in zip(row, PANELS, strict=True):
            shown = [_line(axis, lines, name, style) for name, style in zip(names, ("-", "o--"), strict=True)]
            axis.set_visible(any(shown))
            axis.set_title(f"{stage}: {title}", fontsize=8)
            axis.set_xlabel("step", fontsize=7)
            axis.tick_params(labelsize=7)
    axes[0][0].legend(["training", "held-out users"][: len(axes[0][0].lines)], fontsize=7, frameon=False)
    figure.savefig(target, dpi=150)
    pyplot.close(figure)


def _line(axis: Any, lines: list[dict[str, Any]], name: str, style: str) -> bool:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        axis.plot(*zip(*points, strict=True), style, color=INK[style != "-"], markersize=3, linewidth=1)
    return bool(points)
