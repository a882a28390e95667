"""Results of an unblinded study on the site: the main number first. Before unblinding there is nothing to see."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse

from studyapp.dashboard import asking, exports
from studyapp.models import ExportJob, Results, Study
from studyapp.services import standing

LATEST = 5  # exports shown
# A figure or a report opened by itself: nothing runs in it, nothing is fetched by it.
ALONE = "default-src 'none'; style-src 'unsafe-inline'; sandbox"


def show(admin: Any, request: HttpRequest, study: Study) -> HttpResponse:
    """The page: results, or that they are being made (202), or that they are masked (403)."""
    title = f"Results of {study}"
    if not study.is_unblinded:
        return asking.page(admin, request, study, "results_masked", 403, title=title, study=study)
    row = standing.ask(study)
    if row is None or row.state != Results.State.READY:
        response = asking.page(admin, request, study, "results_pending", 202, title=title, study=study, made=row)
    else:
        context = {"study": study, "made": row, **row.shown, **_links(request, study)}
        response = asking.page(admin, request, study, "results", title=title, **context)
    response["Cache-Control"] = "no-store"
    return response


def _links(request: HttpRequest, study: Study) -> dict[str, Any]:
    """Exports of the study that this account may see, and whether it may ask for one."""
    jobs = ExportJob.objects.filter(study=study).order_by("-pk")[:LATEST]
    may_see = request.user.has_perm(exports.VIEW)
    return {"jobs": list(jobs) if may_see else [], "may_export": request.user.has_perm(exports.ADD)}


def figure(study: Study, name: str) -> HttpResponse:
    """One figure as an SVG file. Raises Http404 where there is none, or none that stands."""
    row = standing.current(study, whole=True)
    if row is None or name not in row.figures:
        raise Http404("There is no such figure.")
    return _alone(row.figures[name], "image/svg+xml")


def report(study: Study) -> HttpResponse:
    """The report as one page, the hostile reviewer's objections in it. Raises Http404 where none stands."""
    row = standing.current(study, whole=True)
    if row is None:
        raise Http404("There is no report; the study's results say why.")
    return _alone(row.report, "text/html; charset=utf-8")


def latex(study: Study) -> HttpResponse:
    """The report's table for print. Raises Http404 where none stands."""
    row = standing.current(study, whole=True)
    if row is None:
        raise Http404("There is no table; the study's results say why.")
    return _alone(row.latex, "text/plain; charset=utf-8")


def _alone(content: str, kind: str) -> HttpResponse:
    headers = {"Content-Security-Policy": ALONE, "Cache-Control": "no-store"}
    return HttpResponse(content, content_type=kind, headers=headers)
