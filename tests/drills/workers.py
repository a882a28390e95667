"""What the drills need: work planted in a database, real worker processes on it, and a look at what became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg

from studyapp.processes import end_with_parent

BASE = Path(__file__).resolve().parents[2]
LEASE_S = 2


def wait_until(condition: Callable[[], object], seconds: float = 40.0, what: str = "it") -> None:
    """Until `condition` holds; fails after `seconds`."""
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, f"{what} did not happen within {seconds:.0f} s"
        time.sleep(0.05)


@dataclass
class Worker:
    """A `manage.py worker` process and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: no chance to clean up."""
        self.process.kill()
        self.process.wait(20)

    def said(self, text: str) -> bool:
        return text in self.log.read_text()


@dataclass
class Site:
    """A database and a broker with workers on them. `environ` names both, as any Palate process gets them."""

    environ: Mapping[str, str]
    folder: Path
    workers: list[Worker] = field(default_factory=list)

    def worker(self, *arguments: str, **environ_of_its_own: str) -> Worker:
        """Start a worker."""
        return self._start(["manage.py", "worker", *arguments], environ_of_its_own)

    def upgraded_worker(self) -> Worker:
        """Start a worker of the version to come."""
        program = (
            "import sys; from inference import contracts; contracts.REQUEST_VERSION += 1; "
            "import manage; sys.argv = ['manage.py', 'worker']; manage.main()"
        )
        return self._start(["-c", program], {})

    def _start(self, program: list[str], environ_of_its_own: Mapping[str, str]) -> Worker:
        log = self.folder / f"worker-{len(self.workers)}.log"
        environ = {
            **self.environ,
            "PALATE_GENERATION_LEASE_S": str(LEASE_S),
            "PALATE_HTTPS": "0",
            "PYTHONUNBUFFERED": "1",
            **environ_of_its_own,
        }
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *program],
                cwd=BASE,
                env=environ,
                stdout=out,
                stderr=out,
                preexec_fn=end_with_parent,
            )
        self.workers.append(Worker(process, log))
        return self.workers[-1]

    def manage(self, *arguments: str) -> str:
        """Run a management command to its end; its output."""
        return self._run("manage.py", *arguments)

    def plant(self, count: int, **options: Any) -> list[int]:
        """Ask for `count` texts of a scripted engine, from a process of its own; their ids."""
        printed = self._run("-m", "tests.drills.plant", str(count), json.dumps(options))
        ids: list[int] = json.loads(printed.splitlines()[-1])
        return ids

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=BASE, env=dict(self.environ), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of one statement; an empty list while the database is away."""
        try:
            with psycopg.connect(self.environ["DATABASE_URL"], connect_timeout=5) as connection:
                return connection.execute(sql).fetchall()
        except psycopg.OperationalError:
            return []

    def count(self, state: str) -> int:
        """How many generations are in `state`."""
        rows = self.query(f"SELECT count(*) FROM inference_generation WHERE state = '{state}'")
        return int(rows[0][0]) if rows else 0

    def await_ready(self, count: int, seconds: float = 60.0) -> None:
        """Until `count` generations are ready."""
        wait_until(lambda: self.count("ready") >= count, seconds, f"{count} ready generations")

    def await_running(self) -> list[int]:
        """Until a batch is under way; its ids."""
        wait_until(lambda: self.count("running"), what="a running batch")
        return [row[0] for row in self.query("SELECT id FROM inference_generation WHERE state = 'running'")]

    def histories(self) -> dict[int, list[str]]:
        """The outcomes of every generation's attempts, in order."""
        rows = self.query(
            "SELECT g.id, array_agg(a.outcome ORDER BY a.number) FILTER (WHERE a.id IS NOT NULL) "
            "FROM inference_generation g LEFT JOIN inference_attempt a ON a.generation_id = g.id GROUP BY g.id"
        )
        return {row[0]: row[1] or [] for row in rows}

    def assert_each_arrived_once(self, ids: list[int]) -> None:
        """Every text is there, from exactly one attempt, and nothing else is."""
        histories = self.histories()
        assert sorted(histories) == sorted(ids)
        assert self.count("ready") == len(ids)
        assert {pk: history.count("ready") for pk, history in histories.items()} == dict.fromkeys(ids, 1)
        assert all(history[-1] == "ready" and "running" not in history for history in histories.values())
        texts = self.query("SELECT count(*) FROM inference_generation WHERE text <> '' AND prompt <> '' AND words > 0")
        assert texts == [(len(ids),)]

    def end(self) -> None:
        """Kill what is left."""
        for worker in self.workers:
            if worker.process.poll() is None:
                worker.signal(signal.SIGCONT)
                worker.kill()


def database_url(name: str) -> str:
    """The run's DATABASE_URL with another database of the same server."""
    url = urlsplit(os.environ["DATABASE_URL"])
    # An empty host ("postgresql://user@/name?host=/socket") must keep its slashes.
    return f"{url.scheme}://{url.netloc}/{name}{'?' + url.query if url.query else ''}"
