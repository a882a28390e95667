"""Postgres, Redis and a worker of a benchmark's own, what is asked of them and how long they took."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import django
import psutil
from bench_web import ROOT, cpu_of

from inference.contracts import GenerationRequest
from studyapp.embedded import Servers
from studyapp.processes import end

LIMIT_S = 6_000
RESTING = 0.05  # CPU seconds a second


@contextmanager
def site(data: Path) -> Iterator[Servers]:
    """Postgres and Redis of its own, migrated, with Django set up on them."""
    servers = Servers(data)
    os.environ.update(servers.environ() | {"PALATE_HTTPS": "0", "SECRET_KEY": "bench " * 12})
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
    django.setup()
    from django.core.management import call_command
    from django.db import connections

    try:
        call_command("migrate", verbosity=0)
        yield servers
    finally:
        connections.close_all()
        servers.stop()


@contextmanager
def worker(log: Path) -> Iterator[psutil.Process]:
    """A `manage.py worker` process."""
    with log.open("ab") as out:
        process = subprocess.Popen([sys.executable, "manage.py", "worker"], cwd=ROOT, stdout=out, stderr=out)
    try:
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            end(process.pid)


def ask(given: Sequence[Sequence[GenerationRequest]]) -> list[int]:
    """Ask for the requests, a list a participant, as the web process does; the rows' ids."""
    from inference import queue
    from inference.models import Need
    from studyapp.models import Participant, Question, Study

    study = Study.objects.create(slug=f"bench-{time.monotonic_ns()}", title="Bench", protocol={}, seed=7)
    keys = {request.question for requests in given for request in requests}
    Question.objects.bulk_create(
        Question(study=study, key=f"q{n}", use="judge", domain="d", text=text) for n, text in enumerate(sorted(keys))
    )
    number = dict(Question.objects.filter(study=study).values_list("text", "id"))
    ids: list[int] = []
    for requests in given:
        person = Participant.objects.create(study=study)
        ids += queue.request_many([
            queue.Order(study.pk, person.pk, "fspo", number[request.question], request, 0, Need.PERSONAL, place)
            for place, request in enumerate(requests)
        ])  # fmt: skip
    return ids


def await_end(ids: Sequence[int]) -> None:
    """Until every row is ready or failed. Raises SystemExit when that takes too long."""
    from inference.models import Generation

    limit = time.monotonic() + LIMIT_S
    while Generation.objects.filter(pk__gte=min(ids), pk__lte=max(ids), state__in=["queued", "running"]).exists():
        if time.monotonic() > limit:
            raise SystemExit(f"not done within {LIMIT_S} s")
        time.sleep(0.2)


def await_rest(process: psutil.Process) -> None:
    """Until the worker has started: it makes texts while Celery is still being loaded."""
    for _ in range(60):
        before = cpu_of([process])
        time.sleep(1)
        if cpu_of([process]) - before < RESTING:
            return
    raise SystemExit("the worker does not come to rest")


def span_of(ids: Sequence[int]) -> tuple[float, int]:
    """Seconds from the first claim to the last ending, and tokens made, failed tries included."""
    from django.db.models import Max, Min, Sum

    from inference.models import Attempt

    tries = Attempt.objects.filter(generation_id__gte=min(ids), generation_id__lte=max(ids))
    found = tries.aggregate(began=Min("started_at"), ended=Max("finished_at"), tokens=Sum("completion_tokens"))
    return (found["ended"] - found["began"]).total_seconds(), int(found["tokens"] or 0)
