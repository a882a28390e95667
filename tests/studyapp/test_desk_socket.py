"""The researchers' socket: it says "look" to staff who may see the study of its page, and nothing to anybody else."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from channels.db import database_sync_to_async
from django.core import signing
from django.db import connections, transaction
from django.test import Client

from inference.models import Generation
from studyapp import live, sockets
from studyapp.models import Study
from studyapp.services import entry
from studyapp.services.entry import Entry
from tests import factory
from tests.studyapp.staff import researcher
from tests.studyapp.test_live import DEAD
from tests.studyapp.websocket import PATIENCE_S, Socket, websocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]
VIEW = "studyapp.view_study"


@pytest.fixture(autouse=True)
def short_connections() -> Iterator[None]:
    """The sockets' threads outlive the tests: their database connections must not."""
    kept = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = 0
    yield
    connections.settings["default"]["CONN_MAX_AGE"] = kept


@pytest.fixture
def study() -> Study:
    return factory.open_study(max_enrolled=4)


@pytest.fixture
def rosa() -> Client:
    return researcher("rosa", VIEW)


def socket_of(client: Client | None, study: Study, *, origin: str | None = "http://127.0.0.1") -> Socket:
    """The socket of the study's page as the client's browser would open it."""
    cookies = {} if client is None else {"sessionid": client.cookies["sessionid"].value}
    return websocket(f"/admin/studyapp/study/{study.pk}/socket/", origin=origin, **cookies)


async def opened(client: Client, study: Study) -> Socket:
    """An open socket, its greeting read."""
    socket = socket_of(client, study)
    assert (await socket.connect())[0]
    assert await socket.hear() == sockets.LOOK
    return socket


async def test_whoever_enters_is_told_to_those_who_watch_that_study_and_to_nobody_else(
    rosa: Client, study: Study
) -> None:
    other = await database_sync_to_async(factory.open_study)("other", max_enrolled=2)
    hers, elsewhere = await opened(rosa, study), await opened(rosa, other)
    live.pace.forget()
    await database_sync_to_async(entry.enrol)(study, Entry())
    assert json.loads(await hers.hear()) == {"look": True}
    assert await elsewhere.receive_nothing(timeout=0.5)
    await hers.close()
    await elsewhere.close()


async def test_a_finished_text_is_told_with_the_same_bytes_whichever_arm_it_is_of(rosa: Client, study: Study) -> None:
    await database_sync_to_async(factory.elicited)(study)
    socket = await opened(rosa, study)
    frames = set()
    for arm in ("fspo", "base"):
        generation = await Generation.objects.filter(study=study, arm=arm).afirst()
        assert generation is not None
        live.pace.forget()
        await database_sync_to_async(live.generations_changed)([generation.pk])
        frames.add(await socket.hear())
    assert frames == {sockets.LOOK}
    await socket.close()


async def test_a_change_that_is_rolled_back_is_told_to_nobody(rosa: Client, study: Study) -> None:
    def enrol_and_fail() -> None:
        with transaction.atomic():
            entry.enrol(study, Entry())
            transaction.set_rollback(True)

    socket = await opened(rosa, study)
    live.pace.forget()
    await database_sync_to_async(enrol_and_fail)()
    assert await socket.receive_nothing(timeout=0.5)
    await socket.close()


async def test_a_busy_study_nudges_once_in_a_while_not_with_every_event(rosa: Client, study: Study) -> None:
    socket = await opened(rosa, study)
    live.pace.forget()
    for _ in range(4):
        await database_sync_to_async(entry.enrol)(study, Entry())
    assert await socket.hear() == sockets.LOOK
    assert await socket.receive_nothing(timeout=0.5)
    await socket.close()


def plain_user() -> Client:
    """Somebody with an account and even the permission, but not of the staff."""
    client = researcher("nina", VIEW)
    type(user_of(client)).objects.filter(username="nina").update(is_staff=False)
    return client


def switched_off() -> Client:
    """Staff whose account was switched off while signed in."""
    client = researcher("otto", VIEW)
    type(user_of(client)).objects.filter(username="otto").update(is_active=False)
    return client


def user_of(client: Client) -> Any:
    """The signed-in user."""
    from django.contrib.auth import get_user

    return get_user(client)  # type: ignore[arg-type]


def signed_out() -> Client:
    """Staff whose session is over; the browser still has its cookie."""
    client = researcher("paul", VIEW)
    client.session.flush()
    return client


@pytest.mark.parametrize(
    "who", [plain_user, switched_off, signed_out, lambda: researcher("newcomer"), lambda: None],
    ids=["not staff", "switched off", "signed out", "without the permission", "a stranger"],
)  # fmt: skip
async def test_who_may_not_see_the_page_gets_no_socket(study: Study, who: Any) -> None:
    client = await database_sync_to_async(who)()
    connected, code = await socket_of(client, study).connect()
    assert (connected, code) == (False, sockets.NOT_SIGNED_IN)


async def test_a_participants_cookie_opens_no_researchers_socket(study: Study) -> None:
    anna = await database_sync_to_async(factory.consented)(study)
    signed = signing.TimestampSigner(salt="palate.participant.small").sign(anna.code)
    connected, _ = await websocket(f"/admin/studyapp/study/{study.pk}/socket/", palate=signed).connect()
    assert not connected


@pytest.mark.parametrize("origin", ["https://evil.example", None, "null"])
async def test_a_foreign_origin_is_refused_whoever_is_signed_in(rosa: Client, study: Study, origin: str | None) -> None:
    connected, _ = await socket_of(rosa, study, origin=origin).connect()
    assert not connected


async def test_a_study_that_is_not_there_has_no_socket(rosa: Client, study: Study) -> None:
    study.pk += 1000
    connected, code = await socket_of(rosa, study).connect()
    assert (connected, code) == (False, sockets.NOT_SIGNED_IN)


async def test_with_redis_dead_the_socket_closes_and_people_still_enter(
    rosa: Client, study: Study, settings: Any
) -> None:
    settings.CHANNEL_LAYERS = DEAD
    socket = socket_of(rosa, study)
    if (await socket.connect())[0]:
        assert (await socket.receive_output(PATIENCE_S))["type"] == "websocket.close"
    await socket.wait(PATIENCE_S)
    live.pace.forget()
    began = time.monotonic()
    assert (await database_sync_to_async(entry.enrol)(study, Entry())).state == "enrolled"
    assert time.monotonic() - began < 3


def test_the_sockets_address_asked_without_a_socket_is_no_page(rosa: Client, study: Study) -> None:
    assert rosa.get(f"/admin/studyapp/study/{study.pk}/socket/").status_code == 426
