"""The requests that `make bench-generation` makes: FSPO prompts of the demo study's questions and candidates."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.contracts import EngineRequest, GenerationRequest, ModelSpec, Sampling, Shot

DEMO = Path(__file__).resolve().parent.parent / "studies" / "demo"


def requests_of(people: int, answers: int, tokens: int, spec: ModelSpec) -> list[list[GenerationRequest]]:
    """A list a participant: FSPO requests with the demo study's questions, eight shots of their own, one a question."""
    questions = rows_of("questions.jsonl")
    texts: dict[str, list[str]] = {}
    for row in rows_of("candidates.jsonl"):
        texts.setdefault(row["question"], []).append(row["text"])
    asked = [row["text"] for row in questions if row["use"] == "judge"]
    named = {row["id"]: row["text"] for row in questions}
    found = []
    for person in range(people):
        rng = random.Random(person)
        shots = tuple(Shot(named[key], *rng.sample(texts[key], 2)) for key in rng.sample(sorted(texts), 8))
        found.append([
            GenerationRequest(spec, "fspo", question, shots, sampling=Sampling(0.7, 0.95, tokens))
            for question in rng.sample(asked, answers)
        ])  # fmt: skip
    return found


def rows_of(name: str) -> list[dict[str, Any]]:
    """The rows of a file of the demo study."""
    return [json.loads(line) for line in (DEMO / name).read_text().splitlines() if line.strip()]


def engine_requests(given: Sequence[GenerationRequest]) -> list[EngineRequest]:
    """The same requests as an engine takes them."""
    from inference.prompts import build

    return [EngineRequest(str(n), build(request), request.sampling, n) for n, request in enumerate(given)]
