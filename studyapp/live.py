"""One door out: a nudge that says "look again" to the people a text concerns. Never text, never arm, never whose.

The socket joins nothing but its own participant's group. Redis may die at any time: then nobody is nudged, the page's
own polling moves people on, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from channels.exceptions import ChannelFull
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer
from django.urls import re_path
from redis.exceptions import RedisError

from annotations import services
from studyapp.models import Participant
from studyapp.views.device import code_in

logger = logging.getLogger(__name__)
LOOK = '{"look": true}'
NOT_SIGNED_IN = 4401
END_S = 1.0
Application = Callable[[Any, Any, Any], Awaitable[None]]
_LAYER_TROUBLE = (RedisError, OSError, ChannelFull, TimeoutError)


def group_of(participant_id: int) -> str:
    """The channel group of one person."""
    return f"participant.{participant_id}"


def generation_changed(generation_id: int) -> None:
    """A text became ready or failed: settle its pairs and nudge the people concerned."""
    nudge(services.settle(generation_id))


def nudge(participant_ids: Iterable[int]) -> None:
    """Tell these people's pages to look again. Losing a nudge costs seconds, so trouble is logged and forgotten."""
    ids = list(participant_ids)
    if not ids:
        return
    try:
        async_to_sync(_send)(ids)
    except _LAYER_TROUBLE as problem:
        logger.warning("Nobody was nudged, pages will poll: %s", problem)


async def _send(participant_ids: list[int]) -> None:
    layer = get_channel_layer()
    for participant_id in participant_ids:
        await layer.group_send(group_of(participant_id), {"type": "look"})


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    jar: SimpleCookie = SimpleCookie()
    for name, value in headers:
        if name.lower() == b"cookie":
            try:
                jar.load(value.decode("latin-1"))
            except CookieError:
                return {}
    return {key: morsel.value for key, morsel in jar.items()}


def _participant_id(slug: str, cookies: dict[str, str]) -> int | None:
    code = code_in(cookies, slug)
    if code is None:
        return None
    return Participant.objects.filter(study__slug=slug, code=code).values_list("pk", flat=True).first()


class LookConsumer(AsyncWebsocketConsumer):
    """A participant's socket. Its address is under the study's, where the browser sends the study's cookie.

    `AllowedHostsOriginValidator` around it refuses foreign origins; a socket without the signed cookie is closed with
    4401. What the browser says is ignored.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the socket; a dead channel layer ends it without a traceback."""
        try:
            await super().__call__(scope, receive, send)
        except _LAYER_TROUBLE as problem:
            logger.warning("A live socket ended, its page polls: %s", problem)
            await _close_quietly(send)

    async def connect(self) -> None:
        """Join one's own group, or be refused."""
        slug = self.scope["url_route"]["kwargs"]["slug"]
        participant_id = await database_sync_to_async(_participant_id)(slug, _cookies(self.scope["headers"]))
        if participant_id is None:
            await self.close(code=NOT_SIGNED_IN)
            return
        await self.accept()
        self.group = group_of(participant_id)
        await self.channel_layer.group_add(self.group, self.channel_name)
        # A text may have come between the page and its socket.
        await self.send(text_data=LOOK)

    async def disconnect(self, code: int) -> None:
        """Leave the group; a dead layer forgets it by itself."""
        group = getattr(self, "group", None)
        if group is None:
            return
        try:
            await self.channel_layer.group_discard(group, self.channel_name)
        except _LAYER_TROUBLE as problem:
            logger.warning("A live socket could not leave its group: %s", problem)

    async def look(self, event: dict[str, Any]) -> None:
        """Pass a nudge on."""
        await self.send(text_data=LOOK)


def ends_in_time(application: Application) -> Application:
    """Cancel a socket's task once more when it outlives its browser.

    The Redis client can swallow a cancellation that meets it in the middle of a command; the task would then wait for
    messages to a socket that is gone, for ever. Refused sockets have such tasks too.
    """

    async def bounded(scope: Any, receive: Any, send: Any) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        alarms: list[asyncio.TimerHandle] = []

        async def heard() -> Any:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                alarms.append(loop.call_later(END_S, task.cancel))
            return message

        try:
            await application(scope, heard, send)
        finally:
            for alarm in alarms:
                alarm.cancel()

    return bounded


async def _close_quietly(send: Any) -> None:
    try:
        await send({"type": "websocket.close", "code": 1011})
    except (RuntimeError, OSError):
        logger.debug("The socket was closed already.")


websocket_urlpatterns = [
    re_path(r"^(?:ws/)?s/(?P<slug>[-a-zA-Z0-9_]+)/(?:live/)?$", LookConsumer.as_asgi()),
]
