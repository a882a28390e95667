"""What the queue's tests share: texts as workers bring them, claims, and who was told."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils import timezone

from inference import queue
from inference.models import Attempt, Generation
from inference.queue import Finished, Ledger, Tried
from tests.inference.cast import MODEL

State, Outcome = Generation.State, Attempt.Outcome

heard: list[int] = []


def listener(generation_ids: list[int]) -> None:
    heard.extend(generation_ids)


def a_ledger(text: str = "A good morning is slow.", **changes: Any) -> Ledger:
    ledger = Ledger(
        prompt="# Task",
        shots_used=1,
        shots_dropped=0,
        raw_text=f"## Preferred Response \n{text}",
        text=text,
        words=5,
        flags=["names_a_model"],
        finish_reason="stop",
        seed=2**62 + 5,
        prompt_tokens=40,
        completion_tokens=7,
        cached_tokens=None,
        engine="scripted",
        model_digest="m",
        tokenizer_digest="t",
        device="cpu",
        adapter_digest="a",
        abilities=["seeds"],
        versions={"library": "1"},
    )
    return replace(ledger, **changes)


def arrived(generation: Generation, **changes: Any) -> Finished:
    return Finished(generation.pk, a_ledger(**changes), Tried(Outcome.READY, "", "raw", 5, 7))


def claim_one() -> Generation:
    (generation,) = queue.claim(MODEL.key, 1, worker="ada")
    return generation


def fence(generation: Generation) -> uuid.UUID:
    assert generation.claim_id is not None
    return generation.claim_id


def expire(*ids: int) -> None:
    Generation.objects.filter(pk__in=ids).update(lease_until=timezone.now() - timedelta(seconds=1))


def outcomes(generation_id: int) -> list[str]:
    return list(
        Attempt.objects.filter(generation_id=generation_id).order_by("number").values_list("outcome", flat=True)
    )
