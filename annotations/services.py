"""Writes: choices, judgments, and what a finished text means for the pairs that wait for it.

Callers hold the participant's row lock; the functions here add conditional updates of their own, so that a lost lock
could cost a wait, never a second answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import Enum

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from annotations.models import Comparison, Judgment, Preference


class Stored(Enum):
    """What became of a submission: stored now, stored before (the first one stands), or not this pair's turn."""

    NEW = "new"
    AGAIN = "again"
    OUT_OF_TURN = "out_of_turn"


CHOICE_SQL = """
UPDATE annotations_preference SET choice = %(choice)s, decided_at = %(now)s, page_ms = %(page_ms)s
WHERE participant_id = %(participant)s AND opaque_id = %(pair)s AND choice IS NULL AND position = (
    SELECT min(position) FROM annotations_preference WHERE participant_id = %(participant)s AND choice IS NULL
)
"""


def record_choice(participant_id: int, opaque_id: str, choice: str, page_ms: int | None) -> Stored:
    """Store the choice (first or second) of the pair whose turn it is; raises ValueError on another word."""
    if choice not in ("first", "second"):
        raise ValueError(f"A choice is first or second, not {choice!r}.")
    values: dict[str, int | str | datetime | None] = {
        "participant": participant_id, "pair": opaque_id, "choice": choice, "page_ms": page_ms, "now": timezone.now()
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(CHOICE_SQL, values)
        changed = cursor.rowcount
    if changed:
        return Stored.NEW
    known = Preference.objects.filter(participant_id=participant_id, opaque_id=opaque_id, choice__isnull=False)
    return Stored.AGAIN if known.exists() else Stored.OUT_OF_TURN


def record_judgment(
    comparison: Comparison,
    *,
    choice: str,
    strength: int | None,
    reason: str,
    page_ms: int | None,
    input: str = "",
) -> Stored:
    """Store the one judgment of a ready comparison. Repeats answer AGAIN, anything not ready OUT_OF_TURN."""
    now = timezone.now()
    changed = Comparison.objects.filter(pk=comparison.pk, state=Comparison.State.READY).update(
        state=Comparison.State.JUDGED, judged_at=now
    )
    if not changed:
        judged = Comparison.objects.filter(pk=comparison.pk, state=Comparison.State.JUDGED).exists()
        return Stored.AGAIN if judged else Stored.OUT_OF_TURN
    shown = comparison.presented_at or now
    Judgment.objects.create(
        comparison=comparison,
        participant_id=comparison.participant_id,
        choice=choice,
        strength=strength,
        reason=reason,
        page_ms=page_ms,
        server_ms=max(0, int((now - shown).total_seconds() * 1000)),
        input=input,
        created_at=now,
    )
    return Stored.NEW


def is_judged(participant_id: int, opaque_id: str) -> bool:
    """True when this pair of this person has its judgment."""
    return Comparison.objects.filter(
        participant_id=participant_id, opaque_id=opaque_id, state=Comparison.State.JUDGED
    ).exists()


def present(row: Preference | Comparison) -> None:
    """Stamp the first time a pair was shown; later calls change nothing."""
    if row.presented_at is None:
        row.presented_at = timezone.now()
        type(row).objects.filter(pk=row.pk, presented_at__isnull=True).update(presented_at=row.presented_at)


def waited(comparison_id: int, milliseconds: int) -> None:
    """Keep how long a person waited for this pair; no wait costs no statement."""
    if milliseconds:
        Comparison.objects.filter(pk=comparison_id).update(waited_ms=milliseconds)


LINK_SQL = """
UPDATE annotations_comparison AS pair SET generation_a_id = given.a, generation_b_id = given.b
FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[]) AS given(id, a, b) WHERE pair.id = given.id
"""


def link_texts(rows: Iterable[Comparison]) -> None:
    """Store which generations the comparisons `rows` show."""
    links = [(row.pk, row.generation_a_id, row.generation_b_id) for row in rows]
    if links:
        with connection.cursor() as cursor:
            cursor.execute(LINK_SQL, [list(column) for column in zip(*links, strict=True)])


def settle(generation_ids: Sequence[int]) -> None:
    """Make the planned pairs ready whose second texts these were.

    A failed text settles nothing: its pair is voided when its person reaches it.
    """
    _make_ready(Comparison.objects.filter(showing(generation_ids)))


def showing(generation_ids: Sequence[int]) -> Q:
    """The pairs that show one of these texts, as a condition on comparisons."""
    return Q(generation_a_id__in=generation_ids) | Q(generation_b_id__in=generation_ids)


def settle_person(participant_id: int) -> None:
    """Make every pair of a person ready whose texts are: what the wait page's poll and the sweep call."""
    _make_ready(Comparison.objects.filter(participant_id=participant_id))


def _make_ready(rows: object) -> None:
    ready = Q(candidate_a__isnull=False, candidate_b__isnull=False) | Q(
        generation_a__state="ready", generation_b__state="ready"
    )
    assert hasattr(rows, "filter")
    ids = list(rows.filter(ready, state=Comparison.State.PLANNED).values_list("id", flat=True))
    if ids:
        Comparison.objects.filter(id__in=ids, state=Comparison.State.PLANNED).update(
            state=Comparison.State.READY, ready_at=Now()
        )


def void(rows: Sequence[int], reason: str) -> int:
    """Void comparisons that are planned or ready; returns how many changed."""
    return Comparison.objects.filter(id__in=rows, state__in=[Comparison.State.PLANNED, Comparison.State.READY]).update(
        state=Comparison.State.VOID, void_reason=reason, voided_at=timezone.now()
    )


def void_left(participant_id: int) -> int:
    """Void everything a leaver did not judge."""
    rows = Comparison.objects.filter(participant_id=participant_id).values_list("id", flat=True)
    return void(list(rows), Comparison.VoidReason.LEFT)


def erase(participant_id: int) -> None:
    """Delete a person's preferences, comparisons and judgments. Only the withdrawal service calls this.

    The append-only trigger lets judgments go only while `palate.withdrawing` names their participant, and the setting
    dies with the transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("Erasing needs the transaction of the withdrawal.")
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('palate.withdrawing', %s, true)", [str(participant_id)])
    Judgment.objects.filter(participant_id=participant_id).delete()
    Comparison.objects.filter(participant_id=participant_id).update(repeat_of=None)
    Comparison.objects.filter(participant_id=participant_id).delete()
    Preference.objects.filter(participant_id=participant_id).update(repeat_of=None)
    Preference.objects.filter(participant_id=participant_id).delete()
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('palate.withdrawing', '', true)")
