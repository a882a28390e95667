"""The socket: it says "look" to the right person, nothing else to anybody, and its loss costs nothing."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from channels.layers import get_channel_layer
from django.core import signing
from django.db import connections

from annotations.models import Comparison
from inference.models import Generation
from studyapp import live, sockets
from studyapp.models import Participant, Study
from tests import factory
from tests.studyapp.websocket import PATIENCE_S, Socket, websocket

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.timeout(60)]
BASE = Path(__file__).parents[2]
LOOK = {"look": True}
_NOWHERE = {
    "BACKEND": "channels_redis.core.RedisChannelLayer",
    "CONFIG": {"hosts": [{"address": "unix:///nonexistent/redis.sock?db=1", "socket_connect_timeout": 1}]},
}
DEAD = {"default": _NOWHERE, "nudges": _NOWHERE}


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
def anna(study: Study) -> Participant:
    return factory.elicited(study)


@pytest.fixture
def ben(study: Study) -> Participant:
    return factory.elicited(study)


def socket_of(person: Participant | None, *, origin: str | None = "http://127.0.0.1", slug: str = "small") -> Socket:
    """A socket as the person's browser would open it."""
    cookies = {}
    if person is not None:
        cookies["palate"] = signing.TimestampSigner(salt="palate.participant.small").sign(person.code)
    return websocket(f"/s/{slug}/live/", origin=origin, csrftoken="x", **cookies)


async def opened(person: Participant) -> Socket:
    """The person's open socket, its first frame read."""
    socket = socket_of(person)
    connected, _ = await socket.connect()
    assert connected
    assert json.loads(await socket.hear()) == LOOK
    return socket


async def test_a_finished_text_nudges_its_person_and_nobody_else(anna: Participant, ben: Participant) -> None:
    hers, his = await opened(anna), await opened(ben)
    generation = await Generation.objects.filter(owner=anna).afirst()
    assert generation is not None
    await sync_to_async(live.generations_changed)([generation.pk])
    assert json.loads(await hers.hear()) == LOOK
    assert await his.receive_nothing(timeout=0.5)
    await hers.close()
    await his.close()


async def test_every_frame_is_the_same_whichever_arm_finished(anna: Participant) -> None:
    socket = await opened(anna)
    frames = set()
    async for generation in Generation.objects.filter(owner=anna):
        await sync_to_async(live.generations_changed)([generation.pk])
        frames.add(await socket.hear())
    assert frames == {sockets.LOOK}
    await socket.close()


@pytest.mark.parametrize("origin", ["https://evil.example", None, "null"])
async def test_a_foreign_origin_is_refused(anna: Participant, origin: str | None) -> None:
    connected, _ = await socket_of(anna, origin=origin).connect()
    assert not connected


async def test_a_stranger_is_refused(study: Study) -> None:
    connected, code = await socket_of(None).connect()
    assert (connected, code) == (False, sockets.NOT_SIGNED_IN)


async def test_a_cookie_opens_no_other_study(anna: Participant) -> None:
    await sync_to_async(factory.open_study)("other", max_enrolled=2)
    connected, _ = await socket_of(anna, slug="other").connect()
    assert not connected


async def test_what_the_browser_says_is_ignored(anna: Participant, ben: Participant) -> None:
    hers, his = await opened(anna), await opened(ben)
    for frame in ('{"type": "look"}', "x" * 10_000, '{"join": "participant.1"}'):
        await hers.say(text=frame)
    await hers.say(bytes=b"\x00\xff")
    assert await his.receive_nothing(timeout=0.3)
    assert await hers.receive_nothing(timeout=0.3)
    await hers.close()
    await his.close()


async def test_a_socket_outlives_a_quiet_minute_of_its_layer(anna: Participant) -> None:
    """The layer asks Redis in blocks of 5 s; a read time-out as short as that once ended every quiet socket."""
    socket = await opened(anna)
    await asyncio.sleep(6)
    await sync_to_async(live.nudge)([anna.pk])
    assert json.loads(await socket.hear()) == LOOK
    await socket.close()


async def test_with_redis_dead_the_socket_closes_without_a_traceback(anna: Participant, settings: Any) -> None:
    settings.CHANNEL_LAYERS = DEAD
    socket = socket_of(anna)
    connected, _ = await socket.connect()
    if connected:
        output = await socket.receive_output(PATIENCE_S)
        assert output["type"] == "websocket.close"
    await socket.wait(PATIENCE_S)


async def test_a_room_of_sockets_gets_one_frame_each(anna: Participant) -> None:
    tabs = [await opened(anna) for _ in range(3)]
    await sync_to_async(live.nudge)([anna.pk, anna.pk + 10_000])
    for tab in tabs:
        assert json.loads(await tab.hear()) == LOOK
        await tab.close()


def test_with_redis_dead_a_text_is_settled_all_the_same(anna: Participant, settings: Any) -> None:
    settings.CHANNEL_LAYERS = DEAD
    row = Comparison.objects.filter(participant=anna, kind="arms").order_by("position").first()
    assert row is not None
    for pk in (row.generation_a_id, row.generation_b_id):  # type: ignore[attr-defined]
        Generation.objects.filter(pk=pk).update(state="ready", text="A text.", claim_id=None)
        live.generations_changed([pk])
    row.refresh_from_db()
    assert row.state == "ready"


def test_a_text_of_nobody_nudges_nobody(study: Study) -> None:
    spare = Generation.objects.filter(study=study, owner=None).last()
    assert spare is not None
    live.generations_changed([spare.pk])
    live.nudge([])
    assert get_channel_layer() is not None


async def test_a_socket_that_comes_and_goes_at_once_leaves_no_task_behind(anna: Participant) -> None:
    before = len(asyncio.all_tasks())
    for _ in range(8):
        socket = socket_of(anna)
        await socket.send_input({"type": "websocket.connect"})
        await socket.send_input({"type": "websocket.disconnect", "code": 1001})
        await socket.wait(PATIENCE_S)
    await asyncio.sleep(0.1)
    assert len(asyncio.all_tasks()) <= before + 1


def test_a_nudge_as_a_program_ends_is_no_traceback() -> None:
    """A command's last commit nudges while the interpreter shuts down: threads can no longer be started then."""
    script = "from studyapp import live; [live._send([f'desk-{n}']) for n in range(20)]"
    command = [sys.executable, "manage.py", "shell", "--no-imports", "--command", script]
    done = subprocess.run(command, cwd=BASE, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
