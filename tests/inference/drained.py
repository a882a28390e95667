"""What the tests of the runner and its work room share: rows asked of the scripted engine, and what became of them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from inference import queue
from inference.contracts import GenerationRequest, ModelSpec
from inference.models import Attempt, Generation
from inference.runner import Runner
from tests.inference.cast import REQUEST, a_study, orders

State, Outcome = Generation.State, Attempt.Outcome


def scripted(**options: Any) -> ModelSpec:
    return ModelSpec(engine="scripted", source="drill", options=options)


def ask(count: int = 1, request: GenerationRequest = REQUEST, **options: Any) -> tuple[str, list[int]]:
    """Ask a scripted engine with `options` for `count` texts; its model key and the rows' ids."""
    model = scripted(**options)
    return model.key, queue.request_many(orders(a_study(), count, request=replace(request, model=model)))


def drain(model_key: str, runner: Runner | None = None) -> None:
    (runner or Runner()).drain(model_key)


def skip_back_off() -> None:
    Generation.objects.filter(state=State.QUEUED).update(not_before=None)


def outcomes(generation_id: int) -> list[str]:
    return list(
        Attempt.objects.filter(generation_id=generation_id).order_by("number").values_list("outcome", flat=True)
    )


def wait_until(condition: Any, seconds: float = 10.0) -> None:
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit, "it did not happen in time"
        time.sleep(0.02)
