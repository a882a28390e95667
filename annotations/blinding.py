"""The only code that maps side to arm. What leaves here for a browser is a `BlindView` and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from annotations.models import Comparison, Judgment, Side


@dataclass(frozen=True, slots=True)
class BlindView:
    """A pair as its judge may see it: the question, two texts, an opaque id."""

    id: str
    question: str
    first: str
    second: str


@dataclass(frozen=True, slots=True)
class Unblinded:
    """A judged pair in terms of its arms. `score` is a's: win 1, tie 0.5, loss 0."""

    arm_a: str
    arm_b: str
    a_is_first: bool
    score: float


def texts(comparison: Comparison) -> tuple[str, str] | None:
    """The two shown texts, a's and b's; None until both exist."""
    a = comparison.candidate_a.text if comparison.candidate_a else _ready_text(comparison.generation_a)
    b = comparison.candidate_b.text if comparison.candidate_b else _ready_text(comparison.generation_b)
    return None if a is None or b is None else (a, b)


def _ready_text(generation: object) -> str | None:
    return getattr(generation, "text", None) if getattr(generation, "state", None) == "ready" else None


def blind(comparison: Comparison) -> BlindView | None:
    """The pair for the browser; None unless both texts are finished."""
    pair = texts(comparison)
    if pair is None:
        return None
    first, second = pair if comparison.a_is_first else (pair[1], pair[0])
    return BlindView(id=comparison.opaque_id, question=comparison.question.text, first=first, second=second)


def side_of_a(comparison: Comparison) -> Side:
    """Where a's text was shown."""
    return Side.FIRST if comparison.a_is_first else Side.SECOND


def unblind(comparison: Comparison, choice: str) -> Unblinded:
    """A choice (first, second or tie) in terms of the arms; raises ValueError on another word."""
    if choice not in Judgment.Choice.values:
        raise ValueError(f"A judgment is first, second or tie, not {choice!r}.")
    score = 0.5 if choice == Judgment.Choice.TIE else float(choice == side_of_a(comparison))
    return Unblinded(comparison.arm_a, comparison.arm_b, comparison.a_is_first, score)
