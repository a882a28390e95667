"""The step that nearly every answer is, in one statement: store it under the row lock, show the pair that follows.

Each function changes everything or nothing. Nothing (None) says that this step is not so plain: a repeat, a pair out of
turn, the last shot, a break, a wait, an end. Then `progress` takes its own way, a transaction with the row lock first.
A statement that waited for the lock sees other rows as they were before; its UPDATE looks at the pair's row afresh.
"""

from __future__ import annotations

from typing import TypeVar

from django.utils import timezone

from annotations import selectors
from annotations.models import Comparison, Preference
from studyapp.models import Participant

Row = TypeVar("Row", Preference, Comparison)

CHOICE_SQL = """
WITH person AS MATERIALIZED (
    SELECT id, shots_done_at FROM studyapp_participant WHERE id = %s AND state = 'eliciting' FOR UPDATE
), turn AS MATERIALIZED (
    SELECT pair.id, opaque_id, role, shots_done_at, row_number() OVER (ORDER BY position) AS number
    FROM annotations_preference AS pair JOIN person ON pair.participant_id = person.id
    WHERE choice IS NULL ORDER BY position LIMIT 2
), written AS (
    UPDATE annotations_preference AS pair SET choice = %s, page_ms = %s::integer, decided_at = %s
    FROM turn AS this, turn AS coming
    WHERE this.number = 1 AND this.opaque_id = %s AND pair.id = this.id AND pair.choice IS NULL
        AND coming.number = 2 AND (coming.role = 'shot' OR coming.shots_done_at IS NOT NULL)
    RETURNING coming.id AS coming
), shown AS (
    UPDATE annotations_preference AS pair SET presented_at = %s
    FROM written WHERE pair.id = written.coming AND pair.presented_at IS NULL
)
"""

JUDGMENT_SQL = """
WITH person AS MATERIALIZED (
    SELECT id FROM studyapp_participant
    WHERE id = %s AND state = 'judging' AND breaks_taken = %s AND wait_started_at IS NULL FOR UPDATE
), turn AS MATERIALIZED (
    SELECT pair.id, opaque_id, state, position, row_number() OVER (ORDER BY position) AS number
    FROM annotations_comparison AS pair JOIN person ON pair.participant_id = person.id
    WHERE state IN ('planned', 'ready') ORDER BY position LIMIT 2
), written AS (
    UPDATE annotations_comparison AS pair SET state = 'judged', judged_at = %s
    FROM turn AS this, turn AS coming
    WHERE this.number = 1 AND this.opaque_id = %s AND pair.id = this.id AND pair.state = 'ready'
        AND coming.number = 2 AND coming.state = 'ready' AND coming.position <= %s
    RETURNING pair.id, pair.participant_id, pair.judged_at, pair.presented_at, coming.id AS coming
), judged AS (
    INSERT INTO annotations_judgment
        (comparison_id, participant_id, created_at, server_ms, choice, strength, reason, page_ms, input)
    SELECT id, participant_id, judged_at,
        greatest(0, floor(1000 * extract(epoch FROM judged_at - coalesce(presented_at, judged_at))))::integer,
        %s, %s::smallint, %s, %s::integer, %s
    FROM written
), shown AS (
    UPDATE annotations_comparison AS pair SET presented_at = %s
    FROM written WHERE pair.id = written.coming AND pair.presented_at IS NULL
)
"""
# No position is as high: where a study has no breaks.
NEVER = 32767


def choose(participant: Participant, opaque_id: str, choice: str, page_ms: int | None) -> Preference | None:
    """Store the choice (first or second) of the pair whose turn it is; the next pair, shown now, or None: nothing."""
    now = timezone.now()
    values = (participant.pk, choice, page_ms, now, opaque_id, now)
    return _shown(selectors.NEXT_PREFERENCES.beside(CHOICE_SQL, values, participant.pk), now)


def judge(
    participant: Participant, opaque_id: str, *, choice: str, strength: object, reason: object, page_ms: int | None,
    input: str,
) -> Comparison | None:  # fmt: skip
    """Store a checked judgment of the pair whose turn it is; the next pair, shown now, or None: nothing."""
    now, every = timezone.now(), participant.study.spec.judging.break_every
    before_break = every * (participant.breaks_taken + 1) if every else NEVER
    turn = (participant.pk, participant.breaks_taken, now, opaque_id, before_break)
    values = (*turn, choice, strength, reason, page_ms, input, now)
    return _shown(selectors.two_of(selectors.unjudged).beside(JUDGMENT_SQL, values, participant.pk), now)


def _shown(rows: list[Row], now: object) -> Row | None:
    """The second of two rows, as it is after the statement."""
    if not rows:
        return None
    coming = rows[-1]
    coming.presented_at = coming.presented_at or now  # type: ignore[assignment]
    return coming
