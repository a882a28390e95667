"""A browser as the server sees it: cookies, forms, redirects, htmx fragments, a websocket. It runs no script."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit

import httpx
import websockets
from selectolax.lexbor import LexborHTMLParser as HTMLParser
from selectolax.lexbor import LexborNode as Node

RETRIES = 20
RETRY_S = 0.5
MAX_REDIRECTS = 6


class PageError(Exception):
    """A page that no participant should ever get; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Form:
    """A form with the values it would send."""

    action: str
    fields: dict[str, str]
    by_htmx: bool


@dataclass(slots=True)
class Page:
    """What the browser shows: its address, its tree, and whether it came as a fragment."""

    url: str
    tree: HTMLParser
    status: int

    @property
    def name(self) -> str:
        """The last word of the address: shots, wait, judge ...; entry for the study's own address."""
        parts = [part for part in urlsplit(self.url).path.split("/") if part]
        return parts[2] if len(parts) > 2 else "entry"

    def form(self, containing: str = "") -> Form:
        """The page's form, or the one with a field called `containing`; raises PageError without one."""
        for node in self.tree.css("main form"):
            fields = _fields(node)
            if not containing or containing in fields:
                action = urljoin(self.url, node.attributes.get("action") or self.url)
                return Form(action, fields, "hx-post" in node.attributes)
        raise PageError(f"{self.url} has no form with {containing or 'a button'}")

    def texts(self) -> tuple[str, str]:
        """The two answers of a pair."""
        found = [node.text(separator="\n", strip=True) for node in self.tree.css("article .answer")]
        if len(found) != 2:
            raise PageError(f"{self.url} shows {len(found)} answers, a pair has two")
        return found[0], found[1]


def _fields(form: Node) -> dict[str, str]:
    """Hidden and text values of a form; boxes, radios and buttons are the person's to choose."""
    values = {}
    for node in form.css("input, textarea"):
        kind, name = node.attributes.get("type", "text"), node.attributes.get("name")
        if name and kind not in ("checkbox", "radio", "submit"):
            values[name] = node.attributes.get("value") or ""
    return values


@dataclass(slots=True)
class Browser:
    """One person's browser. Lost connections are tried again, as a person would; other faults raise PageError."""

    base_url: str
    page: Page = field(init=False)
    reconnects: int = 0
    requests: int = 0
    http: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.AsyncClient(base_url=self.base_url, timeout=30, headers={"Accept": "text/html"})

    async def close(self) -> None:
        """Close the browser."""
        await self.http.aclose()

    async def get(self, path: str) -> Page:
        """Open an address."""
        return await self._show(await self._ask("GET", path))

    async def submit(self, form: Form, values: dict[str, str]) -> Page:
        """Send a form, as htmx where the page says so."""
        return await self._show(await self.send(form, values))

    async def send(self, form: Form, values: dict[str, str]) -> httpx.Response:
        """Send a form and leave the page as it is."""
        headers = {"Origin": self.base_url, "Referer": self.page.url}
        if form.by_htmx:
            headers |= {"HX-Request": "true", "HX-Current-URL": self.page.url}
        return await self._ask("POST", form.action, data={**form.fields, **values}, headers=headers)

    async def _ask(self, method: str, url: str, **options: object) -> httpx.Response:
        for attempt in range(RETRIES):
            try:
                self.requests += 1
                return await self.http.request(method, url, **options)  # type: ignore[arg-type]
            except httpx.TransportError as error:
                self.reconnects += 1
                if attempt == RETRIES - 1:
                    raise PageError(f"{method} {url}: the server cannot be reached ({error!r})") from error
                await asyncio.sleep(RETRY_S)
        raise AssertionError("unreachable")

    async def _show(self, response: httpx.Response) -> Page:
        for _ in range(MAX_REDIRECTS):
            target = response.headers.get("HX-Redirect") or response.headers.get("Location")
            if not target:
                break
            response = await self._ask("GET", urljoin(str(response.url), target))
        if response.status_code >= 400:
            title = HTMLParser(response.text).css_first("title")
            raise PageError(f"{response.url} answered {response.status_code}: {title.text() if title else '?'}")
        pushed = response.headers.get("HX-Push-Url")
        url = urljoin(str(response.url), pushed) if pushed else str(response.url)
        if response.status_code != 204:
            self.page = Page(url, HTMLParser(response.text), response.status_code)
        return self.page

    async def nudge(self, path: str, timeout: float) -> bool:
        """Listen on a websocket until a nudge after the greeting, at most `timeout` seconds; False without one."""
        parts = urlsplit(self.base_url)
        address = f"{'wss' if parts.scheme == 'https' else 'ws'}://{parts.netloc}{path}"
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.http.cookies.jar)
        try:
            async with (
                asyncio.timeout(timeout),
                websockets.connect(address, origin=self.base_url, additional_headers={"Cookie": cookies}) as socket,  # type: ignore[arg-type]
            ):
                await socket.recv()  # the greeting: whatever came before it has been seen
                await socket.recv()
                return True
        except (TimeoutError, OSError, websockets.WebSocketException):
            return False
