"""The end: debrief, completion, and one page for every other way out."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse

from studyapp.flow import Place
from studyapp.models import Identity, Participant
from studyapp.services import checks, leaving, progress
from studyapp.views.consent import study_document
from studyapp.views.device import once
from studyapp.views.pages import Context, current, go_on, show, shows, state_page

State = Participant.State
PROLIFIC = "https://app.prolific.com/submissions/complete"
HEADINGS = {
    State.DECLINED: "That is fine",
    State.STOPPED: "You have stopped",
    State.WITHDRAWN: "Everything is erased",
    State.EXCUSED: "Thank you for waiting",
    State.SCREENED_OUT: "This study needs other people",
    State.TIMED_OUT: "Your time is over",
}
PANEL_NAMES = {"prolific": "Prolific", "connect": "Connect", "sona": "SONA"}
REDIRECT_S = 30  # long enough to hear of it and to press "Stay here" (WCAG 2.2.1 asks for twenty)


@dataclass(frozen=True, slots=True)
class Exit:
    """What somebody takes along: a code, an address, the name of where the address leads."""

    code: str
    url: str
    name: str


def exit_of(participant: Participant) -> Exit:
    """The code and address of a participant's way out."""
    exits, way = participant.study.spec.exits, checks.way_out(participant)
    code, url = exits.code(way), _filled(exits.url(way), participant)
    if not url and code and participant.panel == Participant.Panel.PROLIFIC:
        url = f"{PROLIFIC}?{urlencode({'cc': code})}"
    return Exit(code, url, PANEL_NAMES.get(participant.panel, "the panel"))


def _filled(url: str, participant: Participant) -> str:
    """An address with the panel's ids in its holes; empty when it has holes and the ids are not known (any more)."""
    holes = ("{participant}", "{session}")
    if not any(hole in url for hole in holes):
        return url
    identity = Identity.objects.filter(participant=participant).first()
    if identity is None:
        return ""
    for hole, value in zip(holes, (identity.panel_id, identity.panel_session), strict=True):
        url = url.replace(hole, quote(value, safe=""))
    return url


@shows("debrief")
def debrief_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """What the study was about."""
    return {
        **study_document(participant.study, "debrief", "What this study was about"),
        "may_stop": True,
    }


def leave_debrief(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """On to the completion code."""
    progress.debriefed(participant)
    return go_on(request, participant)


@shows("done")
def done_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """Everything is stored: thanks, and the completion code."""
    return {"title": "Thank you", "exit": exit_of(participant), "redirect_s": REDIRECT_S, "may_erase": True}


@shows("ended")
def ended_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """One page, one action: the way back to the panel, or back in from a time-out."""
    may_resume = leaving.may_resume(participant)
    gone = participant.state in (State.WITHDRAWN, State.DECLINED)
    return {
        "title": "Welcome back" if may_resume else HEADINGS[State(participant.state)],
        "state": participant.state,
        "may_resume": may_resume,
        "exit": None if may_resume else exit_of(participant),
        "receipt": once(request, participant, "receipt"),
        "redirect_s": 0,
        "may_erase": not gone,
    }


def come_back(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """timed_out -> where they were, inside the window; without consent only while a place is free."""
    if request.POST.get("action") == "resume" and not leaving.resume(participant):
        participant, place = current(participant)
        if place.page == "ended" and leaving.may_resume(participant):
            return show(request, participant, place, full=True, title="All places are taken")
    return go_on(request, participant)


debrief = state_page("debrief", leave_debrief)
done = state_page("done")
ended = state_page("ended", come_back)
