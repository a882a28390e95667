"""Claim, lease and fence: who holds which row, and what becomes of rows whose holder is lost.

Leases are counted by the database's clock alone, so workers on several machines need not agree on the time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from django.db.models import Count, F, Prefetch, Q, QuerySet, prefetch_related_objects
from django.db.models.functions import Now

from inference.contracts import REQUEST_VERSION, ModelSpec
from inference.models import Attempt, Generation, Score
from inference.queue.doorbell import ring, tell_on_commit
from inference.queue.endings import LEDGER_COLUMNS

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
RETURNING {returning}
"""


def claim_sql(table: str, returning: str = "g.id") -> str:
    """The statement that claims rows of a table of work and returns SQL expressions of theirs."""
    return CLAIM_SQL.format(table=table, returning=returning)


# What is made later stays in the database until somebody asks for it.
CLAIMED = tuple(
    field.attname
    for field in Generation._meta.concrete_fields
    if field.attname not in {*LEDGER_COLUMNS, "error", "finished_at"}
)
GENERATION_CLAIM = claim_sql(
    "inference_generation",
    ", ".join(f"g.{name}" for name in CLAIMED)
    + f""",
    (SELECT seed FROM {Generation._meta.get_field("study").related_model._meta.db_table} WHERE id = g.study_id),
    greatest(g.tries, 1 + (SELECT max(number) FROM inference_attempt WHERE generation_id = g.id))""",
)
ATTEMPT_COLUMNS = ("generation_id", "number", "claim_id", "worker", "seed", "outcome", "detail", "raw_text")
OPEN_ATTEMPTS = f"""
INSERT INTO inference_attempt ({", ".join(ATTEMPT_COLUMNS)}, started_at)
SELECT id, number, %(claim)s, %(worker)s, seed, 'running', '', '', statement_timestamp()
FROM unnest(%(ids)s::bigint[], %(numbers)s::integer[], %(seeds)s::bigint[]) AS opened(id, number, seed)
RETURNING generation_id, id, number, seed, started_at
"""


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

    All rows of a call share one `claim_id`. Each gets its Attempt in the same transaction, the last of its `history`.
    """
    claim_id = uuid.uuid4()
    parameters: dict[str, Any] = {"key": model_key, "limit": limit, "claim": claim_id, "lease": lease()} | UNDERSTOOD
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(GENERATION_CLAIM, parameters)
            found = [(_claimed(values), study_seed, number) for *values, study_seed, number in cursor.fetchall()]
        if not found:
            return []
        rows = sorted((row for row, _, _ in found), key=lambda row: (row.need, row.position, row.pk))
        again = [row for row, _, number in found if number > 1]
        prefetch_related_objects(again, Prefetch("attempts", to_attr="history"))
        numbers = {row.pk: (number, derive_seed(study_seed, row.pk, number)) for row, study_seed, number in found}
        opened = _open_attempts(numbers, claim_id, worker[:120])
    for row in rows:
        row.history = [*(row.history if numbers[row.pk][0] > 1 else ()), opened[row.pk]]
    return rows


def _claimed(values: Sequence[Any]) -> Generation:
    row = Generation.from_db(DEFAULT_DB_ALIAS, CLAIMED, values)
    row.request = json.loads(row.request)
    return row


def _open_attempts(numbers: Mapping[int, tuple[int, int]], claim_id: uuid.UUID, worker: str) -> dict[int, Attempt]:
    """Begin the attempts with these numbers and seeds; each by its generation."""
    which, seeds = zip(*numbers.values(), strict=True)
    given: dict[str, Any] = {"claim": claim_id, "worker": worker, "ids": list(numbers)}
    given |= {"numbers": list(which), "seeds": list(seeds)}
    with connection.cursor() as cursor:
        cursor.execute(OPEN_ATTEMPTS, given)
        return {
            generation: Attempt(
                pk=pk, generation_id=generation, number=number, claim_id=claim_id, worker=worker, seed=seed,
                started_at=started_at,
            )
            for generation, pk, number, seed, started_at in cursor.fetchall()
        }  # fmt: skip


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
