"""Scores wait in the same way as texts, behind all of them: claimed, leased, fenced, ended by conditional UPDATEs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now

from inference.contracts import GenerationRequest, ModelSpec
from inference.models import Need, Score
from inference.queue.claims import UNDERSTOOD, claim_sql, lease
from inference.queue.doorbell import ring_on_commit

State = Score.State
SCORE_CLAIM = claim_sql("inference_score")


@dataclass(frozen=True, slots=True)
class Reference:
    """The model against which a score is taken: asked the same without any shot."""

    model: ModelSpec
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreOrder:
    """One log-probability wanted: of a candidate that a probe showed, under an arm's model and its context."""

    study_id: int
    owner_id: int | None
    arm: str
    probe_id: int
    candidate_id: int
    request: GenerationRequest
    continuation: str
    reference: Reference
    position: int = 0

    def row(self) -> Score:
        """An unsaved row that holds the whole request."""
        return Score(
            study_id=self.study_id,
            owner_id=self.owner_id,
            arm=self.arm,
            probe_id=self.probe_id,
            candidate_id=self.candidate_id,
            context_hash=self.request.context_hash,
            request={
                "request": self.request.to_json(),
                "continuation": self.continuation,
                "reference": asdict(self.reference),
            },
            model_key=self.request.model.key,
            adapter=self.request.adapter or "",
            need=Need.SCORE,
            position=self.position,
            queued_at=Now(),
        )


@dataclass(frozen=True, slots=True)
class ScoreEnding:
    """What became of a claimed score: columns to store, its state then, and seconds until it may be claimed again."""

    score_id: int
    claim_id: uuid.UUID
    state: str
    values: dict[str, Any]
    delay_s: float = 0.0


def request_scores(orders: Sequence[ScoreOrder]) -> None:
    """Ask for every order once; those asked for before stay as they are. Rings each base model once, on commit."""
    with transaction.atomic(savepoint=False):
        Score.objects.bulk_create([order.row() for order in orders], ignore_conflicts=True)
        ring_on_commit(order.request.model.key for order in orders)


def claim_scores(model_key: str, limit: int) -> list[Score]:
    """Take up to `limit` queued scores of a base model in the order they were asked for; empty when there are none."""
    claim: dict[str, Any] = {"key": model_key, "limit": limit, "claim": uuid.uuid4(), "lease": lease()} | UNDERSTOOD
    with connection.cursor() as cursor:
        cursor.execute(SCORE_CLAIM, claim)
        ids = [row[0] for row in cursor.fetchall()]
    return list(Score.objects.filter(pk__in=ids).order_by("position", "pk")) if ids else []


def held_scores(claim_id: uuid.UUID, ids: Iterable[int]) -> QuerySet[Score]:
    """The rows among `ids` that this claim still holds."""
    return Score.objects.filter(pk__in=list(ids), state=State.RUNNING, claim_id=claim_id)


def end_scores(endings: Sequence[ScoreEnding]) -> int:
    """Store what became of claimed scores; how many were still held.

    Row by row and not in one transaction: a withdrawal that deletes them at the same moment waits for one at most.
    """
    changed = 0
    for one in endings:
        changed += held_scores(one.claim_id, [one.score_id]).update(
            state=one.state,
            claim_id=None,
            lease_until=None,
            not_before=Now() + timedelta(seconds=one.delay_s) if one.delay_s else None,
            finished_at=None if one.state == State.QUEUED else Now(),
            **one.values,
        )
    return changed


def discard_scores(owner_id: int) -> int:
    """Nobody wants this person's missing scores any more; how many rows changed."""
    rows = Score.objects.filter(owner_id=owner_id, state__in=[State.QUEUED, State.RUNNING])
    return rows.update(state=State.DISCARDED, claim_id=None, lease_until=None, finished_at=Now())


def model_of_scores(model_key: str) -> ModelSpec | None:
    """The base model behind a key, as a queued score tells it; None when there is none."""
    row = Score.objects.filter(model_key=model_key, state=State.QUEUED).order_by("pk").first()
    if row is None:
        return None
    for spec in (row.request["request"]["model"], row.request["reference"]["model"]):
        if ModelSpec(**spec).key == model_key:
            return ModelSpec(**spec)
    return None
