"""The resume link: another device goes on where the first one was. Opening it shows a button, which signs in."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from studyapp.flow import url_for
from studyapp.models import Participant
from studyapp.services import entry, leaving
from studyapp.views.device import sign_in
from studyapp.views.pages import page, redirect_to, uncached


def resume_url(request: HttpRequest, participant: Participant, token: str) -> str:
    """The whole address of somebody's resume link."""
    return request.build_absolute_uri(reverse("study:resume", args=[participant.study.slug, token]))


def welcome_back(participant: Participant) -> HttpResponse:
    """Sign this browser in and go to the page where the person belongs, out of a time-out too."""
    if leaving.may_resume(participant):
        leaving.resume(participant)
    return uncached(sign_in(redirect_to(url_for(participant)), participant))


@require_http_methods(["GET", "HEAD", "POST"])
def resume(request: HttpRequest, slug: str, token: str) -> HttpResponse:
    """GET changes nothing, so that link previews and scanners open it in vain."""
    participant = entry.by_resume_token(slug, token)
    if participant is None:
        study = entry.serving(slug)
        return page(request, study, "resume_unknown", {"title": "This link does not work any more"}, 404)
    if request.method == "POST":
        return welcome_back(participant)
    return page(request, participant.study, "resume", {"title": "Welcome back", "token": token})
