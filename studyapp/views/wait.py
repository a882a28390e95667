"""The wait page: honest progress, moved on by a nudge or by its own polling; past the deadline a paid way out,
or the later pairs that are there.
"""

from __future__ import annotations

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from annotations.models import Comparison
from annotations.selectors import missing_before_ready
from studyapp import flow
from studyapp.flow import Place
from studyapp.models import Participant
from studyapp.services import leaving, progress
from studyapp.views.pages import (
    Context,
    current,
    for_participants,
    go_on,
    is_fragment,
    page,
    redirect_to,
    show,
    shows,
    uncached,
)
from studyapp.views.pairs import whole_number

State = Comparison.State
POLL_S = 3


def _pairs(participant: Participant) -> dict[str, int]:
    """How many pairs are ready and how many are to come: counts alone, so that no text's time can be told."""
    rows = Comparison.objects.filter(participant=participant, state__in=[State.PLANNED, State.READY])
    return rows.aggregate(ready=Count("id", filter=Q(state=State.READY)), total=Count("id"))


def _deadlines_passed(participant: Participant) -> int:
    """How many whole deadlines this wait has lasted."""
    if not progress.past_deadline(participant) or participant.wait_started_at is None:
        return 0
    waited = (timezone.now() - participant.wait_started_at).total_seconds()
    return max(1, int(waited // participant.study.spec.wait.deadline_s))


@shows("wait")
def context(request: HttpRequest, participant: Participant, place: Place) -> Context:
    """Counts, the deadline, and where to look again. `stay` counts the deadlines after which somebody waited on."""
    slug, passed = participant.study.slug, _deadlines_passed(participant)
    stay = whole_number(request.GET.get("stay")) or 0
    pairs = _pairs(participant)
    offered = passed > stay
    later = offered and bool(missing_before_ready(participant.pk))
    return {
        "title": "Preparing your answers",
        "pairs": pairs,
        "offered": offered,
        "later": later,
        "passed": passed,
        "stay": stay,
        "seen": f"{pairs['ready']}-{pairs['total']}-{int(offered)}-{int(later)}",
        "poll_s": POLL_S,
        # Without scripts: not under the fingers of somebody who has to decide, and not against their wish.
        "refresh": not (offered or "still" in request.GET)
        and {"seconds": 5, "url": f"{flow.page_url(slug, 'wait')}?stay={stay}"},
        "live_url": reverse("study:live", args=[slug]),
        "paid": participant.study.spec.pay.amount is not None,
        "may_stop": True,
    }


@for_participants
def wait(request: HttpRequest, participant: Participant) -> HttpResponse:
    """GET looks again; a poll that would change nothing gets 204.

    Past the deadline POST leaves, with pay, or goes on with the later pairs that are there.
    """
    if request.method == "POST":
        if request.POST.get("leave") == "paid":
            leaving.leave_paid(participant)
        elif request.POST.get("skip") == "missing":
            progress.skip_missing(participant)
        return go_on(request, participant)
    participant, place = current(participant)
    if place.page != "wait":
        return _moved_on(request, participant, place)
    if not is_fragment(request):
        return show(request, participant, place)
    values = context(request, participant, place)
    if values["seen"] == request.GET.get("seen"):
        return uncached(HttpResponse(status=204))
    return page(request, participant.study, "_wait_status" if "seen" in request.GET else "wait", values)


def _moved_on(request: HttpRequest, participant: Participant, place: Place) -> HttpResponse:
    if not is_fragment(request):
        return redirect_to(flow.page_url(participant.study.slug, place.page))
    response = show(request, participant, place)
    response["HX-Retarget"], response["HX-Reswap"] = "#page", "innerHTML"
    return response
