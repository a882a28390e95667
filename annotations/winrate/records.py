"""What the analysis reads: one `Outcome` a judgment, one `Planned` a comparison of the plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

SCORES: Mapping[str, float] = {"win": 1.0, "tie": 0.5, "loss": 0.0}


class OutcomeError(ValueError):
    """A record that no analysis may use; the message says which value and what would be right."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One final judgment.

    comparison: "treatment>baseline". score: 1 the treatment (focal) won, 0.5 tie, 0 lost. focal_first: whether the
    focal text was shown first, None if unknown. position: place in the participant's plan, from 1. dyad: the pair of
    people who judge each other's texts, empty if none. strength: how strongly, 0 or more. treatment_words,
    baseline_words: lengths of the texts. wait_s: seconds waited for the pair. shots: choices in the focal text's
    context. identical: both texts were the same.
    Raises `OutcomeError` for any other score (NaN too), an empty participant or question, a malformed comparison.
    """

    participant: str
    question: str
    comparison: str
    score: float
    focal_first: bool | None = None
    domain: str = ""
    position: int | None = None
    dyad: str = ""
    strength: float | None = None
    treatment_words: float | None = None
    baseline_words: float | None = None
    wait_s: float | None = None
    shots: float | None = None
    identical: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.score, bool) or self.score not in (0.0, 0.5, 1.0):
            shown = "NaN" if isinstance(self.score, float) and math.isnan(self.score) else repr(self.score)
            raise OutcomeError(f"score {shown} of participant {self.participant!r}; a score is 0, 0.5 or 1")
        if not self.participant:
            raise OutcomeError(f"a judgment of question {self.question!r} names no participant")
        if not self.question:
            raise OutcomeError(f"a judgment of participant {self.participant!r} names no question")
        split_comparison(self.comparison)


@dataclass(frozen=True, slots=True)
class Planned:
    """One comparison of somebody's plan, whatever became of it; `void` when it could not be judged."""

    question: str
    comparison: str
    domain: str = ""
    void: bool = False


def split_comparison(comparison: str) -> tuple[str, str]:
    """The focal arm and the baseline of "focal>baseline". Raises `OutcomeError` for anything else."""
    focal, mark, baseline = comparison.partition(">")
    focal, baseline = focal.strip(), baseline.strip()
    if not mark or not focal or not baseline or ">" in baseline or focal == baseline:
        raise OutcomeError(f"comparison {comparison!r}; it is written treatment>baseline, two different arms")
    return focal, baseline
