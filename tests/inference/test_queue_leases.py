"""Leases bring back what a dead worker held; nothing brings back a person who left."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection, transaction

from inference import queue
from inference.contracts import REQUEST_VERSION
from inference.models import Attempt, Generation, Need
from tests.inference.cast import MODEL, a_person, a_study, orders
from tests.inference.ledger import Outcome, State, arrived, claim_one, expire, fence, outcomes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet_bells")]


# ---- claims


def test_a_request_that_this_version_does_not_understand_is_left_to_others() -> None:
    known, unknown = queue.request_many(orders(a_study(), 2))
    Generation.objects.filter(pk=unknown).update(request_version=REQUEST_VERSION + 1)
    assert [row.pk for row in queue.claim(MODEL.key, 2, worker="ada")] == [known]
    assert queue.claim(MODEL.key, 2, worker="ada") == []


# ---- leases


def test_a_heartbeat_keeps_a_claim_from_the_sweep() -> None:
    queue.request_many(orders(a_study(), 1))
    row = claim_one()
    expire(row.pk)
    assert queue.heartbeat(fence(row), [row.pk]) == 1
    assert queue.sweep() == 0


def test_a_row_that_kills_its_workers_fails_after_the_budget(settings: Any) -> None:
    settings.GENERATION_MAX_ATTEMPTS = 3
    (generation_id,) = queue.request_many(orders(a_study(), 1))
    for _ in range(3):
        claim_one()
        expire(generation_id)
        queue.sweep()
    row = Generation.objects.get()
    assert row.state == State.FAILED
    assert "worker was lost" in row.error
    assert outcomes(generation_id) == [Outcome.WORKER_LOST] * 3


def test_many_sweeps_at_once_bring_every_row_back_once() -> None:
    ids = queue.request_many(orders(a_study(), 30))
    queue.claim(MODEL.key, 30, worker="ada")
    expire(*ids)
    gate = threading.Barrier(4)

    def sweep(_: int) -> int:
        try:
            gate.wait()
            return queue.sweep()
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(sweep, range(4))) == 30
    assert Generation.objects.filter(state=State.QUEUED).count() == 30
    assert Attempt.objects.filter(outcome=Outcome.WORKER_LOST).count() == 30


def test_the_sweep_rings_for_what_waits(quiet_bells: list[str]) -> None:
    queue.request_many(orders(a_study(), 1))
    quiet_bells.clear()
    queue.sweep()
    assert quiet_bells == [MODEL.key]


# ---- leaving


def test_a_late_worker_finds_nothing_of_a_withdrawn_person() -> None:
    study = a_study()
    person = a_person(study)
    queue.request_many(orders(study, 2, owner=person))
    rows = queue.claim(MODEL.key, 2, worker="ada")
    claim_id = fence(rows[0])
    assert queue.erase(owner_id=person.pk) == 2
    assert queue.finish(claim_id, [arrived(row) for row in rows]) == []
    assert queue.heartbeat(claim_id, [row.pk for row in rows]) == 0
    assert queue.sweep() == 0
    assert Generation.objects.count() == Attempt.objects.count() == 0


def test_a_worker_that_finishes_while_a_person_withdraws_writes_nothing() -> None:
    study = a_study()
    person = a_person(study)
    queue.request_many(orders(study, 2, owner=person))
    rows = queue.claim(MODEL.key, 2, worker="ada")

    def finish() -> list[int]:
        try:
            return queue.finish(fence(rows[0]), [arrived(row) for row in rows])
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            queue.erase(owner_id=person.pk)
            late = pool.submit(finish)
            time.sleep(0.2)
            assert not late.done(), "it waits for the withdrawal"
        assert late.result(timeout=10) == []
    assert Generation.objects.count() == Attempt.objects.count() == 0


def test_a_person_who_stops_keeps_the_texts_that_came_and_loses_those_that_did_not() -> None:
    study = a_study()
    person, other = a_person(study), a_person(study)
    ids = queue.request_many(orders(study, 3, owner=person))
    kept = queue.request_many(orders(study, 1, owner=other, need=Need.STOCK))
    first = claim_one()
    queue.finish(fence(first), [arrived(first)])
    claim_one()
    assert queue.discard(owner_id=person.pk) == 2
    states = dict(Generation.objects.values_list("pk", "state"))
    assert [states[pk] for pk in ids] == [State.READY, State.DISCARDED, State.DISCARDED]
    assert states[kept[0]] == State.QUEUED
