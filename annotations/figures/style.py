"""How every figure looks, and how it becomes a file or a part of a page."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart with any colour vision; markers and lines differ too.
BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY = "#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P")
GREY = "#5f5f5f"
WIDTH = 3.5  # inches: one column
FORMATS = ("svg", "pdf", "png")
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "svg.hashsalt": "palate",  # the same figure is the same file
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "pdf.fonttype": 42,
}
METADATA: dict[str, dict[str, None]] = {
    "svg": dict.fromkeys(("Date", "Creator", "Format", "Type")),
    "pdf": dict.fromkeys(("CreationDate", "Creator", "Producer")),
    "png": {"Software": None},
}
# A PDF embeds its letters, and fontTools tells of every step.
logging.getLogger("fontTools").setLevel(logging.WARNING)


class FigureError(ValueError):
    """A figure that cannot be written; the message says which file and what would be right."""


def blank(height: float, columns: int = 1) -> tuple[Figure, Any]:
    """An empty figure of `height` inches, one column wide, and its axes (an array of them where columns > 1)."""
    with mpl.rc_context(STYLE):
        chart = Figure(figsize=(WIDTH, height), layout="constrained")
        return chart, chart.subplots(ncols=columns)


def save(chart: Figure, path: Path) -> Path:
    """Write a figure; the ending says the format, see `FORMATS`. A figure drawn anew gives the same SVG
    and PNG; a PDF embeds its letters with a time.

    Raises FigureError for another ending or a place that cannot be written.
    """
    kind = require_format(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(STYLE):
            chart.savefig(path, format=kind, dpi=300, metadata=METADATA[kind])
    except OSError as error:
        raise FigureError(f"{path} cannot be written: {error.strerror}") from None
    return path


def require_format(path: Path) -> str:
    """The format that a file's ending says. Raises FigureError for another ending."""
    kind = path.suffix.removeprefix(".").lower()
    if kind not in FORMATS:
        raise FigureError(f"{path}: a figure ends in .{', .'.join(FORMATS)}")
    return kind


def as_svg(chart: Figure) -> str:
    """The figure as an <svg> element for a page: no prolog, no metadata, no names that two figures would share."""
    out = io.StringIO()
    with mpl.rc_context(STYLE):
        chart.savefig(out, format="svg", metadata=METADATA["svg"])
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"\s*<style type=\"text/css\">.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.DOTALL)
    return re.sub(r'<g id="[^"]*"', "<g", text)


def point(axes: Axes, value: float, at: float, reach: tuple[float, float] | None, **look: Any) -> None:
    """A marked value along x at height `at`, with its interval (low, high)."""
    axes.errorbar([value], [at], xerr=_reach(value, reach), **{**_LOOK, **look})


def upright(axes: Axes, value: float, at: float, reach: tuple[float, float] | None, **look: Any) -> None:
    """A marked value along y at place `at`, with its interval (low, high)."""
    axes.errorbar([at], [value], yerr=_reach(value, reach), **{**_LOOK, **look})


_LOOK: dict[str, Any] = {"fmt": "o", "color": BLUE, "markersize": 4, "elinewidth": 1.0, "capsize": 2}


def _reach(value: float, reach: tuple[float, float] | None) -> list[list[float]] | None:
    return None if reach is None else [[max(value - reach[0], 0.0)], [max(reach[1] - value, 0.0)]]


def one_half(axes: Axes, *, across: bool) -> None:
    """A dotted line at one half: across the page for rates along y, upright for rates along x."""
    draw = axes.axhline if across else axes.axvline
    draw(0.5, color=GREY, linewidth=0.7, linestyle=":", zorder=0)


def legend_above(chart: Figure, axes: Axes, columns: int, title: str | None = None) -> None:
    """The legend over the axes, each label once."""
    handles, labels = axes.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    if once:
        chart.legend(
            once.values(), once.keys(), loc="outside upper center", ncols=columns, fontsize=7, frameon=False,
            handlelength=2.2, title=title, title_fontsize=7,
        )  # fmt: skip
