"""Fault drills with real web processes: what was acknowledged is stored, and nobody is asked an answered pair again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.db import connection

from studyapp.demo import programs
from studyapp.embedded import Servers
from studyapp.simulate.browser import Form
from studyapp.supervision import Supervisor
from tests import factory
from tests.drills.crowd import Watchful
from tests.drills.workers import BASE, Site, database_url, wait_until

SCRIPT = {"words": [15, 30], "delay_s": 0.3, "slots": 4}


@dataclass
class Stage:
    """Web processes under the product's own process manager, workers, and a crowd before them."""

    environ: Mapping[str, str]
    folder: Path
    monkeypatch: pytest.MonkeyPatch
    site: Site = field(init=False)
    url: str = ""
    supervisor: Supervisor | None = None
    crowd: subprocess.Popen[str] | None = None

    def __post_init__(self) -> None:
        more = {"PALATE_HTTPS": "0", "PALATE_MANIFEST_STATIC": "0", "PALATE_SCRIPTED": json.dumps(SCRIPT)}
        self.environ = {**self.environ, **more, "PYTHONUNBUFFERED": "1"}
        self.site = Site(self.environ, self.folder)

    def open(self, slug: str = "small") -> None:
        """Two web processes on a free port, and a worker."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        for name, value in self.environ.items():
            self.monkeypatch.setenv(name, value)
        self.supervisor = Supervisor(self.folder, programs(port)[:1])
        self.supervisor.start()
        self.site.worker()
        self.url = f"http://127.0.0.1:{port}"
        wait_until(self._answers, 60, "the web server")
        assert len(self.web()) == 2

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as response:
                return bool(response.status == 200)
        except OSError:
            return False

    def web(self) -> list[psutil.Process]:
        """The web processes that run now."""
        assert self.supervisor is not None
        assert self.supervisor._process is not None
        return psutil.Process(self.supervisor._process.pid).children()

    def kill_one(self) -> None:
        """SIGKILL one web process; the process manager starts another."""
        victim = self.web()[0]
        os.kill(victim.pid, signal.SIGKILL)
        wait_until(lambda: len(self.web()) == 2 and victim.pid not in {p.pid for p in self.web()}, 30, "a restart")

    def enter(self, people: int, think: float, slug: str = "small") -> None:
        """Send a crowd."""
        command = [sys.executable, "-m", "tests.drills.crowd", slug, str(people), str(think), self.url]
        log = (self.folder / "crowd.log").open("w")
        self.crowd = subprocess.Popen(
            command, cwd=BASE, env=dict(self.environ), stdout=subprocess.PIPE, stderr=log, text=True
        )

    def stored(self) -> int:
        """Choices and judgments in the database; 0 while it is away."""
        rows = self.site.query(
            "SELECT (SELECT count(*) FROM annotations_preference WHERE choice IS NOT NULL) "
            "+ (SELECT count(*) FROM annotations_judgment)"
        )
        return int(rows[0][0]) if rows else 0

    def await_stored(self, count: int, seconds: float = 90) -> None:
        """Until `count` answers are stored."""
        wait_until(lambda: self.stored() >= count or self._is_over(), seconds, f"{count} stored answers")
        assert not self._is_over(), "the crowd was gone before anything happened: " + self._said()

    def _is_over(self) -> bool:
        return self.crowd is not None and self.crowd.poll() is not None

    def _said(self) -> str:
        return (self.folder / "crowd.log").read_text()[-2000:]

    def account(self, seconds: float) -> dict[str, Any]:
        """What the crowd says in the end."""
        assert self.crowd is not None
        said, _ = self.crowd.communicate(timeout=seconds)
        assert self.crowd.returncode == 0, self._said()
        return dict(json.loads(said.splitlines()[-1]))

    def end(self) -> None:
        """Stop everything that was started."""
        if self.crowd is not None and self.crowd.poll() is None:
            self.crowd.kill()
            self.crowd.wait(10)
        if self.supervisor is not None:
            self.supervisor.stop()
        self.site.end()


def assert_nothing_lost(account: dict[str, Any], people: int, pairs: int) -> None:
    """Acknowledged is stored, once; no answered pair was ever shown again; nobody met an error or gave up."""
    assert account["asked_again"] == []
    assert (account["lost"], account["doubled"], account["errors"]) == (0, 0, 0), account
    assert account["participants"] == people
    assert account["ended"].get("error", 0) == 0
    assert account["answered"] >= account["acknowledged"] == account["stored"]
    assert account["finished"] * pairs <= account["stored"]


@pytest.fixture
def stage(transactional_db: None, short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    """The tests' own database behind real web processes."""
    url = database_url(str(connection.settings_dict["NAME"]))
    stage = Stage({**os.environ, "DATABASE_URL": url}, short_path, monkeypatch)
    yield stage
    stage.end()


@pytest.mark.slow
def test_after_sigkill_of_a_web_process_nobody_is_asked_an_answered_pair_again(stage: Stage) -> None:
    factory.open_study(max_enrolled=4)
    stage.open()
    stage.enter(4, think=0.15)
    stage.await_stored(8)
    stage.kill_one()
    assert stage.crowd is not None
    assert stage.crowd.poll() is None, "it was killed in mid-run"
    account = stage.account(60)
    assert_nothing_lost(account, people=4, pairs=12)
    assert account["finished"] == 4


@pytest.mark.slow
def test_web_processes_redis_and_postgres_die_in_mid_run_and_every_acknowledged_answer_is_stored_once(
    own_servers: Servers, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = Stage(own_servers.environ(), own_servers.data, monkeypatch)
    folder = factory.write_folder(own_servers.data / "small", factory.protocol(max_enrolled=14))
    try:
        stage.site.manage("migrate", "--verbosity=0", "--skip-checks")
        stage.site.manage("study", "load", str(folder))
        stage.site.manage("study", "open", "small", "--skip-preflight", "drill")
        stage.open()
        stage.enter(12, think=1.0)
        stage.await_stored(20)
        stage.kill_one()
        stage.await_stored(40)
        own_servers.redis.kill()
        before = stage.stored()
        stage.await_stored(before + 30)  # people move on by polling alone
        time.sleep(2)
        own_servers.redis.start()
        stage.await_stored(before + 40)
        own_servers.postgres.stop()
        time.sleep(2)
        own_servers.postgres.start()
        stage.kill_one()
        account = stage.account(200)
        assert_nothing_lost(account, people=12, pairs=12)
        assert account["finished"] >= 11, account
        assert account["failures"] + account["reconnects"] > 0, "nobody noticed any of it"
    finally:
        stage.end()


async def test_a_pair_shown_again_after_its_answer_is_noticed() -> None:
    """The negative control of the watch: a server that forgets what it acknowledged."""
    page = '<main><form action="/s/x/judge/"><input type="hidden" name="pair" value="p1"></form></main>'
    browser = Watchful("http://127.0.0.1")
    browser.http = httpx.AsyncClient(
        base_url=browser.base_url, transport=httpx.MockTransport(lambda request: httpx.Response(200, html=page))
    )
    await browser.get("/s/x/judge/")
    assert browser.asked_again == []
    await browser.submit(Form("/s/x/judge/", {"pair": "p1"}, by_htmx=True), {"choice": "first"})
    assert browser.asked_again == ["p1"]
    await browser.close()
