"""Claim, lease and fence: who holds which row, and what becomes of rows whose holder is lost.

Leases are counted by the database's clock alone, so workers on several machines need not agree on the time.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, F, Max, Q, QuerySet, prefetch_related_objects
from django.db.models.functions import Now

from inference.contracts import REQUEST_VERSION, ModelSpec
from inference.models import Attempt, Generation, Score
from inference.queue.doorbell import ring, tell_on_commit

logger = logging.getLogger(__name__)

State = Generation.State
Outcome = Attempt.Outcome

# Outcomes that spend the budget of technical tries; a returned row was never tried.
TECHNICAL = (Outcome.TRANSIENT, Outcome.TIMEOUT, Outcome.OUT_OF_MEMORY, Outcome.WORKER_LOST)
SWEEP_LIMIT = 500

# MATERIALIZED: the rows are picked once, whatever plan the UPDATE gets, so no more than the limit are ever taken.
CLAIM_SQL = """
WITH picked AS MATERIALIZED (
    SELECT id FROM {table}
    WHERE state = 'queued' AND model_key = %(key)s AND request_version <= %(version)s
        AND (not_before IS NULL OR not_before <= statement_timestamp())
    ORDER BY need, position, id
    LIMIT %(limit)s
    FOR UPDATE SKIP LOCKED
)
UPDATE {table} AS g
SET state = 'running', claim_id = %(claim)s, lease_until = statement_timestamp() + %(lease)s, tries = tries + 1,
    started_at = statement_timestamp()
FROM picked WHERE g.id = picked.id AND g.state = 'queued'
RETURNING g.id
"""


def claim_sql(table: str) -> str:
    """The statement that claims rows of a table of work."""
    return CLAIM_SQL.format(table=table)


GENERATION_CLAIM = claim_sql("inference_generation")


UNDERSTOOD = {"version": REQUEST_VERSION}


def lease() -> timedelta:
    """How long a claim holds without a heartbeat."""
    return timedelta(seconds=settings.GENERATION_LEASE_S)


def derive_seed(study_seed: int, generation_id: int, attempt: int) -> int:
    """The sampling seed of one attempt: 63 bits of SHA-256 over the protocol's seed, the generation and the attempt."""
    digest = hashlib.sha256(f"{study_seed}:{generation_id}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def claim(model_key: str, limit: int, *, worker: str) -> list[Generation]:
    """Take up to `limit` queued rows of a base model, the most urgent first; empty when there are none.

    All rows of a call share one `claim_id`. Each gets its Attempt in the same transaction; `attempts` is prefetched and
    the last one, with its seed, is the new one.
    """
    claim_id = uuid.uuid4()
    parameters: dict[str, Any] = {"key": model_key, "limit": limit, "claim": claim_id, "lease": lease()} | UNDERSTOOD
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(GENERATION_CLAIM, parameters)
            ids = [row[0] for row in cursor.fetchall()]
        if not ids:
            return []
        _open_attempts(ids, claim_id, worker)
        rows = list(Generation.objects.filter(pk__in=ids).order_by("need", "position", "pk"))
        prefetch_related_objects(rows, "attempts")
    return rows


def _open_attempts(ids: list[int], claim_id: uuid.UUID, worker: str) -> None:
    numbers = Generation.objects.filter(pk__in=ids).order_by("pk").annotate(last=Max("attempts__number"))
    Attempt.objects.bulk_create(
        Attempt(
            generation_id=pk,
            number=(number := (last or 0) + 1),
            claim_id=claim_id,
            worker=worker[:120],
            seed=derive_seed(study_seed, pk, number),
            started_at=Now(),
        )
        for pk, last, study_seed in numbers.values_list("pk", "last", "study__seed")
    )


def held(claim_id: uuid.UUID, ids: Iterable[int]) -> QuerySet[Generation]:
    """The rows among `ids` that this claim still holds: the fence every later write of the worker filters on."""
    return Generation.objects.filter(pk__in=list(ids), state=State.RUNNING, claim_id=claim_id)


def heartbeat(claim_id: uuid.UUID, ids: Iterable[int]) -> int:
    """Renew the lease of the rows still held; how many are."""
    return held(claim_id, ids).update(lease_until=Now() + lease())


def give_back(claim_id: uuid.UUID, ids: Iterable[int], *, reason: str = "the worker stops") -> int:
    """Put rows back untried, at once claimable by others; how many were still held."""
    with transaction.atomic():
        keys = dict(held(claim_id, ids).select_for_update().order_by("pk").values_list("pk", "model_key"))
        _close_attempts(keys, Outcome.RETURNED, reason)
        changed = held(claim_id, keys).update(state=State.QUEUED, claim_id=None, lease_until=None)
        for key in sorted(set(keys.values())):
            transaction.on_commit(lambda key=key: ring(key), robust=True)  # type: ignore[misc]
    return changed


def _close_attempts(ids: Iterable[int], outcome: Outcome, detail: str) -> None:
    running = Attempt.objects.filter(generation_id__in=list(ids), outcome=Outcome.RUNNING)
    running.update(outcome=outcome, detail=detail[:500], finished_at=Now())


def waiting_keys() -> list[str]:
    """The base models with texts or scores that could be claimed now."""
    ready = Q(state=State.QUEUED) & (Q(not_before__isnull=True) | Q(not_before__lte=Now()))
    tables = (Generation, Score)
    keys = [table.objects.filter(ready).order_by().values_list("model_key", flat=True).distinct() for table in tables]
    return sorted({key for found in keys for key in found})


def model_of(model_key: str) -> ModelSpec | None:
    """The base model behind a key, as its most urgent queued row tells it; None when nothing is queued."""
    rows = Generation.objects.filter(model_key=model_key, state=State.QUEUED).order_by("need", "position", "pk")
    spec = rows.values_list("request__model", flat=True).first()
    return ModelSpec(**spec) if spec else None


def sweep(*, bells: bool = True) -> int:
    """Put rows whose lease is over back into the queue, or fail them after the budget; how many. Safe at any time.

    With `bells` every base model with claimable work is rung afterwards, which makes up for lost doorbells.
    """
    swept = 0
    while changed := _sweep_some():
        swept += changed
    swept += _sweep_scores()
    if bells:
        for key in waiting_keys():
            ring(key)
    return swept


def _sweep_some() -> int:
    with transaction.atomic():
        over = Generation.objects.select_for_update(skip_locked=True, of=("self",)).filter(
            state=State.RUNNING, lease_until__lt=Now()
        )
        ids = list(over.order_by("pk").values_list("pk", flat=True)[:SWEEP_LIMIT])
        if not ids:
            return 0
        _close_attempts(ids, Outcome.WORKER_LOST, "the lease was over")
        spent = _out_of_budget(ids)
        rows = Generation.objects.filter(pk__in=ids, state=State.RUNNING)
        free = {"claim_id": None, "lease_until": None, "error": "the worker was lost: its lease was over"}
        rows.filter(pk__in=spent).update(state=State.FAILED, finished_at=Now(), **free)
        rows.exclude(pk__in=spent).update(state=State.QUEUED, **free)
        tell_on_commit(spent)
    logger.warning("%d generations came back from lost workers, %d of them failed for good", len(ids), len(spent))
    return len(ids)


def _sweep_scores() -> int:
    free = {"claim_id": None, "lease_until": None, "error": "the worker was lost: its lease was over"}
    with transaction.atomic():
        over = Score.objects.select_for_update(skip_locked=True).filter(state=State.RUNNING, lease_until__lt=Now())
        rows = Score.objects.filter(pk__in=list(over.order_by("pk").values_list("pk", flat=True)), state=State.RUNNING)
        spent = rows.filter(tries__gte=settings.GENERATION_MAX_ATTEMPTS)
        failed = spent.update(state=State.FAILED, finished_at=Now(), **free)
        return failed + rows.update(state=State.QUEUED, **free)


def _out_of_budget(ids: list[int]) -> list[int]:
    """The rows that have had all their technical tries since they were last asked for."""
    technical = Q(attempts__outcome__in=TECHNICAL, attempts__started_at__gte=F("queued_at"))
    counted = Generation.objects.filter(pk__in=ids).annotate(spent=Count("attempts", filter=technical))
    return list(counted.filter(spent__gte=settings.GENERATION_MAX_ATTEMPTS).values_list("pk", flat=True))
