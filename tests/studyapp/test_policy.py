"""The policy that is built once is the one that django-csp builds."""

from __future__ import annotations

from typing import Any

import pytest
from csp.constants import HEADER
from csp.decorators import csp_exempt, csp_update
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from studyapp.policy import PolicyMiddleware


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page")


def set_already(request: HttpRequest) -> HttpResponse:
    return HttpResponse("a page", headers={HEADER: "default-src 'self'"})


def with_a_nonce(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.csp_nonce) and "a page")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "view",
    [plain, set_already, with_a_nonce, csp_exempt()(plain), csp_update({"img-src": ["example.org"]})(plain)],
)
@pytest.mark.parametrize("path", ["/s/demo/judge/", "/admin/", "/admin/login/", "/administrator"])
def test_it_is_what_django_csp_says(view: Any, path: str) -> None:
    answers: list[Any] = [
        middleware(view)(RequestFactory().get(path)) for middleware in (PolicyMiddleware, CSPMiddleware)
    ]
    ours, theirs = (directives(answer.headers.get(HEADER)) for answer in answers)
    assert ours == theirs


def directives(header: str | None) -> set[str]:
    return {part.strip() for part in (header or "").split(";")}
