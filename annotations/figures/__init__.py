"""Figures of results, for a column of print and for pages: from the rows of the tables, without Django."""

from annotations.figures.flow import flow_chart
from annotations.figures.forest import forest
from annotations.figures.people import own_rates
from annotations.figures.power import power_curves
from annotations.figures.strata import by_length, by_shots, by_side
from annotations.figures.style import FORMATS, as_svg, save

__all__ = [
    "FORMATS",
    "as_svg",
    "by_length",
    "by_shots",
    "by_side",
    "flow_chart",
    "forest",
    "own_rates",
    "power_curves",
    "save",
]
