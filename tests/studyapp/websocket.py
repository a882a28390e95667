"""A browser's end of a websocket to the product's own application."""

from __future__ import annotations

from typing import Any

from asgiref.testing import ApplicationCommunicator

from studyapp.asgi import application

PATIENCE_S = 10


class Socket(ApplicationCommunicator):
    """Opens, listens, speaks and leaves as a browser does."""

    async def connect(self) -> tuple[bool, int]:
        """Open it: whether it was accepted, and the code with which it was closed if not."""
        await self.send_input({"type": "websocket.connect"})
        answer = await self.receive_output(PATIENCE_S)
        if answer["type"] == "websocket.accept":
            return True, 1000
        await self.close()
        return False, answer.get("code", 1000)

    async def say(self, **frame: Any) -> None:
        """Send a frame to the server."""
        await self.send_input({"type": "websocket.receive", **frame})

    async def hear(self) -> str:
        """The next frame of the server."""
        answer = await self.receive_output(PATIENCE_S)
        assert answer["type"] == "websocket.send", answer
        return str(answer["text"])

    async def close(self) -> None:
        """The browser leaves."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(PATIENCE_S)


def websocket(path: str, *, origin: str | None = "http://127.0.0.1", **cookies: str) -> Socket:
    """A socket as a browser with these cookies would open it."""
    headers = [(b"host", b"127.0.0.1")]
    if origin is not None:
        headers.append((b"origin", origin.encode()))
    if cookies:
        headers.append((b"cookie", "; ".join(f"{name}={value}" for name, value in cookies.items()).encode()))
    scope = {"type": "websocket", "path": path, "headers": headers, "query_string": b"", "subprotocols": []}
    return Socket(application, scope)
