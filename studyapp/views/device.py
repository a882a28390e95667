"""Which participant this browser is: one signed cookie per study, holding a pseudonymous code and nothing else.

No session row, no database write: the cookie is the whole sign-in. A second, short-lived cookie carries what may be
shown only once (a resume link, a receipt) over the redirect after a POST, so that a reload shows the same again.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from studyapp.models import Participant
from studyapp.services import entry

COOKIE = "palate"
ONCE = "palate_once"
KEEP_S = 30 * 24 * 3600
ONCE_S = 3600


def _signer(slug: str, purpose: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"palate.{purpose}.{slug}")


def code_in(cookies: dict[str, str], slug: str) -> str | None:
    """The participant code of a study's signed cookie; None when there is none, or it is forged or too old."""
    try:
        return _signer(slug, "participant").unsign(cookies.get(COOKIE, ""), max_age=KEEP_S)
    except signing.BadSignature:
        return None


def participant_of(request: HttpRequest, slug: str) -> Participant | None:
    """The participant this browser is signed in as in a study."""
    code = code_in(request.COOKIES, slug)
    return entry.by_code(slug, code) if code else None


def _set(response: HttpResponse, name: str, value: str, slug: str, seconds: int) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path=reverse("study:entry", args=[slug]),
        secure=settings.HTTPS,
        httponly=True,
        samesite="Lax",
    )


def sign_in(response: HttpResponse, participant: Participant) -> HttpResponse:
    """Make the browser that gets `response` the participant's."""
    slug = participant.study.slug
    _set(response, COOKIE, _signer(slug, "participant").sign(participant.code), slug, KEEP_S)
    return response


def keep_once(response: HttpResponse, participant: Participant, kind: str, value: str) -> HttpResponse:
    """Carry a value that the server cannot tell again over to the next page of this browser, for an hour."""
    slug = participant.study.slug
    _set(response, ONCE, _signer(slug, f"once.{kind}").sign(f"{participant.code}:{value}"), slug, ONCE_S)
    return response


def once(request: HttpRequest, participant: Participant, kind: str) -> str:
    """The value kept under `kind` for this participant; empty when there is none."""
    try:
        signed = _signer(participant.study.slug, f"once.{kind}").unsign(request.COOKIES.get(ONCE, ""), max_age=ONCE_S)
    except signing.BadSignature:
        return ""
    code, _, value = signed.partition(":")
    return value if code == participant.code else ""


def device_class(request: HttpRequest) -> str:
    """phone, tablet or desktop, as coarse as that: the user agent itself is never kept."""
    agent = request.headers.get("User-Agent", "").lower()
    if "ipad" in agent or "tablet" in agent or ("android" in agent and "mobile" not in agent):
        return "tablet"
    return "phone" if "mobi" in agent or "iphone" in agent else "desktop"


def _is_trusted(address: str) -> bool:
    try:
        ip = ip_address(address)
        return any(ip in ip_network(proxy, strict=False) for proxy in settings.TRUSTED_PROXIES)
    except ValueError:
        return address in settings.TRUSTED_PROXIES


def client_address(request: HttpRequest) -> str:
    """Who asks: the peer, or, behind trusted proxies alone, the nearest untrusted address they report."""
    address = request.META.get("REMOTE_ADDR") or "unknown"
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and _is_trusted(address):
        address = hops.pop()
    return address


def household_of(request: HttpRequest) -> str:
    """What the enrolment limit counts: the address, or the /64 network of an IPv6 one, all of which one home holds."""
    address = client_address(request)
    try:
        ip = ip_address(address)
    except ValueError:
        return address
    return str(ip_network(f"{ip}/64", strict=False)) if ip.version == 6 else address
