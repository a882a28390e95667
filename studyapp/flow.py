"""State -> the only legal page. A pure read: nothing here writes, nothing else decides where a person belongs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from annotations import selectors
from annotations.models import Comparison, Preference
from studyapp.models import Participant
from studyapp.services.progress import break_due

PAGES = ("consent", "instructions", "shots", "wait", "judge", "break", "debrief", "done", "ended")
State = Participant.State


@dataclass(frozen=True, slots=True)
class Place:
    """Where a person belongs now, with the pair their page shows: of shots the preference, else the comparison."""

    page: str
    preference: Preference | None = None
    comparison: Comparison | None = None


def place_of(participant: Participant) -> Place:
    """The person's place by their recorded state; pages without a pair cost no query."""
    if participant.state == State.ENROLLED:
        return Place("consent")
    if participant.state == State.CONSENTED:
        return Place("instructions")
    if participant.state == State.ELICITING:
        return Place("shots", preference=_upcoming(participant) or selectors.next_preference(participant.pk))
    if participant.state == State.WAITING:
        return Place("wait")
    if participant.state == State.JUDGING:
        return _judging(participant)
    if participant.state == State.COMPLETED:
        return Place("debrief" if participant.debriefed_at is None else "done")
    return Place("ended")


def _upcoming(participant: Participant) -> Any:
    """The pair that the step before has read, once: what was read long ago may have been answered since."""
    pair, participant.upcoming = participant.upcoming, None
    return pair


def _judging(participant: Participant) -> Place:
    current = _upcoming(participant) or selectors.next_comparison(participant.pk)
    if break_due(participant, current):
        return Place("break", comparison=current)
    ready = current is not None and current.state == Comparison.State.READY
    return Place("judge" if ready else "wait", comparison=current)


def page_for(participant: Participant) -> str:
    """The name of the only page this person may see: one of `PAGES`."""
    return place_of(participant).page


def page_url(slug: str, page: str) -> str:
    """The address of a page of a study."""
    return reverse(f"study:{page}", args=[slug])


def url_for(participant: Participant) -> str:
    """The address of the only page this person may see."""
    return page_url(participant.study.slug, page_for(participant))
