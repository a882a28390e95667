"""An answer of the hostile reviewer's page: a number with its interval and n, or that this design cannot tell."""

from __future__ import annotations

from dataclasses import dataclass

from annotations.winrate.measures import Measure
from studyapp.report.evidence import Row, reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """what: name of the number. estimate None: cannot tell, `says` says why. signed: a difference, not a share."""

    says: str
    what: str = ""
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    people: int = 0
    n: int = 0
    signed: bool = False

    @property
    def number(self) -> str:
        """The number, its interval and its n for people; "cannot tell" without one."""
        if self.estimate is None or self.low is None or self.high is None:
            return "cannot tell"
        form = "+.3f" if self.signed else ".3f"
        # adding zero takes the sign from a zero that was rounded from below
        value, low, high = (format(round(number, 3) + 0.0, form) for number in (self.estimate, self.low, self.high))
        return f"{value} [{low}, {high}]"

    @property
    def counted(self) -> str:
        """The n behind the number; people alone where each of them counts once."""
        judged = "" if self.n == self.people else f", {self.n:,} judgments"
        return f"{self.people:,} people{judged}" if self.estimate is not None else ""


def cannot(why: str) -> Answer:
    """The design, or these data, cannot tell."""
    return Answer(says=f"This design cannot tell: {why}")


def measured(
    row: Row | Measure | None, what: str, says: str, missing: str, *, signed: bool = False
) -> Answer:
    """The number of a row with its interval; `missing` says what a number would need."""
    plain = row.to_json() if isinstance(row, Measure) else row
    interval = reach(plain)
    if plain is None or interval is None:
        return cannot(missing)
    estimate = plain["win_rate"] if "win_rate" in plain else plain["estimate"]
    number = plain["n_judgments"] if "n_judgments" in plain else plain["n"]
    return Answer(
        says=says, what=what, estimate=estimate, low=interval[0], high=interval[1],
        people=plain["n_participants"], n=number, signed=signed,
    )  # fmt: skip
