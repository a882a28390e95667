"""A researcher at the admin's pages: signs in, follows links, sends forms."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any
from unittest.mock import patch
from urllib.parse import urljoin, urlsplit

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

LOOPS = re.compile(r"/admin/(logout|jsi18n|password_change)/")


def researcher(name: str = "rosa", *permissions: str, superuser: bool = False) -> Client:
    """A signed-in client of staff with these permissions (`app.codename`); every one of them as superuser.

    Nobody here has a password: hashing one takes longer than most tests.
    """
    user = get_user_model().objects.create_user(name, is_staff=True, is_superuser=superuser)
    for permission in permissions:
        app, _, codename = permission.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client


def links(address: str, html: str) -> set[str]:
    """Addresses under /admin/ that a page leads to, htmx's included."""
    found = set()
    for node in LexborHTMLParser(html).css("[href], [hx-get]"):
        for name in ("href", "hx-get"):
            parts = urlsplit(urljoin(address, node.attributes.get(name) or "#"))
            if parts.path.startswith("/admin/") and not parts.netloc:
                found.add(parts.path + (f"?{parts.query}" if parts.query else ""))
    return {link for link in found if not LOOPS.match(link)}


def shape(address: str) -> str:
    """Addresses of one shape differ in numbers and values only: `/admin/studyapp/event/#/change/`."""
    parts = urlsplit(address)
    return re.sub(r"\d+", "#", parts.path) + "?" + "&".join(sorted(re.findall(r"([^=&]+)=", parts.query)))


@patch("django.test.client.store_rendered_templates", lambda *args, **more: None)
def crawl(client: Client, *starts: str, each: int = 2, limit: int = 200) -> dict[str, Any]:
    """What can be reached by links, `each` pages of a shape, and all of `starts`; responses by address.

    Of filters and orderings one at a time is followed. A page that breaks fails the test. The responses have no
    `context`: copying what every template of every page was given takes a seventh of the time.
    """
    pages: dict[str, Any] = {}
    seen: Counter[str] = Counter()
    todo = ["/admin/", *starts]
    while todo and len(pages) < limit:
        address = todo.pop()
        kind = shape(address)
        if address in pages or "&" in kind or (address not in starts and seen[kind] >= each):
            continue
        seen[kind] += 1
        response = client.get(address)
        assert response.status_code in (200, 202, 302, 403, 404), f"{address}: {response.status_code}"
        pages[address] = response
        if response.status_code == 302:
            todo.append(urljoin(address, response["Location"]))
        elif response["Content-Type"].startswith("text/html"):
            todo += sorted(links(address, response.content.decode()) - pages.keys())
    assert len(pages) < limit, "the crawl did not come to an end"
    return pages


def text_of(response: Any) -> str:
    """A response's headers, cookies and body: everything that leaves."""
    return f"{response.headers}{response.cookies}{response.content.decode()}"
