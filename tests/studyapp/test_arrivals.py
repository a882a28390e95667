"""A hundred browsers at the door in the same second, over HTTP and through the product's own application."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from channels.db import database_sync_to_async
from django.db import connections
from selectolax.lexbor import LexborHTMLParser

from annotations.models import Comparison, Preference
from studyapp.asgi import application
from studyapp.models import Event, Participant, Seat
from tests import factory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(120)]
ARRIVALS, PLACES = 100, 50


@pytest.fixture(autouse=True)
def short_connections() -> Iterator[None]:
    """The pages' threads outlive the test: their database connections must not."""
    kept = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = 0
    yield
    connections.settings["default"]["CONN_MAX_AGE"] = kept


def browser() -> httpx.AsyncClient:
    """A browser with cookies of its own."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(application), base_url="http://127.0.0.1")


async def form_of(person: httpx.AsyncClient) -> dict[str, str]:
    """The entry page's form, with its hidden fields."""
    page = LexborHTMLParser((await person.get("/s/small/")).text)
    fields = page.css("form input[type=hidden]")
    return {f.attributes["name"] or "": f.attributes.get("value") or "" for f in fields}


async def test_of_a_hundred_at_once_fifty_get_a_seat_and_fifty_are_told_before_any_work(settings: Any) -> None:
    settings.ENROL_LIMIT = "1000/m"
    await database_sync_to_async(factory.open_study)(max_enrolled=PLACES)
    crowd = [browser() for _ in range(ARRIVALS)]
    # All have seen the page, on which there were places.
    forms = [await form_of(person) for person in crowd]
    answers = await asyncio.gather(
        *(person.post("/s/small/", data=form) for person, form in zip(crowd, forms, strict=True))
    )
    seen = Counter((answer.status_code, answer.headers.get("location", "")) for answer in answers)
    assert seen == {(303, "/s/small/consent/"): PLACES, (200, ""): ARRIVALS - PLACES}
    assert all("All places are taken" in answer.text for answer in answers if answer.status_code == 200)
    inside = [person for person in crowd if "palate" in person.cookies]
    assert len(inside) == PLACES
    assert (await inside[0].get("/s/small/consent/")).status_code == 200
    await database_sync_to_async(nobody_is_half_enrolled)()
    for person in crowd:
        await person.aclose()


def nobody_is_half_enrolled() -> None:
    """As many people as seats are held, each on one of their own with its history row, and nothing else."""
    people = Participant.objects.filter(state="enrolled", seat__state="held")
    assert people.count() == Participant.objects.count() == people.values("seat").distinct().count() == PLACES
    assert Seat.objects.filter(state="free").count() == 0
    assert Event.objects.filter(kind="enrolled").values("participant").distinct().count() == PLACES
    assert not Preference.objects.exists()
    assert not Comparison.objects.exists()
