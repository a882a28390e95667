"""The figures of a report, by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure

from annotations.figures import as_svg, by_length, by_shots, by_side, flow_chart, forest, own_rates
from annotations.winrate import strata
from annotations.winrate.columns import Judgments
from studyapp.report.evidence import Evidence


@dataclass(frozen=True)
class Drawing:
    """A figure, the name of its files, and what it shows, in words for everybody who does not see it."""

    name: str
    caption: str
    chart: Figure

    @cached_property
    def svg(self) -> str:
        """The figure for a page, drawn once."""
        return as_svg(self.chart)


def drawings(evidence: Evidence) -> dict[str, Drawing]:
    """Every figure for which there are data, in the order of the page."""
    main, part, level = evidence.main, evidence.part(), evidence.level
    means = [
        row["mean"]
        for row in evidence.tables["people"]
        if row["analysis_set"] == evidence.in_set("itt") and row["comparison"] == main
    ]
    parts = f"Each part's interval covers {level:.0%}; descriptive."
    charts = {
        "winrates": ("Win rates with intervals and n; domains in grey.", forest(evidence.rates())),
        "shots": (f"Win rate by shots, all else alike. {parts}", by_shots(strata.shots(_shots(evidence), level))),
        "people": (f"People's own win rates in {main}.", own_rates(means)),
        "sides": (f"Win rate of {main} by the treatment's side. {parts}", by_side(strata.sides(part, main, level))),
        "lengths": (
            f"Win rate of {main} by difference in length. {parts}",
            by_length(strata.lengths(part, main, level)),
        ),
        "flow": ("Who came, how far they got, whom rules leave out.", flow_chart(evidence.flow)),
    }
    return {name: Drawing(name, said, chart) for name, (said, chart) in charts.items() if chart is not None}


def _shots(evidence: Evidence) -> dict[str, tuple[int, Judgments]]:
    """The comparisons that differ from the main one in the number of shots alone, and their judgments."""
    spec, (focal, baseline) = evidence.spec, evidence.main.split(">")
    like = spec.arms[focal].model_copy(update={"shots": None})
    return {
        one.name: (spec.arm_shots(one.treatment), evidence.part(one.name))
        for one in spec.comparisons
        if one.baseline == baseline and spec.arms[one.treatment].model_copy(update={"shots": None}) == like
    }
