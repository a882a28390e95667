"""The elicitation page: two ready-made answers, one choice."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from annotations import selectors
from annotations import services as judging
from studyapp import flow
from studyapp.flow import Place
from studyapp.models import Participant
from studyapp.services import progress
from studyapp.services.progress import Invalid
from studyapp.views.pages import Context, current, go_on, show, shows, state_page
from studyapp.views.pairs import ELICITATION_PROMPT, opaque_id, page_ms, pair_context


@shows("shots")
def context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """The pair whose turn it is; stamps its first showing."""
    assert place.preference is not None
    judging.present(place.preference)
    view = selectors.preference_view(place.preference)
    return {
        **pair_context(
            participant, place.preference, view, ELICITATION_PROMPT, flow.page_url(participant.study.slug, "shots")
        ),
        "scale": "choice",
        "reason": "off",
    }


def store(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """Store a choice; a repeat or a pair out of turn changes nothing and answers with the present page."""
    try:
        progress.choose(participant, opaque_id(request), request.POST.get("choice", ""), page_ms(request))
    except Invalid as problem:
        participant, place = current(participant)
        if place.page == "shots":
            return show(request, participant, place, status=422, errors=problem.messages)
    return go_on(request, participant, fresh=True)


shots = state_page("shots", store)
