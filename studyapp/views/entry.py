"""The entry page. Opening it creates nothing; its button does, once, within the limit, while there are places."""

from __future__ import annotations

import logging
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods
from django_ratelimit.core import get_usage
from redis.exceptions import RedisError

from annotations.selectors import SECONDS_PER_ELICITATION_PAIR, SECONDS_PER_JUDGED_PAIR
from studyapp import flow
from studyapp.models import Invite, Participant, Seat, Study
from studyapp.services import entry as door
from studyapp.services import seats
from studyapp.services.entry import BadInvite, KnownPerson, StudyClosed, StudyFull
from studyapp.views.arrival import Arrival, arrival_from
from studyapp.views.device import device_class, household_of, participant_of, sign_in
from studyapp.views.pages import Context, page, redirect_to, uncached
from studyapp.views.resume import welcome_back

logger = logging.getLogger(__name__)


def is_full(study: Study) -> bool:
    """True when every planned place is taken or held."""
    if seats.capacity(study) is None:
        return False
    return not Seat.objects.filter(study=study, state=Seat.State.FREE).exists()


def minutes_of(study: Study) -> int:
    """About how long the study takes: what its protocol tells people, else by its number of pairs."""
    spec = study.spec
    if spec.pay.minutes:
        return round(spec.pay.minutes)
    pairs = spec.elicitation.shots + spec.elicitation.probes + spec.elicitation.repeats
    judged = spec.main_items + spec.control_items
    return max(1, round((pairs * SECONDS_PER_ELICITATION_PAIR + judged * SECONDS_PER_JUDGED_PAIR) / 60))


def _front(study: Study, arrival: Arrival) -> Context:
    spec = study.spec
    elicited = spec.elicitation.shots + spec.elicitation.probes + spec.elicitation.repeats
    return {
        "title": study.title,
        "elicited": elicited,
        "judged": spec.main_items + spec.control_items,
        "minutes": minutes_of(study),
        "pay": spec.pay,
        "hidden": arrival.hidden,
        "missing": arrival.missing,
        "personal": arrival.is_personal,
    }


def _returning(slug: str, arrival: Arrival) -> Participant | None:
    """Who the link proves to be, if they were here before: by invite, or by panel id with the entry's session."""
    entry = arrival.entry
    if entry.invite:
        return door.by_invite(slug, entry.invite)
    return door.by_panel(slug, entry.panel, entry.panel_id, entry.panel_session) if entry.panel_id else None


def _is_theirs(arrival: Arrival, here: Participant) -> bool:
    """True when the link's panel id is that of the person whom the browser's own cookie proves."""
    entry = arrival.entry
    if not entry.panel_id or entry.panel != here.panel:
        return False
    return door.panel_key(here.study, entry.panel, entry.panel_id) == here.panel_key


@require_http_methods(["GET", "HEAD", "POST"])
def entry(request: HttpRequest, slug: str) -> HttpResponse:
    """GET explains; POST enrols, or brings back whoever was here before."""
    study = door.serving(slug)
    if study is None:
        raise Http404(f"There is no open study called {slug}.")
    here = participant_of(request, slug)
    given = request.POST if request.method == "POST" else request.GET
    arrival = arrival_from(given.dict(), device_class(request))
    known = _returning(slug, arrival) if arrival.is_personal or not here else None
    if here and (known == here or not arrival.is_personal or _is_theirs(arrival, here)):
        return uncached(redirect_to(flow.url_for(here)))
    if request.method == "POST":
        return welcome_back(known) if known else _enrol(request, study, arrival)
    if known is None and not arrival.entry.invite and (not study.takes_people or is_full(study)):
        return _no_place(request, study, "full" if study.takes_people else "closed")
    return page(request, study, "entry", _front(study, arrival))


def _enrol(request: HttpRequest, study: Study, arrival: Arrival) -> HttpResponse:
    if arrival.missing is not None:
        errors = {arrival.missing.id: f"Please type {arrival.missing.label[0].lower()}{arrival.missing.label[1:]}."}
        return page(request, study, "entry", {**_front(study, arrival), "errors": errors}, 422)
    wait_s = 0 if _is_simulated(study, arrival) else seconds_over_limit(request)
    if wait_s:
        return _too_many(request, study, arrival, wait_s)
    try:
        participant = door.enrol(study, arrival.entry)
    except KnownPerson as known:
        if known.may_resume:
            return welcome_back(known.participant)
        return page(request, study, "known", {"title": "You have been here before"}, 409)
    except StudyFull:
        return _no_place(request, study, "full")
    except StudyClosed:
        return _no_place(request, study, "closed")
    except BadInvite:
        return page(request, study, "bad_invite", {"title": "This invitation does not work"}, 403)
    return uncached(sign_in(redirect_to(flow.url_for(participant)), participant))


def _no_place(request: HttpRequest, study: Study, why: str) -> HttpResponse:
    title = "All places are taken" if why == "full" else "This study is not taking anybody now"
    return page(request, study, "no_place", {"title": title, "why": why})


def _is_simulated(study: Study, arrival: Arrival) -> bool:
    invite = arrival.entry.invite
    return (
        bool(invite) and Invite.objects.filter(study=study, token_hash=door.token_hash(invite), simulated=True).exists()
    )


def seconds_over_limit(request: HttpRequest) -> int:
    """Count one enrolment of this address; 0 within the limit, else seconds to wait. Without Redis: no limit."""
    try:
        usage = get_usage(
            request, group="enrol", key=lambda group, r: household_of(r), rate=settings.ENROL_LIMIT, increment=True
        )
    except (RedisError, OSError) as problem:
        logger.warning("The enrolment limit is off while Redis does not answer: %s", problem)
        return 0
    return max(1, usage["time_left"]) if usage and usage["should_limit"] else 0


def _too_many(request: HttpRequest, study: Study, arrival: Arrival, wait_s: int) -> HttpResponse:
    address = flow.page_url(study.slug, "entry")
    context = {
        "title": "One moment, please",
        "hidden": arrival.hidden,
        "wait_s": wait_s,
        "refresh": {"seconds": wait_s, "url": _with_parameters(address, arrival)},
    }
    response = page(request, study, "too_many", context, 429)
    response["Retry-After"] = str(wait_s)
    return response


def _with_parameters(address: str, arrival: Arrival) -> str:
    kept = {name: value for name, value in arrival.hidden.items() if name != "mark"}
    return f"{address}?{urlencode(kept)}" if kept else address
