"""Reads: what is next for a person, and how far along they are. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from django.db.models import Count, Q, QuerySet

from annotations.blinding import BlindView
from annotations.models import Comparison, Preference
from annotations.written import Written

OPEN_STATES = (Comparison.State.PLANNED, Comparison.State.READY)
# Seconds a person takes over a pair beside reading, for "minutes left" alone.
SECONDS_PER_ELICITATION_PAIR = 30
SECONDS_PER_JUDGED_PAIR = 50


@dataclass(frozen=True, slots=True)
class Progress:
    """Pairs done and planned (elicitation and judging together), whole minutes left (at least 1 until the end)."""

    done: int
    total: int
    minutes_left: int


def undecided(participant_id: int) -> QuerySet[Preference]:
    """A person's elicitation pairs without a choice, in planned order."""
    return Preference.objects.filter(participant_id=participant_id, choice__isnull=True).order_by("position")


NEXT_PREFERENCES = Written(
    lambda participant_id: undecided(participant_id)[:2],
    *("participant_id", "position", "role", "opaque_id", "presented_at"),
    *("question__text", "first__text", "second__text"),
)


def next_preference(participant_id: int) -> Preference | None:
    """The first undecided elicitation pair, with question and candidates loaded."""
    return NEXT_PREFERENCES.first(participant_id)


def preference_view(preference: Preference) -> BlindView:
    """An elicitation pair as the browser may see it."""
    return BlindView(
        id=preference.opaque_id,
        question=preference.question.text,
        first=preference.first.text,
        second=preference.second.text,
    )


def unjudged(participant_id: int) -> QuerySet[Comparison]:
    """A person's comparisons that are neither judged nor void, in planned order."""
    return Comparison.objects.filter(participant_id=participant_id, state__in=OPEN_STATES).order_by("position")


@cache
def two_of(rows: Callable[[int], QuerySet[Comparison]]) -> Written[Comparison]:
    """The first two of a person's comparisons `rows`, with all that `blinding.blind` reads."""
    return Written(
        lambda participant_id: rows(participant_id)[:2],
        *("participant_id", "position", "state", "opaque_id", "presented_at", "ready_at", "a_is_first"),
        "question__text",
        *(f"generation_{side}__{field}" for side in "ab" for field in ("state", "text")),
        *(f"candidate_{side}__text" for side in "ab"),
    )


def missing_before_ready(participant_id: int) -> list[int]:
    """The planned comparisons before the first ready one that had to be made; empty when there is none.

    Attention pairs are always there: going on to one alone would give up others for nothing.
    """
    rows = list(unjudged(participant_id).values_list("id", "state", "kind"))
    ready = Comparison.State.READY
    made = (n for n, (_, state, kind) in enumerate(rows) if state == ready and kind != Comparison.Kind.ATTENTION)
    return [pk for pk, state, _ in rows[: next(made, 0)] if state != ready]


def next_comparison(participant_id: int) -> Comparison | None:
    """The next comparison in planned order, ready or not, with all that `blinding.blind` reads."""
    return two_of(unjudged).first(participant_id)


def next_two(participant_id: int) -> tuple[Comparison | None, Comparison | None]:
    """The next comparison, and the one after it, as `next_comparison` gives them."""
    found = [*two_of(unjudged).all(participant_id), None, None]
    return found[0], found[1]


def progress(participant_id: int) -> Progress:
    """How far along a person is, counting void comparisons as done."""
    pairs = Preference.objects.filter(participant_id=participant_id).aggregate(
        total=Count("id"), left=Count("id", filter=Q(choice__isnull=True))
    )
    judged = Comparison.objects.filter(participant_id=participant_id).aggregate(
        total=Count("id"), left=Count("id", filter=Q(state__in=OPEN_STATES))
    )
    seconds = pairs["left"] * SECONDS_PER_ELICITATION_PAIR + judged["left"] * SECONDS_PER_JUDGED_PAIR
    total = pairs["total"] + judged["total"]
    left = pairs["left"] + judged["left"]
    return Progress(done=total - left, total=total, minutes_left=max(1, round(seconds / 60)) if left else 0)


def progress_before(row: Preference | Comparison, *, elicited: int, judged: int) -> Progress:
    """How far along somebody is at the pair `row`, of a plan of `elicited` and `judged` pairs: no query."""
    before = row.position - 1
    eliciting = isinstance(row, Preference)
    left_elicited, left_judged = (elicited - before, judged) if eliciting else (0, judged - before)
    seconds = left_elicited * SECONDS_PER_ELICITATION_PAIR + left_judged * SECONDS_PER_JUDGED_PAIR
    done = before if eliciting else elicited + before
    return Progress(done=done, total=elicited + judged, minutes_left=max(1, round(seconds / 60)))
