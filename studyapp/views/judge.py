"""The judging page and its breaks: one blind pair at a time."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from annotations import blinding, selectors
from annotations import services as judging
from studyapp import flow
from studyapp.flow import Place
from studyapp.models import Participant
from studyapp.services import progress
from studyapp.services.progress import MAX_REASON, Invalid
from studyapp.views.pages import Context, current, go_on, show, shows, state_page
from studyapp.views.pairs import input_kind, opaque_id, page_ms, pair_context, whole_number

STRENGTHS = (
    (1, "Basically the same"),
    (2, "Slight"),
    (3, "Clear"),
    (4, "Strong"),
    (5, "Very strong"),
)


@shows("judge")
def context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """The blind view of the pair whose turn it is, and nothing else of it; stamps its first showing."""
    assert place.comparison is not None
    view = blinding.blind(place.comparison)
    assert view is not None, "a ready comparison has both texts"
    judging.present(place.comparison)
    rules = participant.study.spec.judging
    return {
        **pair_context(
            participant, place.comparison, view, rules.prompt, flow.page_url(participant.study.slug, "judge")
        ),
        "scale": rules.scale,
        "strengths": STRENGTHS,
        "reason": rules.reason,
        "max_reason": MAX_REASON,
    }


def store(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """Store a judgment; a repeat or a pair out of turn changes nothing and answers with the present page."""
    given = request.POST
    # Browsers count a line end of a textarea as two characters when they send it.
    reason = given.get("reason", "").replace("\r\n", "\n")
    try:
        progress.judge(
            participant,
            opaque_id(request),
            choice=given.get("choice", ""),
            strength=whole_number(given.get("strength")),
            reason=reason,
            page_ms=page_ms(request),
            input=input_kind(request),
        )
    except Invalid as problem:
        participant, place = current(participant)
        if place.page == "judge":
            strength = whole_number(given.get("strength"))
            kept = {"choice": given.get("choice", ""), "strength": strength, "reason": reason}
            return show(request, participant, place, status=422, errors=problem.messages, given=kept)
    return go_on(request, participant, fresh=True)


@shows("break")
def break_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """A breather between pairs."""
    return {"title": "Take a breath", "progress": selectors.progress(participant.pk), "may_stop": True}


def leave_break(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """On to the next pair."""
    progress.take_break(participant)
    return go_on(request, participant, fresh=True)


judge = state_page("judge", store)
rest = state_page("break", leave_break)
