"""How a page leaves the server: whole, or as the fragment that htmx swaps in. One template, two callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from itertools import chain
from typing import Any, Concatenate, ParamSpec, cast
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.template.loader import render_to_string
from django.utils.cache import add_never_cache_headers, patch_vary_headers
from django.views.decorators.http import require_http_methods

from annotations.models import Comparison, Preference
from studyapp import flow
from studyapp.flow import Place
from studyapp.models import Participant, Study
from studyapp.services import leaving, progress
from studyapp.views.device import participant_of
from studyapp.views.frames import frame, may_frame

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, str, P], HttpResponse]
Context = dict[str, Any]
Builder = Callable[[HttpRequest, Participant, Place], Context]
_BUILDERS: dict[str, Builder] = {}


def shows(page: str) -> Callable[[Builder], Builder]:
    """Register the function that builds the template context of a page."""

    def register(builder: Builder) -> Builder:
        _BUILDERS[page] = builder
        return builder

    return register


def is_fragment(request: HttpRequest) -> bool:
    """True when htmx asks for what it swaps in (not when it restores history)."""
    return request.headers.get("HX-Request") == "true" and "HX-History-Restore-Request" not in request.headers


def uncached(response: HttpResponse) -> HttpResponse:
    """Back button and shared caches must ask the server: the state may have moved on."""
    if "Cache-Control" not in response:  # a page has been here once, and goes through its view's wrapper
        add_never_cache_headers(response)
    patch_vary_headers(response, ["HX-Request"])
    return response


def page(
    request: HttpRequest, study: Study | None, name: str, context: Mapping[str, Any], status: int = 200
) -> HttpResponse:
    """Render `participant/<name>.html`, whole or as a fragment. `context` names at least `title`."""
    fragment = is_fragment(request)
    values = {
        "study_title": study.title if study else "",
        "slug": study.slug if study else "",
        "fragment": fragment,
        "contact": study.spec.privacy.contact if study and not fragment else "",
        "csrf_token": get_token(request),
        **context,
    }
    # No request goes in: participant pages need no session, no user and no messages.
    render = frame if may_frame(name, values) else _rendered
    return uncached(HttpResponse(render(name, values), status=status))


def _rendered(name: str, values: Mapping[str, Any]) -> str:
    return render_to_string(f"participant/{name}.html", values)


def current(participant: Participant) -> tuple[Participant, Place]:
    """The person and their place, looked at afresh where a finished text may have moved them on."""
    if participant.state == Participant.State.WAITING:
        participant = progress.advance(participant)
    place = flow.place_of(participant)
    if place.page == "wait" and participant.state == Participant.State.JUDGING:
        participant = progress.advance(participant)
        place = flow.place_of(participant)
    return participant, place


def show(
    request: HttpRequest, participant: Participant, place: Place, *, status: int = 200, **extra: Any
) -> HttpResponse:
    """The page of a place. A fragment brings its address along when that has changed."""
    context = _BUILDERS[place.page](request, participant, place)
    response = page(request, participant.study, place.page, {**context, **extra}, status)
    if is_fragment(request):
        address = flow.page_url(participant.study.slug, place.page)
        if urlsplit(request.headers.get("HX-Current-URL", "")).path != address:
            response["HX-Push-Url"] = address
    return response


def go_on(request: HttpRequest, participant: Participant, *, fresh: bool = False) -> HttpResponse:
    """The answer to a POST: the next fragment for htmx, else a redirect to the page where the person belongs.

    `fresh`: the service called has brought `participant` up to date.
    """
    if not fresh:
        participant.refresh_from_db(fields=progress.MOVING)
    participant, place = current(participant)
    if is_fragment(request):
        return show(request, participant, place)
    return uncached(redirect_to(flow.page_url(participant.study.slug, place.page)))


class SeeOther(HttpResponseRedirect):
    """303: the browser follows with a GET, whatever it sent."""

    status_code = 303


def redirect_to(address: str) -> HttpResponse:
    """Leave for `address`."""
    return SeeOther(address)


def sent_to(request: HttpRequest, address: str) -> HttpResponse:
    """Leave for another whole page, from htmx too."""
    if is_fragment(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = address
        return uncached(response)
    return uncached(redirect_to(address))


def for_participants(view: Callable[Concatenate[HttpRequest, Participant, P], HttpResponse]) -> View[P]:
    """A view of somebody signed in: strangers go to the entry page; who comes is noted at most once a minute."""

    @wraps(view)
    @require_http_methods(["GET", "HEAD", "POST"])
    def wrapped(request: HttpRequest, slug: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        participant = participant_of(request, slug)
        if participant is None:
            return sent_to(request, flow.page_url(slug, "entry"))
        progress.seen(participant)
        return uncached(view(request, participant, *args, **kwargs))

    return cast("View[P]", wrapped)


def _wake(participant: Participant, pair: str | None) -> None:
    """Out of a time-out: a page may stay open longer than the lease, and the form that is on it then still counts."""
    own = (
        rows.objects.filter(participant=participant).values_list("opaque_id", flat=True)
        for rows in (Preference, Comparison)
    )
    if pair is None or pair in chain(*own):
        leaving.resume(participant)


def state_page(name: str, act: Callable[[HttpRequest, Participant, Place], HttpResponse] | None = None) -> View[[]]:
    """The view of a page that the recorded state decides. GET shows it, POST acts, others go where they belong."""

    def view(request: HttpRequest, participant: Participant) -> HttpResponse:
        if request.method == "POST" and act is not None:
            if participant.state == Participant.State.TIMED_OUT:
                _wake(participant, request.POST.get("pair"))
            return act(request, participant, Place(name))
        participant, place = current(participant)
        if place.page == name:
            return show(request, participant, place)
        if is_fragment(request):
            return show(request, participant, place)
        return redirect_to(flow.page_url(participant.study.slug, place.page))

    view.__name__ = f"{name}_page"
    return for_participants(view)
