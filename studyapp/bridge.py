"""The bridge from ASGI to Django's synchronous stack: one thread hop a request, each thread with its own connection.

Under Django's own ASGI handler every middleware's hook and every view hops between threads; a WSGI adapter hops for
every part of the answer. All pages here are synchronous and small, so a request is read whole, answered whole on a pool
thread, and sent whole; only a file of more than a MiB goes out piece by piece. `docs/decisions/pages-on-threads.md` has
the figures.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.db import connection
from django.http import HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
MAX_BODY = 1024 * 1024
# A connection used this recently is not asked whether it lives: one statement in eight saved.
WARM_S = 1.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A response as ASGI sends it; `rest`: a large file's response, still to be sent and closed."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    rest: HttpResponseBase | None = None


class Pages(BaseHandler):
    """The ASGI application of every page. `threads`: requests a process answers at once."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="page")
        self.used = threading.local()
        self.load_middleware(is_async=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Somebody who hangs up early gets no answer, but what they sent is stored."""
        body = await self._read(receive)
        if body is None:
            return
        answer = await asyncio.get_running_loop().run_in_executor(self.pool, self.answer, scope, body)
        await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
        if answer.rest is not None:
            await self._send_file(answer.rest, send, scope["method"] != "HEAD")
            return
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.body})

    async def _send_file(self, response: HttpResponseBase, send: Send, wanted: bool) -> None:
        """A large file, one piece in memory at a time; the pool's threads are held for a piece, not for the file."""
        loop = asyncio.get_running_loop()
        try:
            pieces = iter(_chunks(response))
            while wanted and (piece := await loop.run_in_executor(self.pool, next, pieces, b"")):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await loop.run_in_executor(self.pool, response.close)

    async def _read(self, receive: Receive) -> bytes | None:
        """The whole body, one byte over the limit at most; None when the browser hung up before it was sent."""
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")[: MAX_BODY + 1 - len(body)]
            if not message.get("more_body"):
                return bytes(body)

    def answer(self, scope: Scope, body: bytes) -> Answer:
        """The answer, made on this thread with Django's request signals, which look after database connections."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=type(self), scope=scope)
        self._trust_a_warm_connection()
        response = self._respond(scope, body)
        response._handler_class = type(self)  # type: ignore[attr-defined]
        if response.streaming and int(response.headers.get("Content-Length", 0)) > MAX_BODY:
            return Answer(response.status_code, _headers(response), b"", response)
        try:
            return Answer(response.status_code, _headers(response), b"".join(_chunks(response)))
        finally:
            response.close()

    def _trust_a_warm_connection(self) -> None:
        """Skip the health check of a connection that this thread used a moment ago."""
        now, last = time.monotonic(), getattr(self.used, "at", -WARM_S)
        if now - last < WARM_S:
            connection.health_check_done = True  # type: ignore[attr-defined]
        self.used.at = now

    def _respond(self, scope: Scope, body: bytes) -> HttpResponseBase:
        if len(body) > MAX_BODY:
            return HttpResponse("That is more than a page sends.", status=413, content_type="text/plain")
        try:
            request = ASGIRequest(scope, BytesIO(body))
        except UnicodeDecodeError:
            return HttpResponse("The address is not valid UTF-8.", status=400, content_type="text/plain")
        return self.get_response(request)


def _chunks(response: HttpResponseBase) -> Any:
    """The parts of a body, a file's as well."""
    return response.streaming_content if response.streaming else (response.content,)  # type: ignore[attr-defined]


def _headers(response: HttpResponseBase) -> list[tuple[bytes, bytes]]:
    named = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in response.items()]
    return named + [(b"set-cookie", morsel.output(header="").strip().encode()) for morsel in response.cookies.values()]


def pages() -> Pages:
    """The application with the configured number of threads."""
    return Pages(settings.WEB_THREADS)
