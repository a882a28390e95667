"""What the researchers' site shows of results: words and numbers, never a row a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from annotations.figures.flow import EXCLUDED, SPOKEN
from studyapp.report.drawings import Drawing
from studyapp.report.evidence import Evidence
from studyapp.report.headline import headline_of, rate_lines
from studyapp.report.methods import departures
from studyapp.results.printing import named_set
from studyapp.results.sets import SIMULATED_MARK


def shown(evidence: Evidence, figures: Mapping[str, Drawing]) -> dict[str, Any]:
    """JSON-ready: the main number, every win rate, the flow, captions of the figures, departures, looks."""
    return {
        **headline_of(evidence),
        "rates": [{**line, "title": _title(line["set"])} for line in rate_lines(evidence)],
        "flow": _flow(evidence),
        "figures": [{"name": name, "caption": one.caption} for name, one in figures.items()],
        "departures": departures(evidence),
        "looks": len(evidence.tables["looks"]),
    }


def _title(analysis_set: str) -> str:
    plain = analysis_set.removesuffix(SIMULATED_MARK)
    named = named_set(plain)
    return f"{named[0].upper()}{named[1:]}{', simulated people' if plain != analysis_set else ''}"


def _flow(evidence: Evidence) -> list[dict[str, Any]]:
    steps = evidence.flow.items()
    return [{"step": SPOKEN.get(step, step), "n": n, "rule": step.startswith(EXCLUDED)} for step, n in steps]
