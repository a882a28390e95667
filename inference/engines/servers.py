"""Servers of one model behind the openai engine: which are up, who is asked, and what is tried again."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import tenacity

from inference.contracts import InferenceError, PermanentError, TransientError

DOWN_S = 10.0  # how long a server that did not answer is left alone
TRIES = 4
PAUSES = tenacity.wait_random_exponential(multiplier=0.25, max=8.0)
BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


class _Again(TransientError):
    """The answer may be another one in a moment."""


class Servers:
    """Equal servers. A request goes to the server its prefix belongs to, so that its cache is warm; when that one is
    down, to the next.
    """

    def __init__(self, urls: list[str], token: str, timeout_s: float) -> None:
        self._urls = urls
        self._down: dict[str, float] = {}
        self._lock = threading.Lock()
        self._client = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=5.0),
            headers={"Authorization": f"Bearer {token}"} if token else {},
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
            follow_redirects=False,
        )

    def get(self, path: str) -> dict[str, Any]:
        """What the first server that answers says; errors as `post`."""
        return self._asked(lambda url: self._client.get(f"{url}{path}"), near="")

    def post(self, path: str, body: dict[str, Any], *, near: str = "", at_root: bool = False) -> dict[str, Any]:
        """The answer to `body` as JSON.

        Tries again, with growing pauses, on 429, 5xx, time-outs and lost connections, at another server where there is
        one. Raises TransientError when that does not help and PermanentError when the server refuses the request.
        """

        def ask(url: str) -> httpx.Response:
            return self._client.post(f"{url.removesuffix('/v1') if at_root else url}{path}", json=body)

        return self._asked(ask, near)

    def version(self) -> str:
        """What the server says about its version, or an empty text."""
        try:
            url = self._order("")[0].removesuffix("/v1")
            return str(self._client.get(f"{url}/version").json()["version"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return ""

    def _asked(self, ask: Callable[[str], httpx.Response], near: str) -> dict[str, Any]:
        for attempt in tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(_Again),
            stop=tenacity.stop_after_attempt(TRIES),
            wait=PAUSES,
            reraise=True,
        ):
            with attempt:
                return self._at_one_of_them(ask, near)
        raise AssertionError("retrying ends with an answer or an error")

    def _at_one_of_them(self, ask: Callable[[str], httpx.Response], near: str) -> dict[str, Any]:
        problem: InferenceError = _Again("no server was asked")
        for url in self._order(near):
            try:
                answer = ask(url)
            except httpx.HTTPError as error:
                self._mark(url)
                problem = _Again(f"the server {url} does not answer: {type(error).__name__}: {error}")
                continue
            if answer.status_code in BUSY:
                problem = _Again(f"the server {url} answers {answer.status_code}: {_reason(answer)}")
                continue
            if answer.status_code >= 400:
                raise PermanentError(f"the server {url} refuses ({answer.status_code}): {_reason(answer)}")
            with self._lock:
                self._down.pop(url, None)
            return _read(answer, url)
        raise problem

    def _order(self, near: str) -> list[str]:
        """Those that are up, the one `near` belongs to first (rendezvous hashing); all of them when none is up."""
        now = time.monotonic()
        with self._lock:
            up = [url for url in self._urls if self._down.get(url, 0.0) <= now]
        return sorted(up or self._urls, key=lambda url: hashlib.sha256(f"{url} {near}".encode()).digest())

    def _mark(self, url: str) -> None:
        with self._lock:
            self._down[url] = time.monotonic() + DOWN_S


def _read(answer: httpx.Response, url: str) -> dict[str, Any]:
    try:
        found = answer.json()
    except ValueError as error:
        raise _Again(f"the server {url} answers something that is not JSON") from error
    if not isinstance(found, dict):
        raise _Again(f"the server {url} answers JSON that is no object")
    return found


def _reason(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        found = found.get("error", found)
        return str(found.get("message", found))[:300] if isinstance(found, dict) else str(found)[:300]
    except (ValueError, AttributeError):
        return answer.text[:300]
