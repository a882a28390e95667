"""The bars of the bundled model: what is asked, what was measured, passed or not."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inference.training.evaluation.arms import ARMS
from inference.training.evaluation.interval import Estimate, win_rate
from inference.training.evaluation.measures import Measures
from inference.training.evaluation.people import MAIN, SEEN
from inference.world import OPEN

CONTROL_JUDGMENTS = 3000
SHIPPED_ARMS = tuple(
    arm for arm in ARMS.values() if arm.checkpoint == "fspo" and arm.context in ("none", "own", "gold")
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar. `passed` is None where it was not measured, or not on enough judgments; `note` then says why.

    `measured` is a share of 1 (or a difference of shares).
    """

    name: str
    asked: str
    measured: Estimate | None
    passed: bool | None
    note: str = ""
    measured_here: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values; figures in per cent or points."""
        figure = self.measured
        percent = [None if x is None else round(100 * x, 2) for x in _values(figure)]
        return {
            "bar": self.name,
            "asked": self.asked,
            "measured": percent[0],
            "ci_low": percent[1],
            "ci_high": percent[2],
            "n": figure.n if figure else 0,
            "users": figure.users if figure else 0,
            "passed": self.passed,
            "note": self.note,
        }


def bars(measures: Measures, few: Measures, shots: int, curve: Sequence[int]) -> list[Bar]:
    """Every bar of the bundled model, with `shots` shots; `few` are the people of the curve over `curve` shots."""
    own = ARMS["fspo"].shown(shots)
    named = {name: arm.shown(shots) for name, arm in ARMS.items()}

    def under(name: str) -> Estimate | None:
        return measures.gap((MAIN, own), (MAIN, named[name]))

    return [
        _bar("FSPO, mean of the three domains", ">= 87 %", measures.rate(MAIN, own), lambda x: x >= 0.87),
        _bar("FSPO's share of the ideal observer's gain", ">= 85 %", measures.share(MAIN, own), lambda x: x >= 0.85),
        _bar("open-ended: FSPO", ">= 82.6 %", measures.rate(MAIN, own, OPEN), lambda x: x >= 0.826),
        _bar("open-ended: FSPO + RAT", ">= 90 %", measures.rate(MAIN, named["fspo+rat"], OPEN), lambda x: x >= 0.9),
        _bar(
            "open-ended: oracle less FSPO + RAT",
            "<= 2 points",
            measures.gap((MAIN, named["oracle"]), (MAIN, named["fspo+rat"]), OPEN),
            lambda x: x <= 0.02,
        ),
        _bar("FSPO less few-shot prompting", ">= 5 points", under("prompted"), lambda x: x >= 0.05),
        _bar("FSPO less few-shot Pref-FT", ">= 5 points", under("pref-ft"), lambda x: x >= 0.05),
        _rising(few, [count for count in curve if count > 0]),
        _enough(_bar("own shots less a donor's shots", ">= 30 points", under("donor"), lambda x: x >= 0.3)),
        _bar("all labels flipped", "< 50 %", measures.rate(MAIN, named["flipped"]), lambda x: x < 0.5),
        _bar(
            "FSPO on seen questions less held-out subjects, same people",
            "within 5 points",
            measures.gap((SEEN, own), (MAIN, own)),
            lambda x: abs(x) <= 0.05,
        ),
        _lowest(measures, shots, "readable", "answers the exact judge can read, lowest arm", 0.97),
        _lowest(measures, shots, "named", "answers that name the asked subject, lowest arm", 0.95),
        Bar(
            "demo study with planted tastes",
            "interval above 60 %",
            None,
            None,
            "not of this program: manage.py simulate, then manage.py winrates",
            measured_here=False,
        ),
    ]


def _bar(name: str, asked: str, measured: Estimate | None, holds: Callable[[float], bool]) -> Bar:
    if measured is None:
        return Bar(name, asked, None, None, "not measured: an arm or a domain of it is left out")
    # Figures are shares: rounded, so that a bar met exactly is not missed in the last bit.
    return Bar(name, asked, measured, holds(round(measured.value, 9)))


def _enough(bar: Bar) -> Bar:
    if bar.measured is None or bar.measured.n >= CONTROL_JUDGMENTS:
        return bar
    note = f"not decided: {CONTROL_JUDGMENTS:,} judgments each are asked for; raise people or use --full"
    return Bar(bar.name, bar.asked, bar.measured, None, note)


def _rising(measures: Measures, counts: Sequence[int]) -> Bar:
    """The smallest step between neighbouring numbers of shots, on the same people."""
    name, asked = f"more shots help ({', '.join(map(str, counts))})", "every step > 0"
    arm = ARMS["fspo"]
    steps = [
        measures.gap((MAIN, arm.shown(more)), (MAIN, arm.shown(fewer))) for fewer, more in itertools.pairwise(counts)
    ]
    there = [step for step in steps if step is not None]
    if len(there) < len(steps) or not steps:
        return Bar(name, asked, None, None, "not measured: fspo is left out or the curve has one number of shots")
    smallest = min(there, key=lambda step: step.value)
    rates = [measures.rate(MAIN, arm.shown(count)) for count in counts]
    note = "the smallest step; " + ", ".join(f"{100 * rate.value:.1f}" for rate in rates if rate)
    return Bar(name, asked, smallest, smallest.value > 0, note)


def _lowest(measures: Measures, shots: int, what: str, name: str, least: float) -> Bar:
    """The lowest share over the arms that the shipped checkpoint serves."""
    found = []
    for arm in SHIPPED_ARMS:
        rows = measures.board.rows(MAIN, arm.shown(shots))
        share = win_rate([float(getattr(row, what)) for row in rows], [row.person.user.code for row in rows])
        if share is not None:
            found.append((share, arm.shown(shots)))
    if not found:
        return Bar(name, f">= {100 * least:.0f} %", None, None, "not measured")
    share, arm_name = min(found, key=lambda item: item[0].value)
    return Bar(name, f">= {100 * least:.0f} %", share, share.value >= least, arm_name)


def _values(figure: Estimate | None) -> tuple[float | None, float | None, float | None]:
    return (figure.value, figure.low, figure.high) if figure else (None, None, None)
