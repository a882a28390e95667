"""Error pages: what happened, and what to do. Nobody sees a traceback."""

from __future__ import annotations

import logging

from django.http import HttpRequest, HttpResponse

from studyapp.views.pages import is_fragment, uncached
from studyapp.views.pages import page as render_page

logger = logging.getLogger(__name__)


def _error(request: HttpRequest, status: int, title: str) -> HttpResponse:
    if is_fragment(request):
        # What is on the screen is out of date: load it afresh.
        response = HttpResponse(status=status)
        response["HX-Refresh"] = "true"
        return uncached(response)
    return render_page(request, None, "error", {"title": title, "status": status}, status)


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """400."""
    return _error(request, 400, "We could not read that request")


def forbidden(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """403."""
    return _error(request, 403, "That is not allowed here")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404."""
    return _error(request, 404, "There is nothing at this address")


def server_error(request: HttpRequest) -> HttpResponse:
    """500: our fault, and said so even when templates or static files are what is broken."""
    try:
        return render_page(request, None, "error", {"title": "Something went wrong on our side", "status": 500}, 500)
    except Exception:
        logger.exception("The error page itself failed.")
        text = "Something went wrong on our side. What you gave so far is stored. Please load the page again."
        return HttpResponse(text, status=500, content_type="text/plain; charset=utf-8")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form without its key: a blocked cookie, or a page from long ago."""
    return _error(request, 403, "This page has been open for too long")
