"""The growth section of `make bench-generation`: what a generation costs with more and more rows in the table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
from bench_requests import requests_of
from bench_web import cpu_of
from bench_workers import ask, await_end, span_of, worker

from inference.contracts import GenerationRequest, ModelSpec
from studyapp.embedded import Servers

SIZES = (1_000, 10_000, 100_000)
BATCH = 1_000
RUNS = 5  # batches a size, of which the middle one counts
WARMING = 6  # batches before the first size: a new worker becomes faster for so long
Figures = dict[str, Any]


def growth(folder: Path, servers: Servers) -> Figures:
    """Generations a second, and CPU a generation, with more and more rows in the table."""
    from django.db import connection

    from inference.models import Generation

    spec = ModelSpec("scripted", "growth", options={"slots": 64, "words": [40, 80]})
    per_person = requests_of(BATCH // 10, 10, 512, spec)
    found: Figures = {}
    with worker(folder / "growth.log") as process, connection.cursor() as cursor:
        warming = [batch(per_person, process, servers) for _ in range(WARMING)]
        cursor.execute("TRUNCATE inference_generation CASCADE")
        for size in SIZES:
            while (missing := size - Generation.objects.count()) > 0:
                fill(min(missing, 20_000), per_person[0][0])
            cursor.execute("VACUUM ANALYZE")  # else the autovacuum does it while the first batches run
            runs = [batch(per_person, process, servers) for _ in range(RUNS)]
            paces, costs = zip(*runs, strict=True)
            found[f"generations_s_at_{size}"] = statistics.median(paces)
            found[f"generations_cpu_s_at_{size}"] = 1000 / statistics.median(costs)
            found[f"runs_at_{size}"] = runs
    return found | {"warming": warming}


def batch(
    given: Sequence[Sequence[GenerationRequest]], process: psutil.Process, servers: Servers
) -> tuple[float, float]:
    """Generations a second from the first claim to the last ending, and CPU ms a generation of worker and Postgres."""
    parts = [process, *(psutil.Process(pid) for pid in [servers.postgres.pid()] if pid is not None)]
    before = cpu_of(parts)
    ids = ask(given)
    await_end(ids)
    return len(ids) / span_of(ids)[0], 1000 * (cpu_of(parts) - before) / len(ids)


def fill(count: int, request: GenerationRequest) -> None:
    """Ready rows of an earlier study."""
    from inference.models import Generation
    from studyapp.models import Question, Study

    study = Study.objects.create(slug=f"old-{time.monotonic_ns()}", title="Old", protocol={}, seed=1)
    question = Question.objects.create(study=study, key="q", use="judge", domain="d", text="Why?")
    row = request.to_json()
    Generation.objects.bulk_create(
        (
            Generation(
                study=study, arm="base", question=question, replicate=number, request=row, state="ready",
                model_key=request.model.key, context_hash=request.context_hash, prompt="p " * 400, text="word " * 60,
            )
            for number in range(count)
        ),
        batch_size=1000,
    )  # fmt: skip
