"""The bridge between ASGI and the synchronous pages."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, connections
from django.http import FileResponse

from studyapp import bridge
from studyapp.bridge import MAX_BODY, Answer, Pages

SCOPE: dict[str, Any] = {
    "type": "http", "method": "GET", "path": "/healthz", "raw_path": b"/healthz", "query_string": b"", "root_path": "",
    "scheme": "http", "headers": [(b"host", b"localhost")], "server": ("localhost", 80), "client": ("127.0.0.1", 5),
    "http_version": "1.1",
}  # fmt: skip


@pytest.fixture(scope="module")
def pages() -> Pages:
    return Pages(threads=1)


def ask(pages: Pages, messages: list[dict[str, Any]], **scope: Any) -> list[dict[str, Any]]:
    """Send one request's messages; what came back."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(pages({**SCOPE, **scope}, receive, send))
    return sent


def test_a_page_is_answered_whole(pages: Pages) -> None:
    start, body = ask(pages, [{"type": "http.request", "body": b""}])
    assert start["status"] == 200
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"] or body["body"]
    assert body["body"]


def test_head_gets_the_headers_of_get_and_no_body(pages: Pages) -> None:
    got, _ = ask(pages, [{"type": "http.request", "body": b""}])
    start, body = ask(pages, [{"type": "http.request", "body": b""}], method="HEAD")
    assert (start["status"], body["body"]) == (got["status"], b"")


def test_a_body_over_the_limit_is_refused_however_it_is_cut(pages: Pages) -> None:
    parts = [{"type": "http.request", "body": b"x" * (MAX_BODY // 2), "more_body": True} for _ in range(4)]
    start, _ = ask(pages, [*parts, {"type": "http.request", "body": b""}], method="POST")
    assert start["status"] == 413


def test_somebody_who_hangs_up_before_the_end_gets_nothing_stored_and_nothing_sent(pages: Pages) -> None:
    cut = [{"type": "http.request", "body": b"choice=fi", "more_body": True}, {"type": "http.disconnect"}]
    assert ask(pages, cut, method="POST") == []


@pytest.mark.parametrize(("pause_s", "checks"), [(0.0, 1), (bridge.WARM_S + 0.5, 2)])
@pytest.mark.django_db(transaction=True)
def test_a_connection_is_checked_again_once_it_has_been_idle(
    monkeypatch: pytest.MonkeyPatch, pause_s: float, checks: int
) -> None:
    clock, asked, pages = [100.0], [], Pages(threads=1)
    connection.ensure_connection()
    wrapper = connections["default"]
    monkeypatch.setattr(bridge.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(wrapper, "is_usable", lambda: asked.append(1) or True)
    monkeypatch.setattr(wrapper, "health_check_enabled", True)
    monkeypatch.setattr(wrapper, "close_at", None)

    def respond(scope: Any, body: bytes) -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        return bridge.HttpResponse("ok")

    monkeypatch.setattr(pages, "_respond", respond)
    for _ in range(2):
        wrapper.health_check_done = False
        assert isinstance(pages.answer(SCOPE, b""), Answer)
        clock[0] += pause_s
    assert len(asked) == checks


def test_a_large_file_goes_out_piece_by_piece_and_is_closed(
    pages: Pages, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    content = bytes(range(256)) * (5 * MAX_BODY // 256)
    path.write_bytes(content)
    opened: list[Any] = []

    def answer(request: Any) -> FileResponse:
        opened.append(path.open("rb"))
        return FileResponse(opened[-1])

    monkeypatch.setattr(pages, "get_response", answer)
    start, *parts = ask(pages, [{"type": "http.request", "body": b""}])
    assert (b"content-length", str(len(content)).encode()) in start["headers"]
    assert b"".join(part["body"] for part in parts) == content
    assert max(len(part["body"]) for part in parts) < MAX_BODY
    assert [part.get("more_body", False) for part in parts] == [True] * (len(parts) - 1) + [False]
    assert opened[0].closed
    start, body = ask(pages, [{"type": "http.request", "body": b""}], method="HEAD")
    assert body["body"] == b""
    assert opened[1].closed
