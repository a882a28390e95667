"""Sockets that say "look again": a participant's, and a researcher's on a study's page. What they hear is ignored.

Each joins one group: its own person's, or that of the study whose page it belongs to. Redis may die at any time: then
pages poll, and nothing here raises.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from http.cookies import CookieError, SimpleCookie
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.urls import re_path

from studyapp.live import TROUBLE, desk_of, group_of
from studyapp.models import Participant, Study
from studyapp.views.device import code_in

logger = logging.getLogger(__name__)
LOOK = '{"look": true}'
NOT_SIGNED_IN = 4401
END_S = 1.0
Application = Callable[[Any, Any, Any], Awaitable[None]]


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
    """A socket that joins one group, if its browser may, and passes nudges on. Subclasses name the group.

    `AllowedHostsOriginValidator` around it refuses foreign origins; a browser without rights is closed with 4401.
    """

    def find_group(self) -> str | None:
        """The one group of this browser; None refuses it. Called on a thread: it may ask the database."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Run the socket; a dead channel layer ends it without a traceback."""
        try:
            await super().__call__(scope, receive, send)
        except TROUBLE as problem:
            logger.warning("A live socket ended, its page polls: %s", problem)
            await _close_quietly(send)

    async def connect(self) -> None:
        """Join one's own group, or be refused."""
        group = await database_sync_to_async(self.find_group)()
        if group is None:
            await self.close(code=NOT_SIGNED_IN)
            return
        await self.accept()
        self.group = group
        await self.channel_layer.group_add(self.group, self.channel_name)
        # Something may have happened between the page and its socket.
        await self.send(text_data=LOOK)

    async def disconnect(self, code: int) -> None:
        """Leave the group; a dead layer forgets it by itself."""
        group = getattr(self, "group", None)
        if group is None:
            return
        try:
            await self.channel_layer.group_discard(group, self.channel_name)
        except TROUBLE as problem:
            logger.warning("A live socket could not leave its group: %s", problem)

    async def look(self, event: dict[str, Any]) -> None:
        """Pass a nudge on."""
        await self.send(text_data=LOOK)


class PersonConsumer(LookConsumer):
    """A participant's. Its address is under the study's, where the browser sends the study's cookie."""

    def find_group(self) -> str | None:
        """The person of the signed cookie."""
        slug = self.scope["url_route"]["kwargs"]["slug"]
        participant_id = _participant_id(slug, _cookies(self.scope["headers"]))
        return None if participant_id is None else group_of(participant_id)


class DeskConsumer(LookConsumer):
    """A researcher's, for the page of one study: signed-in staff who may see studies."""

    def find_group(self) -> str | None:
        """The study of the address, for those whom the admin would show its page."""
        user, study_id = self.scope["user"], int(self.scope["url_route"]["kwargs"]["study_id"])
        if not (user.is_active and user.is_staff and user.has_perm("studyapp.view_study")):
            return None
        return desk_of(study_id) if Study.objects.filter(pk=study_id).exists() else None


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
    re_path(r"^(?:ws/)?s/(?P<slug>[-a-zA-Z0-9_]+)/(?:live/)?$", PersonConsumer.as_asgi()),
    re_path(r"^admin/studyapp/study/(?P<study_id>[0-9]{1,18})/socket/$", AuthMiddlewareStack(DeskConsumer.as_asgi())),
]
