"""A real server and a real Chromium. The server runs the product's ASGI application in a thread of the test process."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from django.db import connections
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from inference.models import Generation
from inference.tasks import drain

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 15_000


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all."""
    expect.set_options(timeout=PATIENCE_MS)
    path = os.environ.get("PALATE_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def server(transactional_db: None) -> Iterator[str]:
    """The address of a running Palate on the tests' database."""
    from studyapp.asgi import application

    # The pages' threads outlive the test: their connections must not.
    kept = connections.settings["default"]["CONN_MAX_AGE"]
    connections.settings["default"]["CONN_MAX_AGE"] = 0
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = uvicorn.Config(application, host="127.0.0.1", port=port, log_level="warning", lifespan="off", ws="auto")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_until(lambda: running.started)
    yield f"http://127.0.0.1:{port}"
    running.should_exit = True
    running.force_exit = True
    thread.join(10)
    connections.settings["default"]["CONN_MAX_AGE"] = kept


@pytest.fixture
def worker(server: str) -> Iterator[Worker]:
    """A worker that makes what is asked for as it comes, until the test is over."""
    worker = Worker()
    yield worker
    worker.stop()


class Worker:
    """Drains every queue in a thread of its own, through the task that Celery runs. It starts when told to."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def stop(self) -> None:
        """Stop and wait for the end."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(20)

    def _work(self) -> None:
        try:
            while not self._over.wait(0.1):
                for key in set(Generation.objects.filter(state="queued").values_list("model_key", flat=True)):
                    drain(key)
        finally:
            connections.close_all()


@pytest.fixture
def visit(browser: Browser, server: str) -> Iterator[Callable[..., Page]]:
    """Open a fresh browser profile: `visit(width=375, javascript=False, dark=True)` gives its page."""
    contexts: list[BrowserContext] = []

    def open_one(*, width: int = 1280, height: int = 800, javascript: bool = True, **more: Any) -> Page:
        context = browser.new_context(
            base_url=server, viewport={"width": width, "height": height}, java_script_enabled=javascript, **more
        )
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        return context.new_page()

    yield open_one
    for context in contexts:
        context.close()


def wait_until(holds: Callable[[], object], seconds: float = 15.0) -> None:
    """Wait until `holds()`; fails the test when it does not in time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.03)
