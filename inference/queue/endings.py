"""How claims end: a text arrives with its whole ledger, or a try fails and the row goes back or fails for good.

A batch is written by one statement, generations and attempts. It touches rows that exist and are still held by the
claim, locks them in the order of their ids, and inserts nothing: a worker that comes late changes nothing.
"""

from __future__ import annotations

import json
import logging
import re
import uuid
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

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
    adapter_digest: str = ""
    abilities: list[str] = field(default_factory=list)
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


Ending = tuple[uuid.UUID, Finished | Failed]
"""What became of a row, and the claim under which it was worked on."""

LEDGER_COLUMNS = tuple(Ledger.__dataclass_fields__)
TRIED_COLUMNS = tuple(Tried.__dataclass_fields__)
# What JSON looks like where it holds a NUL or half a character (or, rarely, a whole one outside the basic plane).
UNSTORABLE = re.compile(r"\\u(?:0000|d[89a-f])")

# One statement ends a text and its try: either both are written or none.
FENCED_SQL = """
WITH given AS MATERIALIZED (SELECT * FROM {given}),
held AS MATERIALIZED (
    SELECT g.id FROM inference_generation AS g JOIN given USING (id)
    WHERE g.state = 'running' AND g.claim_id = given.claim_id
    ORDER BY g.id FOR UPDATE OF g
),
written AS (
    UPDATE inference_generation AS g
    SET claim_id = NULL, lease_until = NULL, {columns}
    FROM held JOIN given USING (id) WHERE g.id = held.id AND g.state = 'running'
    RETURNING g.id
),
tried AS (
    UPDATE inference_attempt AS a
    SET outcome = t.outcome, detail = t.detail, raw_text = t.raw_text, words = t.words,
        completion_tokens = t.completion_tokens, finished_at = statement_timestamp()
    FROM jsonb_populate_recordset(NULL::inference_attempt, %(tried)s::jsonb) AS t
    WHERE a.generation_id = t.generation_id AND a.generation_id IN (SELECT id FROM written)
        AND a.claim_id = t.claim_id AND a.outcome = 'running'
)
SELECT id FROM written ORDER BY id
"""
FINISH_SQL = FENCED_SQL.format(
    given="jsonb_populate_recordset(NULL::inference_generation, %(rows)s::jsonb)",
    columns="state = 'ready', error = '', finished_at = statement_timestamp(), "
    + ", ".join(f"{column} = given.{column}" for column in LEDGER_COLUMNS),
)
FAIL_SQL = FENCED_SQL.format(
    given="jsonb_to_recordset(%(rows)s::jsonb) "
    "AS row(id bigint, claim_id uuid, state text, error text, delay_ms integer)",
    columns="state = given.state, error = given.error, "
    "not_before = statement_timestamp() + given.delay_ms * interval '1 millisecond', "
    "finished_at = CASE WHEN given.state = 'failed' THEN statement_timestamp() END",
)


def finish(claim_id: uuid.UUID, arrived: Sequence[Finished]) -> list[int]:
    """Store texts that arrived; the ids really written. Listeners hear of them on commit."""
    return end([(claim_id, one) for one in arrived])


def fail(claim_id: uuid.UUID, failed: Sequence[Failed]) -> list[int]:
    """Store tries without a text; the ids really written. Listeners hear of those that failed for good."""
    return end([(claim_id, one) for one in failed])


def end(endings: Sequence[Ending]) -> list[int]:
    """Store what became of rows of any claims; the ids really written.

    Texts and tries without one are a statement each, which locks its rows in the order of their ids, as everybody does.
    """
    arrived = [(claim, one) for claim, one in endings if isinstance(one, Finished)]
    failed = [(claim, one) for claim, one in endings if isinstance(one, Failed)]
    texts = [
        {"id": one.generation_id, "claim_id": str(claim), **_columns(one.ledger, LEDGER_COLUMNS)}
        for claim, one in arrived
    ]
    again = {one.generation_id for _, one in failed if one.again}
    written = _end(FINISH_SQL, texts, arrived, frozenset())
    return written + _end(FAIL_SQL, [_failed(claim, one) for claim, one in failed], failed, again)


def _end(sql: str, rows: list[dict[str, Any]], endings: Sequence[Ending], silent: Set[int]) -> list[int]:
    if not rows:
        return []
    with connection.cursor() as cursor:
        cursor.execute(sql, {"rows": _written(rows), "tried": _written([_tried(*ending) for ending in endings])})
        written = [row[0] for row in cursor.fetchall()]
    tell_on_commit(pk for pk in written if pk not in silent)
    _report_late(endings, written)
    return written


def _failed(claim_id: uuid.UUID, one: Failed) -> dict[str, Any]:
    return {
        "id": one.generation_id,
        "claim_id": str(claim_id),
        "state": "queued" if one.again else "failed",
        "error": one.tried.detail[:500],
        "delay_ms": round(one.delay_s * 1000),
    }


def _tried(claim_id: uuid.UUID, one: Finished | Failed) -> dict[str, Any]:
    row = {"generation_id": one.generation_id, "claim_id": str(claim_id), **_columns(one.tried, TRIED_COLUMNS)}
    return row | {"detail": one.tried.detail[:500]}


def _columns(record: Ledger | Tried, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in names}


def _written(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON that Postgres takes."""
    written = json.dumps(rows)
    return json.dumps(_storable(rows)) if UNSTORABLE.search(written) else written


def _storable(value: Any) -> Any:
    """Postgres keeps neither NUL nor lone surrogates; a model may write both."""
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return value


def _report_late(endings: Sequence[Ending], written: list[int]) -> None:
    late = sorted({one.generation_id for _, one in endings}.difference(written))
    if late:
        claims = ", ".join(sorted({str(claim) for claim, one in endings if one.generation_id in late}))
        logger.warning("claim %s came late for generations %s: nothing was written", claims, late)
