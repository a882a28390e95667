"""What is asked for is asked once, and claimed once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from django.db import connection, transaction
from django.utils import timezone

from inference import queue
from inference.contracts import GenerationRequest, Shot
from inference.models import Attempt, Generation, Need
from inference.queue import Failed, Tried, asking, claims
from inference.queue.claims import derive_seed
from tests.inference.cast import MODEL, REQUEST, a_person, a_study, orders
from tests.inference.ledger import Outcome, State, claim_one, fence

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet_bells")]


# ---- asking


def test_asking_twice_makes_one_row_and_names_it_twice(quiet_bells: list[str]) -> None:
    study = a_study()
    asked = orders(study, 3)
    first = queue.request_many(asked)
    assert queue.request_many([asked[2], asked[0], asked[1]]) == [first[2], first[0], first[1]]
    assert Generation.objects.count() == 3
    assert quiet_bells == [MODEL.key] * 2


def test_the_row_holds_the_whole_request() -> None:
    study = a_study()
    (generation_id,) = queue.request_many(orders(study, 1, owner=a_person(study)))
    row = Generation.objects.get(pk=generation_id)
    assert GenerationRequest.from_json(row.request) == REQUEST
    assert (row.model_key, row.purpose, row.context_hash) == (MODEL.key, "answer", REQUEST.context_hash)


def test_a_new_row_is_what_the_model_says_but_for_its_order() -> None:
    study = a_study()
    (order,) = orders(study, 1, owner=a_person(study), need=Need.STOCK)
    (generation_id,) = queue.request_many([replace(order, position=3)])
    row, plain = Generation.objects.get(pk=generation_id), Generation()
    assert (row.need, row.position, row.adapter) == (Need.STOCK, 3, "")
    others = {field.attname for field in Generation._meta.concrete_fields} - {*asking.GIVEN, "id", "queued_at"}
    assert {name: getattr(row, name) for name in others} == {name: getattr(plain, name) for name in others}


def test_rows_of_two_people_are_never_shared_and_replicates_are_rows_of_their_own() -> None:
    study = a_study()
    (order,) = orders(study, 1, owner=a_person(study))
    other = replace(order, owner_id=a_person(study).pk)
    third = replace(order, replicate=1)
    changed = replace(order, request=replace(REQUEST, shots=(Shot("a", "b", "c"),)))
    assert len(set(queue.request_many([order, other, third, changed]))) == 4


def test_two_askers_at_once_make_one_row() -> None:
    study = a_study()
    asked = orders(study, 20)
    gate = threading.Barrier(4)

    def ask(_: int) -> list[int]:
        try:
            gate.wait()
            return queue.request_many(asked)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(ask, range(4)))
    assert all(answer == answers[0] for answer in answers)
    assert Generation.objects.count() == 20


def test_the_bell_rings_only_once_the_rows_can_be_seen(quiet_bells: list[str]) -> None:
    study = a_study()
    with transaction.atomic():
        queue.request_many(orders(study, 2))
        assert quiet_bells == []
    assert quiet_bells == [MODEL.key]


# ---- claiming


def test_the_most_urgent_row_is_claimed_first_then_by_position_then_by_age() -> None:
    study = a_study()
    stock = queue.request_many(orders(study, 2, arm="base", need=Need.STOCK))
    personal = queue.request_many(orders(study, 2, owner=a_person(study)))
    waiting = a_person(study)
    urgent = queue.request_many(orders(study, 2, owner=waiting))
    assert queue.raise_need(urgent, Need.WAITING) == 2
    claimed = queue.claim(MODEL.key, 10, worker="ada")
    assert [row.pk for row in claimed] == [*urgent, personal[0], personal[1], *stock]


def test_only_queued_rows_become_more_urgent_and_none_less() -> None:
    ids = queue.request_many(orders(a_study(), 3))
    running = claim_one()
    assert queue.raise_need(ids, Need.STOCK) == 0
    assert queue.raise_need(ids, Need.WAITING) == 2
    running.refresh_from_db()
    assert running.need == Need.PERSONAL


def test_a_claim_writes_fence_lease_and_attempt() -> None:
    (generation_id,) = queue.request_many(orders(a_study(seed=11), 1))
    row = claim_one()
    (attempt,) = row.attempts.all()
    assert (row.state, row.tries, attempt.number, attempt.worker) == (State.RUNNING, 1, 1, "ada")
    assert row.lease_until is not None
    assert row.lease_until > timezone.now()
    assert row.started_at is not None
    assert attempt.claim_id == row.claim_id
    assert attempt.seed == derive_seed(11, generation_id, 1)
    assert row.history == [attempt]
    assert queue.claim(MODEL.key, 1, worker="grace") == []


def test_a_model_gets_its_own_rows_only_and_no_more_than_it_asks_for() -> None:
    study = a_study()
    queue.request_many(orders(study, 5))
    queue.request_many(orders(study, 5, arm="base", model=replace(MODEL, source="another")))
    assert len(queue.claim(MODEL.key, 3, worker="ada")) == 3
    assert len(queue.claim(MODEL.key, 9, worker="ada")) == 2


def test_a_row_that_backs_off_is_left_alone_until_its_time() -> None:
    (generation_id,) = queue.request_many(orders(a_study(), 1))
    row = claim_one()
    queue.fail(fence(row), [Failed(generation_id, Tried(Outcome.TRANSIENT, "lost"), again=True, delay_s=30)])
    assert queue.claim(MODEL.key, 1, worker="ada") == []
    assert queue.waiting_keys() == []
    Generation.objects.update(not_before=timezone.now())
    assert queue.waiting_keys() == [MODEL.key]
    again = claim_one()
    assert again.pk == generation_id
    assert again.history == list(Attempt.objects.filter(generation_id=generation_id))
    assert [(one.number, one.outcome) for one in again.history] == [(1, Outcome.TRANSIENT), (2, Outcome.RUNNING)]


def test_seeds_are_63_bits_and_differ_by_study_generation_and_attempt() -> None:
    seeds = {derive_seed(study, generation, attempt) for study in (1, 2) for generation in (1, 2) for attempt in (1, 2)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 1, 1) == derive_seed(1, 1, 1)


def _claim_all_at_once(claim: Callable[[], list[int]], workers: int) -> list[int]:
    gate = threading.Barrier(workers)

    def work(_: int) -> list[int]:
        mine: list[int] = []
        try:
            gate.wait()
            while ids := claim():
                mine += ids
            return mine
        finally:
            connection.close()

    with ThreadPoolExecutor(workers) as pool:
        return [generation_id for ids in pool.map(work, range(workers)) for generation_id in ids]


def test_four_workers_at_once_claim_every_row_exactly_once() -> None:
    ids = queue.request_many(orders(a_study(), 60))
    taken = _claim_all_at_once(lambda: [row.pk for row in queue.claim(MODEL.key, 3, worker="w")], 4)
    assert sorted(taken) == sorted(ids)
    assert Attempt.objects.count() == 60


def test_without_lock_and_fence_two_workers_take_the_same_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control of the test above: the same claim, only that looking and taking are two steps."""
    unfenced = claims.GENERATION_CLAIM.replace("FOR UPDATE SKIP LOCKED", "").replace(
        "AND g.state = 'queued'", "AND (SELECT pg_sleep(0.02)) IS NOT NULL"
    )
    monkeypatch.setattr(claims, "GENERATION_CLAIM", unfenced)
    ids = queue.request_many(orders(a_study(), 60))
    taken = _claim_all_at_once(lambda: [row.pk for row in queue.claim(MODEL.key, 3, worker="w")], 4)
    assert sorted(set(taken)) == sorted(ids)
    assert len(taken) > len(ids)
