"""Stop: come back later, stop and keep, stop and erase. Each has a page that asks and a POST that does."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse

from studyapp import flow
from studyapp.models import Participant
from studyapp.services import entry, leaving
from studyapp.views.device import keep_once, once
from studyapp.views.pages import for_participants, page, redirect_to
from studyapp.views.resume import resume_url

State = Participant.State
WAYS = {"later": "Come back later", "keep": "Stop and keep your answers?", "erase": "Stop and erase everything?"}


def _open_ways(participant: Participant) -> tuple[str, ...]:
    """What somebody may choose in their state."""
    if participant.state == State.ENROLLED:
        return ("leave",)
    if participant.is_unfinished:
        return ("later", "keep", "erase")
    if participant.state == State.TIMED_OUT and leaving.may_resume(participant):
        return ("later", "keep", "erase")
    return () if participant.state in (State.WITHDRAWN, State.DECLINED) else ("erase",)


@for_participants
def stop(request: HttpRequest, participant: Participant) -> HttpResponse:
    """The three ways; before consent there is one, and after the end one."""
    ways = _open_ways(participant)
    if not ways:
        return redirect_to(flow.url_for(participant))
    title = "Your data" if ways == ("erase",) else "Do you want to stop?"
    context = {"title": title, "ways": ways, "back": flow.url_for(participant)}
    return page(request, participant.study, "stop", context)


@for_participants
def stop_way(request: HttpRequest, participant: Participant, way: str) -> HttpResponse:
    """GET asks once more; POST does it. A way that is closed by now leads to the page where the person belongs."""
    if way not in WAYS:
        raise Http404(f"There is no way of stopping called {way}.")
    if way not in _open_ways(participant):
        return redirect_to(flow.url_for(participant))
    if request.method == "POST":
        return {"later": _later, "keep": _keep, "erase": _erase}[way](request, participant)
    token = _kept_link(request, participant) if way == "later" else ""
    finished = not participant.is_unfinished
    title = "See you later" if token else "Erase everything?" if finished and way == "erase" else WAYS[way]
    context = {
        "title": title,
        "way": way,
        "hours": participant.study.spec.sessions.resume_hours,
        "finished": finished,
        "link": resume_url(request, participant, token) if token else "",
        "back": flow.url_for(participant),
    }
    return page(request, participant.study, "stop_way", context)


def _kept_link(request: HttpRequest, participant: Participant) -> str:
    """The resume token told to this browser within the hour, as long as it still works."""
    token = once(request, participant, "link")
    return token if token and entry.by_resume_token(participant.study.slug, token) == participant else ""


def _later(request: HttpRequest, participant: Participant) -> HttpResponse:
    response = redirect_to(request.path)
    if _kept_link(request, participant):
        return response
    return keep_once(response, participant, "link", entry.new_resume_token(participant))


def _keep(request: HttpRequest, participant: Participant) -> HttpResponse:
    leaving.stop(participant)
    participant.refresh_from_db(fields=["state"])
    return redirect_to(flow.url_for(participant))


def _erase(request: HttpRequest, participant: Participant) -> HttpResponse:
    receipt = leaving.withdraw(participant)
    participant.refresh_from_db(fields=["state"])
    response = redirect_to(flow.url_for(participant))
    return keep_once(response, participant, "receipt", receipt) if receipt else response
