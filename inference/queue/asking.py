"""Asking for texts: new rows, their need, and taking them back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.db.models.functions import Now

from inference.contracts import GenerationRequest
from inference.models import Attempt, Generation, Need, Score
from inference.queue.doorbell import ring_on_commit
from inference.queue.scores import discard_scores

CHUNK = 500
State = Generation.State
Key = tuple[int, int | None, str, int, str, str, int]


@dataclass(frozen=True)
class Order:
    """One text wanted: for whom, under which arm, answering what. `owner_id` None is an unpersonalised text."""

    study_id: int
    owner_id: int | None
    arm: str
    question_id: int
    request: GenerationRequest
    replicate: int = 0
    need: int = Need.PERSONAL
    position: int = 0

    @property
    def key(self) -> Key:
        """The unique key of its row."""
        request = self.request
        who = (self.study_id, self.owner_id, self.arm, self.question_id)
        return (*who, request.purpose, request.context_hash, self.replicate)

    def given(self, key: Key, model_key: str) -> dict[str, Any]:
        """What the order decides of its row, which holds the whole request."""
        decided = (self.request.to_json(), model_key, self.request.adapter or "", int(self.need), self.position)
        return dict(zip(GIVEN, (*key, *decided), strict=True))


KEY = ("study_id", "owner_id", "arm", "question_id", "purpose", "context_hash", "replicate")
GIVEN = (*KEY, "request", "model_key", "adapter", "need", "position")


@cache
def ask_sql() -> tuple[str, dict[str, Any]]:
    """The statement that writes new rows, and the values that all of them begin with."""
    fields = [field for field in Generation._meta.concrete_fields if not field.primary_key]
    begin = {f.attname: f.get_db_prep_save(f.get_default(), connection) for f in fields if f.attname not in GIVEN}
    del begin["queued_at"]
    values = [f"given.{name}" for name in GIVEN] + [f"%({name})s" for name in begin]
    sql = f"""
    INSERT INTO inference_generation ({", ".join([*GIVEN, *begin])}, queued_at)
    SELECT {", ".join(values)}, statement_timestamp()
    FROM jsonb_populate_recordset(NULL::inference_generation, %(rows)s::jsonb) WITH ORDINALITY AS given
    ORDER BY given.ordinality
    ON CONFLICT DO NOTHING
    RETURNING {", ".join(KEY)}, id
    """
    return sql, begin


def request_many(orders: Sequence[Order]) -> list[int]:
    """Ask for every order once; the generations' ids in the order of `orders`.

    Idempotent: an order asked for before gets the id of its row, whatever became of it. Rings each base model once, on
    commit.
    """
    ids: list[int] = []
    with transaction.atomic(savepoint=False):
        for start in range(0, len(orders), CHUNK):
            ids += _request_chunk(orders[start : start + CHUNK])
        ring_on_commit(order.request.model.key for order in orders)
    return ids


def _request_chunk(orders: Sequence[Order]) -> list[int]:
    keys = [order.key for order in orders]
    # A person's own texts are asked for once, stock by everybody: only stock is likely to be there.
    found = {} if all(order.owner_id for order in orders) else _find(keys)
    missing = {key: order for order, key in zip(orders, keys, strict=True) if key not in found}
    if missing:
        found |= _insert(missing)
    if not missing.keys() <= found.keys():  # somebody else has asked meanwhile
        found |= _find(keys)
    return [found[key] for key in keys]


def _insert(orders: Mapping[Key, Order]) -> dict[Key, int]:
    """New rows; the ids of those that were not there."""
    models = {id(order.request.model): order.request.model for order in orders.values()}
    model_keys = {known: model.key for known, model in models.items()}
    rows = [order.given(key, model_keys[id(order.request.model)]) for key, order in orders.items()]
    sql, begin = ask_sql()
    with connection.cursor() as cursor:
        cursor.execute(sql, begin | {"rows": json.dumps(rows)})
        return {row[:-1]: row[-1] for row in cursor.fetchall()}


def _find(keys: Sequence[Key]) -> dict[Key, int]:
    """The ids of the rows that were asked for before."""
    studies, owners, arms, questions, purposes, contexts, replicates = (
        set(column) for column in zip(*keys, strict=True)
    )
    rows = Generation.objects.filter(
        Q(owner_id__in=owners - {None}) | (Q(owner_id__isnull=True) if None in owners else Q(pk__in=[])),
        study_id__in=studies,
        arm__in=arms,
        question_id__in=questions,
        purpose__in=purposes,
        context_hash__in=contexts,
        replicate__in=replicates,
    ).values_list(*KEY, "pk")
    return {row[:-1]: row[-1] for row in rows}


def raise_need(generation_ids: Iterable[int], need: int) -> int:
    """Make queued rows at least as urgent as `need`; how many changed. Running and finished ones stay as they are."""
    return _raise(Q(pk__in=list(generation_ids)), need)


def _raise(which: Q, need: int) -> int:
    with transaction.atomic():
        rows = Generation.objects.select_for_update().filter(which, state=State.QUEUED, need__gt=need).order_by("pk")
        keys = dict(rows.values_list("pk", "model_key"))
        changed = Generation.objects.filter(pk__in=keys, state=State.QUEUED).update(need=need)
        ring_on_commit(keys.values())
    return changed


def narrow(windows: Mapping[int, tuple[int, int]]) -> int:
    """Give texts that are not there yet the least and most words that suit the other text of their pair.

    How many rows changed. A text at work is judged by what its row said when the try began; a later try by this.
    """
    changed = 0
    with transaction.atomic():
        for pk in sorted(windows):
            least, most = windows[pk]
            rows = Generation.objects.filter(pk=pk, state__in=[State.QUEUED, State.RUNNING])
            changed += rows.update(least_words=least, most_words=most)
    return changed


def retry(generation_ids: Iterable[int]) -> int:
    """Staff ask again for failed texts, with a fresh budget of tries; how many went back into the queue."""
    with transaction.atomic():
        rows = Generation.objects.select_for_update().filter(pk__in=list(generation_ids), state=State.FAILED)
        keys = dict(rows.order_by("pk").values_list("pk", "model_key"))
        changed = Generation.objects.filter(pk__in=keys, state=State.FAILED).update(
            state=State.QUEUED, error="", queued_at=Now(), not_before=None, finished_at=None
        )
        ring_on_commit(keys.values())
    return changed


def discard(*, owner_id: int) -> int:
    """Nobody wants this person's unfinished texts and scores any more; how many texts were discarded. What came stays.

    Rows are locked in the order of their ids and the fence is lifted: a worker that finishes later changes nothing.
    """
    states = [State.QUEUED, State.RUNNING]
    with transaction.atomic():
        discard_scores(owner_id)
        rows = Generation.objects.select_for_update().filter(owner_id=owner_id, state__in=states).order_by("pk")
        ids = list(rows.values_list("pk", flat=True))
        Attempt.objects.filter(generation_id__in=ids, outcome=Attempt.Outcome.RUNNING).update(
            outcome=Attempt.Outcome.RETURNED, detail="discarded", finished_at=Now()
        )
        return Generation.objects.filter(pk__in=ids, state__in=states).update(
            state=State.DISCARDED, claim_id=None, lease_until=None, finished_at=Now()
        )


def erase(*, owner_id: int) -> int:
    """Delete everything that was made of this person: generations, attempts, scores; how many generations went.

    The rows are locked in the order of their ids, so that a worker that writes at the same moment comes before or finds
    nothing, and neither waits for the other in a circle.
    """
    with transaction.atomic():
        rows = Generation.objects.select_for_update().filter(owner_id=owner_id).order_by("pk")
        ids = list(rows.values_list("pk", flat=True))
        Score.objects.filter(owner_id=owner_id).delete()
        Generation.objects.filter(pk__in=ids).delete()
    return len(ids)
