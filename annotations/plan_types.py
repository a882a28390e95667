"""The words of a plan: what a study asks for (`PlanSpec`) and what one person gets (`SeatPlan`).

All are frozen, all are plain data. Positions count from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, cast

PairRole = Literal["shot", "probe", "repeat"]
ComparisonKind = Literal["arms", "null", "identical", "repeat", "attention"]
ControlKind = Literal["null", "identical", "repeat", "attention", "calibration"]
Overlap = Literal["none", "factor", "off"]


class PlanError(ValueError):
    """A study from which no seat can be drawn; `problems` holds every reason, one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """A question as the plan sees it: its key, domain, topic and the keys of its candidate answers."""

    key: str
    domain: str
    topic: str
    candidates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """`items` judged pairs a seat of `treatment` (text a) against `baseline` (text b)."""

    treatment: str
    baseline: str
    items: int
    kind: Literal["arms"] = "arms"


@dataclass(frozen=True, slots=True)
class PlanControl:
    """`items` control pairs a seat, on top of the comparisons.

    `null` and `identical` show two texts of `arm`; `repeat` shows an earlier main pair again, sides swapped, at least
    `lag` positions later; `attention` draws from the attention questions, or only from those named in `questions`.
    """

    kind: ControlKind
    items: int
    arm: str | None = None
    lag: int = 4
    questions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PlanArm:
    """An arm's name and how many of the participant's shots its context takes (0: none)."""

    name: str
    shots: int = 0


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """Everything a seat is drawn from.

    `shots`, `probes` and `repeats` are numbers of elicitation pairs; `elicit`, `judge` and `attention` the banks.
    `overlap = "none"`: within a seat no judged question shares a topic (case and outer blanks apart) with an
    elicitation pair; attention questions are outside this rule. `"off"`: topics are not looked at.
    """

    shots: int
    probes: int
    repeats: int
    elicit: tuple[PlanQuestion, ...]
    judge: tuple[PlanQuestion, ...]
    comparisons: tuple[PlanComparison, ...]
    attention: tuple[PlanQuestion, ...] = ()
    controls: tuple[PlanControl, ...] = ()
    overlap: Overlap = "none"
    arms: tuple[PlanArm, ...] = ()


@dataclass(frozen=True, slots=True)
class PlannedPair:
    """One elicitation pair: candidate `first` beside candidate `second`; `repeat_of` is an earlier position."""

    position: int
    role: PairRole
    question: str
    first: str
    second: str
    repeat_of: int | None = None


@dataclass(frozen=True, slots=True)
class PlannedComparison:
    """One judged pair.

    `arms`: a is the treatment, b the baseline. `null`: both arms are the control's; a is the text made in advance, b
    the one made live. `identical`: one text twice. `repeat`: arms, question and texts of the pair at position
    `repeat_of`, sides swapped. `attention`: no arms; `candidate_a` is the expected answer, `candidate_b` the other.
    """

    position: int
    kind: ComparisonKind
    question: str
    arm_a: str | None
    arm_b: str | None
    a_is_first: bool
    repeat_of: int | None = None
    candidate_a: str | None = None
    candidate_b: str | None = None


@dataclass(frozen=True, slots=True)
class SeatPlan:
    """One person's whole plan: elicitation pairs and comparisons, each in order of presentation."""

    pairs: tuple[PlannedPair, ...]
    comparisons: tuple[PlannedComparison, ...]

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON-ready dict; `from_json` reads it back to an equal plan."""
        return {
            "pairs": [asdict(pair) for pair in self.pairs],
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read a document written by `to_json`. Raises `PlanError` for anything else, a missing or unknown key too."""
        try:
            if set(document) != {"pairs", "comparisons"}:
                raise PlanError([f"a seat plan has the keys pairs and comparisons, not {sorted(document)}"])
            return cls(
                tuple(cast(PlannedPair, _read(PlannedPair, row)) for row in document["pairs"]),
                tuple(cast(PlannedComparison, _read(PlannedComparison, row)) for row in document["comparisons"]),
            )
        except (TypeError, KeyError, AttributeError) as error:
            raise PlanError([f"this is not a seat plan: {error}"]) from error


def _read(kind: type[PlannedPair] | type[PlannedComparison], row: Mapping[str, Any]) -> PlannedPair | PlannedComparison:
    expected = {field.name for field in fields(kind)}
    if set(row) != expected:
        raise PlanError([f"a {kind.__name__} has the keys {sorted(expected)}, not {sorted(row)}"])
    return kind(**row)
