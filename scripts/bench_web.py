"""make bench-web: what a choice or judgment costs the server, and what a page weighs.

Its own Postgres, Redis, web server (two processes) and worker (scripted engine) in a temporary folder; simulated people
without think time take the demo study's 19 pairs. CPU seconds are read from the operating system, web and database and
Redis together, after every unpersonalised text is made. Prints a table; `--json FILE` keeps the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin

import django
import httpx
import psutil
from selectolax.lexbor import LexborHTMLParser

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from studyapp.embedded import Servers  # noqa: E402
from studyapp.processes import end  # noqa: E402

RUNS = ((40, 10), (100, 50))
BARS = {"cpu_ms": 15.0, "cold_kB": 150.0, "cold_requests": 10, "next_kB": 6.0}
START_S, STOCK_S = 120, 300
Parts = dict[str, list[psutil.Process]]


def cpu_of(roots: list[psutil.Process]) -> float:
    """CPU seconds of processes, their living descendants and everything they have reaped."""
    total = 0.0
    for process in [member for root in roots for member in (root, *root.children(recursive=True))]:
        try:
            times = process.cpu_times()
        except psutil.Error:
            continue
        total += times.user + times.system + times.children_user + times.children_system
    return total


def scripted_demo(folder: Path, slug: str) -> Path:
    """The demo study with the scripted engine, 12 + 7 pairs, controls as in the demo but for the repeat."""
    target = folder / slug
    shutil.copytree(ROOT / "studies" / "demo", target)
    text = (target / "study.toml").read_text()
    text = re.sub(r'slug = "demo"', f'slug = "{slug}"', text)
    text = re.sub(r"max_enrolled = \d+", "max_enrolled = 150", text)
    text = re.sub(r'engine = "transformers"\nsource = "[^"]*"', 'engine = "scripted"', text)
    text = re.sub(r'\[\[controls\]\]\nkind = "repeat"[^\[]*', "", text)
    (target / "study.toml").write_text(text)
    return target


@contextmanager
def stack(data: Path, port: int) -> Iterator[Parts]:
    """Servers, web and worker; yields the processes whose CPU counts."""
    servers = Servers(data)
    environ = servers.environ() | {
        "PALATE_HTTPS": "0", "SECRET_KEY": "bench " * 12, "PORT": str(port),
        "PALATE_SCRIPTED": json.dumps({"words": [20, 60]}),
    }  # fmt: skip
    os.environ.update(environ)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
    django.setup()  # reads the addresses of the servers that have just started
    from studyapp.demo import programs

    (data / "run").mkdir(exist_ok=True)  # the clock keeps its schedule there
    started: list[subprocess.Popen[bytes]] = []
    log = (data / "bench.log").open("wb")
    try:
        manage("migrate", "--verbosity=0")
        manage("collectstatic", "--verbosity=0", "--no-input")
        web, *others = programs(port)
        with socket.create_server(("127.0.0.1", port), backlog=512) as listening:
            for _ in range(web.copies):  # as the process manager does: every copy listens on one socket, as its input
                started.append(launch(web, environ, log, listening.fileno()))
        started += [launch(program, environ, log) for program in others]
        await_ready(port)
        assert servers.postgres.pid() is not None
        assert servers.redis.pid() is not None
        yield {
            "web": [psutil.Process(process.pid) for process in started[: web.copies]],
            "postgres": [psutil.Process(servers.postgres.pid())],
            "redis": [psutil.Process(servers.redis.pid())],
        }
    finally:
        for process in reversed(started):
            process.terminate()
        for process in started:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                end(process.pid)
        servers.stop()
        log.close()


def launch(
    program: Any, environ: dict[str, str], log: IO[bytes], stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    """Start a program of the demo."""
    return subprocess.Popen(program.command, cwd=ROOT, env=environ, stdin=stdin, stdout=log, stderr=log)


def manage(*arguments: str) -> str:
    """Run a command of manage.py; its output. Raises CalledProcessError."""
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def await_ready(port: int) -> None:
    """Wait for the site. Raises SystemExit when it does not come."""
    for _ in range(START_S * 4):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=5).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.25)
    raise SystemExit(f"The site was not ready within {START_S} s.")


def await_stock(slug: str) -> None:
    """Wait until every unpersonalised text is made, so that only people's own are made during a run."""
    for _ in range(STOCK_S):
        counts = json.loads(manage("study", "status", slug, "--json"))["generations"]
        if not set(counts) - {"ready"}:
            return
        time.sleep(1)
    raise SystemExit(f"The stock of texts was not ready within {STOCK_S} s: {counts}")


def run(folder: Path, port: int, parts: Parts, people: int, at_once: int) -> dict[str, Any]:
    """One crowd through a fresh study; CPU by part, per durable choice or judgment."""
    slug = f"bench-{people}"
    manage("study", "load", str(scripted_demo(folder, slug)))
    manage("study", "open", slug, "--skip-preflight", "bench")
    await_stock(slug)
    before = {name: cpu_of(process) for name, process in parts.items()}
    account = json.loads(
        manage(
            "simulate", slug, "--participants", str(people), "--concurrency", str(at_once), "--think", "0", "--json",
            "--base-url", f"http://127.0.0.1:{port}",
        )
    )  # fmt: skip
    spent = {name: cpu_of(process) - before[name] for name, process in parts.items()}
    durable = account["stored"]
    by_part = {f"{name}_ms": round(1000 * seconds / durable, 2) for name, seconds in spent.items()}
    total = round(1000 * sum(spent.values()) / durable, 2)
    return {"people": people, "at_once": at_once, "cpu_ms": total, **by_part, **account}


def weigh(folder: Path, port: int) -> dict[str, float]:
    """A judge page as a browser gets it, cold and next: kB over the wire (headers too) and requests."""
    from studyapp.models import Study
    from studyapp.services import entry

    study = Study.objects.get(slug="bench-40")
    (token,) = entry.make_invites(study, 1, simulated=True)
    page, judged = walk_to_judge(port, study.slug, token)
    tree = LexborHTMLParser(page.text)
    assets = {node.attributes["href"] for node in tree.css("link[rel=stylesheet], link[rel=icon]")}
    assets |= {node.attributes["src"] for node in tree.css("script[src], img[src]")}
    cold, requests = wire_bytes(page), 1
    for asset in assets:
        response = httpx.get(urljoin(str(page.url), asset or ""), headers={"Accept-Encoding": "br, gzip"})
        assert "max-age=" in response.headers["Cache-Control"], asset
        cold, requests = cold + wire_bytes(response), requests + 1
    return {"cold_kB": round(cold / 1000, 1), "cold_requests": requests, "next_kB": round(wire_bytes(judged) / 1000, 2)}


def wire_bytes(response: httpx.Response) -> int:
    """Bytes of a response as sent: compressed body and headers."""
    return response.num_bytes_downloaded + sum(len(k) + len(v) + 4 for k, v in response.headers.raw)


def walk_to_judge(port: int, slug: str, token: str) -> tuple[httpx.Response, httpx.Response]:
    """A person's first judge page, whole, and the fragment that follows their first judgment."""
    import asyncio

    from studyapp.simulate.browser import Browser

    async def go() -> tuple[httpx.Response, httpx.Response]:
        browser = Browser(f"http://127.0.0.1:{port}")
        page = await browser.get(f"/s/{slug}/?invite={token}")
        answers = {"consent": {"age": "yes", "agree": "yes", "decision": "agree"}, "shots": {"choice": "first"}}
        while page.name != "judge":
            if page.name == "wait":
                await asyncio.sleep(1)
                page = await browser.get(f"/s/{slug}/wait/")
            else:
                page = await browser.submit(page.form(), answers.get(page.name, {}))
        whole = await browser.http.get(page.url, headers={"Accept-Encoding": "br, gzip"})
        fragment = await browser.send(page.form("pair"), {"choice": "first", "strength": "3"})
        await browser.close()
        return whole, fragment

    return asyncio.run(go())


def table(figures: dict[str, Any]) -> str:
    """The figures beside their bars."""
    columns = ("people", "at_once", "cpu_ms", "web_ms", "postgres_ms", "redis_ms", "errors", "lost", "doubled")
    lines = ["  ".join(f"{name:>11}" for name in columns)]
    lines += ["  ".join(f"{row[name]:>11}" for name in columns) for row in figures["runs"]]
    lines.append(f"cpu_ms: server CPU a durable choice or judgment, milliseconds (bar {BARS['cpu_ms']})")
    page = figures["page"]
    lines.append(f"judge page cold: {page['cold_kB']} kB in {page['cold_requests']} requests (bars 150 kB, 10)")
    lines.append(f"next item: {page['next_kB']} kB (bar 6 kB)")
    return "\n".join(lines)


def met(figures: dict[str, Any]) -> bool:
    """Whether every bar holds."""
    page = figures["page"]
    clean = all(not (row["errors"] or row["lost"] or row["doubled"]) for row in figures["runs"])
    clean = clean and all(row["cpu_ms"] <= BARS["cpu_ms"] for row in figures["runs"])
    return clean and all(page[name] <= BARS[name] for name in ("cold_kB", "cold_requests", "next_kB"))


def main() -> None:
    """Measure, print, keep; exit 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="keep the figures in this file")
    options = parser.parse_args()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = Path(tempfile.mkdtemp(prefix="palate-bench-"))
    data.chmod(0o711)
    try:
        with stack(data, port) as parts:
            runs = [run(data, port, parts, people, at_once) for people, at_once in RUNS]
            figures = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "runs": runs, "page": weigh(data, port)}
    finally:
        shutil.rmtree(data, ignore_errors=True)
    print(table(figures))
    print(json.dumps(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    sys.exit(0 if met(figures) else 1)


if __name__ == "__main__":
    main()
