"""The figures of a report, by name."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure

from annotations.figures import by_length, by_shots, by_side, flow_chart, forest, own_rates
from annotations.winrate import strata
from studyapp.report.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure, the name of its files, and what it shows, in words for everybody who does not see it."""

    name: str
    caption: str
    chart: Figure


def drawings(evidence: Evidence) -> dict[str, Drawing]:
    """Every figure for which there are data, in the order of the page."""
    main, part, level = evidence.main, evidence.part(), evidence.level
    shots = {
        one.name: (evidence.spec.arm_shots(one.treatment), evidence.part(one.name))
        for one in evidence.spec.comparisons
        if one.baseline == main.split(">")[1]
    }
    means = [
        row["mean"]
        for row in evidence.tables["people"]
        if row["analysis_set"] == evidence.in_set("itt") and row["comparison"] == main
    ]
    parts = f"Each part's interval covers {level:.0%}; descriptive."
    charts = {
        "winrates": ("Win rates with intervals and n; domains in grey.", forest(evidence.rates())),
        "shots": (f"Win rate by shots in the treatment's context. {parts}", by_shots(strata.shots(shots, level))),
        "people": (f"People's own win rates in {main}.", own_rates(means)),
        "sides": (f"Win rate of {main} by the treatment's side. {parts}", by_side(strata.sides(part, main, level))),
        "lengths": (
            f"Win rate of {main} by difference in length. {parts}",
            by_length(strata.lengths(part, main, level)),
        ),
        "flow": ("Who came, how far they got, whom rules leave out.", flow_chart(evidence.flow)),
    }
    return {name: Drawing(name, said, chart) for name, (said, chart) in charts.items() if chart is not None}
