"""`python -m tests.drills.crowd SLUG PEOPLE THINK URL`: simulated people who keep watch; their account as JSON.

They come all at once, load a page again when the server says that it failed, and note every pair that is shown to them
after its answer was acknowledged.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from dataclasses import dataclass, field
from typing import Any

import django
import httpx
from django.db import connections

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
    django.setup()

from studyapp.services import entry, studies
from studyapp.simulate.browser import Browser, Form, Page
from studyapp.simulate.crowd import _account
from studyapp.simulate.habits import Mind
from studyapp.simulate.person import Diary, Person

SEED = 5
PATIENCE = 120


@dataclass
class Watchful(Browser):
    """A browser that remembers what it has answered and complains when it is asked again."""

    answered: set[str] = field(default_factory=set)
    shown: list[str] = field(default_factory=list)
    asked_again: list[str] = field(default_factory=list)
    failures: int = 0

    async def _ask(self, method: str, url: str, **options: object) -> httpx.Response:
        for _ in range(PATIENCE):
            response = await Browser._ask(self, method, url, **options)
            if response.status_code < 500:
                break
            self.failures += 1
            await asyncio.sleep(0.5)
        return response

    async def send(self, form: Form, values: dict[str, str]) -> httpx.Response:
        """Send a form; an answer without an error acknowledges its pair."""
        response = await Browser.send(self, form, values)
        if "pair" in form.fields and response.status_code < 400:
            self.answered.add(form.fields["pair"])
        return response

    async def _show(self, response: httpx.Response) -> Page:
        page = await Browser._show(self, response)
        node = page.tree.css_first("input[name=pair]")
        if node is not None:
            pair = node.attributes.get("value") or ""
            self.shown.append(pair)
            if pair in self.answered:
                self.asked_again.append(pair)
        return page


async def _everybody(slug: str, invites: list[str], think: float, url: str) -> list[tuple[Watchful, Diary]]:
    async def one(number: int, invite: str) -> tuple[Watchful, Diary]:
        browser = Watchful(url)
        return browser, await Person(Mind.of(number, SEED), browser, slug, invite, think).live()

    return await asyncio.gather(*(one(number, invite) for number, invite in enumerate(invites)))


def send(slug: str, people: int, think: float, url: str) -> dict[str, Any]:
    """The account of a crowd, with what its browsers noticed."""
    invites = entry.make_invites(studies.find(slug), people, simulated=True)
    connections.close_all()  # the database may be another one's by the time of the account
    began = time.monotonic()
    came = asyncio.run(_everybody(slug, invites, think, url))
    account = _account([diary for _, diary in came], invites, time.monotonic() - began).to_json()
    browsers = [browser for browser, _ in came]
    return account | {
        "asked_again": [pair for browser in browsers for pair in browser.asked_again],
        "answered": sum(len(browser.answered) for browser in browsers),
        "shown": sum(len(browser.shown) for browser in browsers),
        "failures": sum(browser.failures for browser in browsers),
    }


if __name__ == "__main__":
    print(json.dumps(send(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])))
