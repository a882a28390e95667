"""The only code that maps side to arm. What leaves here for a browser is a `BlindView` and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Case, CharField, F, Q, TextField, Value, When
from django.db.models.functions import Coalesce

from annotations.models import Comparison, Judgment, Side

# A million judgments are scored at a time: the enumeration makes this list anew whenever it is asked.
CHOICES = frozenset(Judgment.Choice.values)


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
    return Unblinded(
        comparison.arm_a, comparison.arm_b, comparison.a_is_first, score_of_a(choice, comparison.a_is_first)
    )


def score_of_a(choice: str, a_is_first: bool) -> float:
    """What a choice means for text a: 1, 0.5 or 0; raises ValueError on another word than first, second, tie."""
    if choice not in CHOICES:
        raise ValueError(f"A judgment is first, second or tie, not {choice!r}.")
    if choice == "tie":
        return 0.5
    return float((choice == "first") == a_is_first)


def outcome_of_a(comparison: str = "comparison__", choice: str = "choice") -> Case:
    """`unblind` for a whole query: win, tie or loss of a, from the paths of a comparison and of the choice."""
    first = Q(**{f"{comparison}a_is_first": True})
    for_a = (first & Q(**{choice: Side.FIRST})) | (~first & Q(**{choice: Side.SECOND}))
    words = {name: Value(name, output_field=CharField()) for name in ("win", "tie", "loss")}
    tie = Q(**{choice: Judgment.Choice.TIE})
    return Case(When(tie, then=words["tie"]), When(for_a, then=words["win"]), default=words["loss"])


def shown_text(side: Side) -> Case:
    """`blind` for a whole query of comparisons: the text shown on a side, missing unless both texts are finished."""
    one, other = ("a", "b") if side == Side.FIRST else ("b", "a")
    both = Q(*(Q(**{f"candidate_{x}__isnull": False}) | Q(**{f"generation_{x}__state": "ready"}) for x in "ab"))
    return Case(
        When(both & Q(a_is_first=True), then=_text(one)),
        When(both & Q(a_is_first=False), then=_text(other)),
        default=None,
        output_field=TextField(),
    )


def _text(arm: str) -> Coalesce:
    return Coalesce(F(f"candidate_{arm}__text"), F(f"generation_{arm}__text"))
