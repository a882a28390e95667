"""What is measured of a synthesis, as JSON, as a Markdown table and as a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from inference.training.synthesis.coherence import Coherence, Labels, coherence, disagreement
from inference.training.synthesis.diversity import Diversity


@dataclass(frozen=True, slots=True)
class Panel:
    """Users who labelled the same pairs; see `coherence` for the shape of `labels`."""

    name: str
    users: tuple[str, ...]
    labels: Labels


@dataclass(slots=True)
class Measures:
    """Diversity by how the answers were made, and the panels."""

    diversity: dict[str, Diversity] = field(default_factory=dict)
    panels: list[Panel] = field(default_factory=list)

    def coherence(self) -> dict[str, Coherence]:
        """The figures of every panel by its name."""
        return {panel.name: coherence(panel.labels) for panel in self.panels}

    def save(self, folder: Path) -> None:
        """Write measures.json, measures.md and, with a panel, disagreement.svg."""
        data = {
            "diversity": {name: asdict(each) for name, each in self.diversity.items()},
            "coherence": {name: asdict(each) for name, each in self.coherence().items()},
        }
        (folder / "measures.json").write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
        (folder / "measures.md").write_text(self.tables(), encoding="utf-8")
        if self.panels:
            save_matrices(self.panels, folder / "disagreement.svg")

    def tables(self) -> str:
        """Two Markdown tables."""
        lines = [
            "| answers | prompts | answers | distinct-1 | distinct-2 | distinct-3 | similarity |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, d in self.diversity.items():
            shares = (d.distinct_1, d.distinct_2, d.distinct_3, d.similarity)
            lines.append(f"| {name} | {d.prompts} | {d.answers} | {' | '.join(map(_said, shares))} |")
        lines += [
            "",
            "| labels | users | pairs | times | entropy, nats | cyclic triads | disagreement |",
            "|---|---|---|---|---|---|---|",
        ]
        for name, c in self.coherence().items():
            figures = " | ".join(map(_said, (c.entropy, c.cyclic, c.disagreement)))
            lines.append(f"| {name} | {c.users} | {c.pairs} | {c.times} | {figures} |")
        return "\n".join(lines) + "\n"


def _said(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def save_matrices(panels: Sequence[Panel], path: Path) -> None:
    """The disagreement matrix of every panel, side by side; the ending of `path` decides the format.

    Cividis is read alike with and without colour vision, and in grey; hatched cells are users who share no pair.
    """
    with rc_context({"svg.hashsalt": "palate", "font.size": 8}):
        across = min(2, len(panels))
        down = -(-len(panels) // across)
        figure = Figure(figsize=(0.8 + 3.8 * across, 0.3 + 3.5 * down), layout="constrained")
        axes = figure.subplots(down, across, squeeze=False).ravel()
        for axis, panel in zip(axes, panels, strict=False):
            image = _draw(axis, panel)
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        figure.colorbar(image, ax=list(axes), label="mean label difference (0 same, 1 opposite)", shrink=0.6)
        figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=150)


def _draw(axis: Any, panel: Panel) -> Any:
    axis.set_facecolor("white")
    axis.patch.set_hatch("////")
    image = axis.imshow(disagreement(panel.labels), vmin=0, vmax=1, cmap="cividis")
    axis.set_title(panel.name, fontsize=9)
    places = range(len(panel.users))
    axis.set_xticks(places, panel.users, rotation=90)
    axis.set_yticks(places, panel.users)
    axis.tick_params(length=0, labelsize=max(5, min(8, 110 // len(panel.users))))
    return image
