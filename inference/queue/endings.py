"""How claims end: a text arrives with its whole ledger, or a try fails and the row goes back or fails for good.

A batch is written by one UPDATE of generations and one of attempts. Both touch rows that exist and are still held by
the claim, lock them in the order of their ids, and insert nothing: a worker that comes late changes nothing.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connection, transaction

from inference.models import Attempt
from inference.queue.doorbell import tell_on_commit

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Tried:
    """What one attempt came to: a typed outcome, the raw text and its shown length in words."""

    outcome: Attempt.Outcome
    detail: str = ""
    raw_text: str = ""
    words: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Ledger:
    """Everything that is kept of a text that arrived; the fields are columns of Generation."""

    prompt: str
    shots_used: int
    shots_dropped: int
    raw_text: str
    text: str
    words: int
    flags: list[str]
    finish_reason: str
    seed: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    engine: str
    model_digest: str
    tokenizer_digest: str
    device: str
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """A generation whose text arrived."""

    generation_id: int
    ledger: Ledger
    tried: Tried


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that brought no text: `again` puts the row back into the queue after `delay_s` seconds."""

    generation_id: int
    tried: Tried
    again: bool = False
    delay_s: float = 0.0


LEDGER_COLUMNS = tuple(Ledger.__dataclass_fields__)

FENCED_SQL = """
WITH given AS (SELECT * FROM {given}),
held AS MATERIALIZED (
    SELECT id FROM inference_generation
    WHERE id IN (SELECT id FROM given) AND state = 'running' AND claim_id = %(claim)s
    ORDER BY id FOR UPDATE
)
UPDATE inference_generation AS g
SET claim_id = NULL, lease_until = NULL, {columns}
FROM held JOIN given USING (id) WHERE g.id = held.id AND g.state = 'running'
RETURNING g.id
"""
FINISH_SQL = FENCED_SQL.format(
    given="jsonb_populate_recordset(NULL::inference_generation, %(rows)s::jsonb)",
    columns="state = 'ready', error = '', finished_at = statement_timestamp(), "
    + ", ".join(f"{column} = given.{column}" for column in LEDGER_COLUMNS),
)
FAIL_SQL = FENCED_SQL.format(
    given="jsonb_to_recordset(%(rows)s::jsonb) AS row(id bigint, state text, error text, delay_ms integer)",
    columns="state = given.state, error = given.error, "
    "not_before = statement_timestamp() + given.delay_ms * interval '1 millisecond', "
    "finished_at = CASE WHEN given.state = 'failed' THEN statement_timestamp() END",
)
ATTEMPT_SQL = """
UPDATE inference_attempt AS a
SET outcome = given.outcome, detail = given.detail, raw_text = given.raw_text, words = given.words,
    completion_tokens = given.completion_tokens, finished_at = statement_timestamp()
FROM jsonb_populate_recordset(NULL::inference_attempt, %(rows)s::jsonb) AS given
WHERE a.generation_id = given.generation_id AND a.generation_id = ANY(%(held)s) AND a.claim_id = %(claim)s
    AND a.outcome = 'running'
"""


def finish(claim_id: uuid.UUID, arrived: Sequence[Finished]) -> list[int]:
    """Store texts that arrived; the ids really written. Listeners hear of them on commit."""
    rows = [{"id": one.generation_id, **asdict(one.ledger)} for one in arrived]
    with transaction.atomic():
        written = _write(FINISH_SQL, claim_id, rows)
        _write_attempts(claim_id, written, arrived)
        tell_on_commit(written)
    _report_late(claim_id, arrived, written)
    return written


def fail(claim_id: uuid.UUID, failed: Sequence[Failed]) -> list[int]:
    """Store tries without a text; the ids really written. Listeners hear of those that failed for good."""
    rows = [
        {
            "id": one.generation_id,
            "state": "queued" if one.again else "failed",
            "error": one.tried.detail[:500],
            "delay_ms": round(one.delay_s * 1000),
        }
        for one in failed
    ]
    for_good = {one.generation_id for one in failed if not one.again}
    with transaction.atomic():
        written = _write(FAIL_SQL, claim_id, rows)
        _write_attempts(claim_id, written, failed)
        tell_on_commit(sorted(for_good.intersection(written)))
    _report_late(claim_id, failed, written)
    return written


def _write(sql: str, claim_id: uuid.UUID, rows: list[dict[str, Any]]) -> list[int]:
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, {"claim": claim_id, "rows": json.dumps(_storable(rows))})
        return sorted(row[0] for row in cursor.fetchall())


def _write_attempts(claim_id: uuid.UUID, written: list[int], endings: Sequence[Finished | Failed]) -> None:
    if not written:
        return
    rows = [{"generation_id": one.generation_id, **asdict(one.tried)} for one in endings]
    for row in rows:
        row["detail"] = row["detail"][:500]
    with connection.cursor() as cursor:
        cursor.execute(ATTEMPT_SQL, {"claim": claim_id, "held": written, "rows": json.dumps(_storable(rows))})


def _storable(value: Any) -> Any:
    """Postgres keeps neither NUL nor lone surrogates; a model may write both."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _report_late(claim_id: uuid.UUID, endings: Sequence[Finished | Failed], written: list[int]) -> None:
    late = sorted({one.generation_id for one in endings}.difference(written))
    if late:
        logger.warning("claim %s came late for generations %s: nothing was written", claim_id, late)
