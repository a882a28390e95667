"""Consent and instructions: what is read before the first pair."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse

from studyapp.flow import Place
from studyapp.models import Participant, Study
from studyapp.services import entry, progress
from studyapp.text import titled
from studyapp.views.device import keep_once, once
from studyapp.views.pages import Context, current, go_on, show, shows, state_page
from studyapp.views.resume import resume_url


def study_document(study: Study, name: str, title: str) -> Context:
    """A document of the study's folder, under its own first heading or else `title`. (Study rows come without it.)"""
    documents: dict[str, Any] = Study.objects.values_list("documents", flat=True).get(pk=study.pk)
    heading, text = titled(str(documents.get(name) or ""), title)
    return {"title": heading, "document_text": text}


@shows("consent")
def consent_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """The consent text and its two boxes."""
    spec = participant.study.spec
    return {
        **study_document(participant.study, "consent", "Your consent"),
        "may_stop": True,
        "min_age": spec.eligibility.min_age,
        "privacy": spec.privacy,
        "given": {},
    }


def agree(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """Both boxes and the button: on to the instructions with a resume link. The other button refuses."""
    if request.POST.get("decision") == "decline":
        entry.decline(participant)
        return go_on(request, participant)
    errors = {
        field: message
        for field, message in (
            ("age", f"Please confirm that you are at least {participant.study.spec.eligibility.min_age} years old."),
            ("agree", "Please confirm that you agree to take part."),
        )
        if request.POST.get(field) != "yes"
    }
    if errors:
        participant, place = current(participant)
        if place.page == "consent":
            return show(request, participant, place, status=422, errors=errors, given=request.POST.dict())
        return go_on(request, participant)
    token = entry.consent(participant)
    response = go_on(request, participant, fresh=token is not None)
    return keep_once(response, participant, "link", token) if token else response


@shows("instructions")
def instructions_context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """The instructions, with the personal link that is told only now."""
    token = once(request, participant, "link")
    return {
        **study_document(participant.study, "instructions", "How it works"),
        "link": resume_url(request, participant, token) if token else "",
        "may_stop": True,
    }


def begin(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    """On to the first pair."""
    progress.begin(participant)
    return go_on(request, participant, fresh=True)


consent = state_page("consent", agree)
instructions = state_page("instructions", begin)
