"""The queue's promises: asked once, claimed once, written once, whoever comes late or dies."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from inference import queue
from inference.contracts import GenerationRequest, Shot
from inference.models import Attempt, Generation, Need
from inference.queue import Failed, Finished, Ledger, Tried, claims, doorbell
from inference.queue.claims import derive_seed
from tests.inference.cast import MODEL, REQUEST, a_person, a_study, orders

pytestmark = pytest.mark.django_db(transaction=True)
State, Outcome = Generation.State, Attempt.Outcome

heard: list[int] = []


def listener(generation_id: int) -> None:
    heard.append(generation_id)


@pytest.fixture(autouse=True)
def quiet_bells(settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No listener of the layers above, and every ring written down instead of sent."""
    rung: list[str] = []
    settings.GENERATION_LISTENERS = [f"{__name__}.listener"]
    monkeypatch.setattr("inference.queue.doorbell.current_app.send_task", lambda name, args, **_: rung.append(args[0]))
    heard.clear()
    return rung


def a_ledger(text: str = "A good morning is slow.", **changes: Any) -> Ledger:
    ledger = Ledger(
        prompt="# Task",
        shots_used=1,
        shots_dropped=0,
        raw_text=f"## Preferred Response \n{text}",
        text=text,
        words=5,
        flags=["names_a_model"],
        finish_reason="stop",
        seed=2**62 + 5,
        prompt_tokens=40,
        completion_tokens=7,
        cached_tokens=None,
        engine="scripted",
        model_digest="m",
        tokenizer_digest="t",
        device="cpu",
        versions={"library": "1"},
    )
    return replace(ledger, **changes)


def arrived(generation: Generation, **changes: Any) -> Finished:
    return Finished(generation.pk, a_ledger(**changes), Tried(Outcome.READY, "", "raw", 5, 7))


def claim_one() -> Generation:
    (generation,) = queue.claim(MODEL.key, 1, worker="ada")
    return generation


def fence(generation: Generation) -> uuid.UUID:
    assert generation.claim_id is not None
    return generation.claim_id


def expire(*ids: int) -> None:
    Generation.objects.filter(pk__in=ids).update(lease_until=timezone.now() - timedelta(seconds=1))


def outcomes(generation_id: int) -> list[str]:
    return list(
        Attempt.objects.filter(generation_id=generation_id).order_by("number").values_list("outcome", flat=True)
    )


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
    assert claim_one().pk == generation_id


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
    unfenced = claims.CLAIM_SQL.replace("FOR UPDATE SKIP LOCKED", "").replace(
        "AND g.state = 'queued'", "AND (SELECT pg_sleep(0.02)) IS NOT NULL"
    )
    monkeypatch.setattr(claims, "CLAIM_SQL", unfenced)
    ids = queue.request_many(orders(a_study(), 60))
    taken = _claim_all_at_once(lambda: [row.pk for row in queue.claim(MODEL.key, 3, worker="w")], 4)
    assert sorted(set(taken)) == sorted(ids)
    assert len(taken) > len(ids)


# ---- finishing


def test_finishing_writes_the_whole_ledger_and_tells_the_listeners_once() -> None:
    queue.request_many(orders(a_study(), 1))
    row = claim_one()
    assert queue.finish(fence(row), [arrived(row)]) == [row.pk]
    row.refresh_from_db()
    assert row.state == State.READY
    assert {name: getattr(row, name) for name in asdict(a_ledger())} == asdict(a_ledger())
    assert (row.claim_id, row.lease_until, row.error) == (None, None, "")
    assert row.finished_at is not None
    (attempt,) = row.attempts.all()
    assert (attempt.outcome, attempt.raw_text, attempt.words, attempt.completion_tokens) == (Outcome.READY, "raw", 5, 7)
    assert attempt.finished_at is not None
    assert heard == [row.pk]


def test_finishing_twice_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    queue.request_many(orders(a_study(), 1))
    row = claim_one()
    claim_id = fence(row)
    queue.finish(claim_id, [arrived(row)])
    assert queue.finish(claim_id, [arrived(row, text="Another.")]) == []
    row.refresh_from_db()
    assert row.text == "A good morning is slow."
    assert heard == [row.pk]
    assert "came late" in caplog.text


def test_a_worker_whose_lease_was_given_to_another_writes_nothing() -> None:
    queue.request_many(orders(a_study(), 1))
    slow = claim_one()
    expire(slow.pk)
    assert queue.sweep() == 1
    quick = claim_one()
    assert quick.pk == slow.pk
    assert queue.heartbeat(fence(slow), [slow.pk]) == 0
    assert queue.finish(fence(slow), [arrived(slow, text="Late.")]) == []
    assert queue.fail(fence(slow), [Failed(slow.pk, Tried(Outcome.PERMANENT, "late"))]) == []
    assert queue.give_back(fence(slow), [slow.pk]) == 0
    assert queue.finish(fence(quick), [arrived(quick, text="In time.")]) == [quick.pk]
    quick.refresh_from_db()
    assert quick.text == "In time."
    assert outcomes(quick.pk) == [Outcome.WORKER_LOST, Outcome.READY]


def test_a_text_with_characters_that_postgres_refuses_is_stored_without_them() -> None:
    queue.request_many(orders(a_study(), 1))
    row = claim_one()
    queue.finish(fence(row), [arrived(row, text="a\x00b\ud800c")])
    row.refresh_from_db()
    assert row.text == "ab?c"


def test_a_listener_that_breaks_costs_neither_the_text_nor_the_next_listener(
    settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.GENERATION_LISTENERS = ["tests.inference.nowhere", f"{__name__}.listener"]
    queue.request_many(orders(a_study(), 1))
    row = claim_one()
    queue.finish(fence(row), [arrived(row)])
    row.refresh_from_db()
    assert row.state == State.READY
    assert heard == [row.pk]
    assert "listener tests.inference.nowhere failed" in caplog.text


def test_a_failure_for_good_is_visible_and_told_and_a_failure_to_repeat_is_not_told() -> None:
    study = a_study()
    first, second = queue.request_many(orders(study, 2))
    rows = queue.claim(MODEL.key, 2, worker="ada")
    tried = Tried(Outcome.PERMANENT, "permanent: no such model")
    queue.fail(fence(rows[0]), [Failed(first, tried), Failed(second, Tried(Outcome.TRANSIENT, "t"), again=True)])
    failed, queued = Generation.objects.get(pk=first), Generation.objects.get(pk=second)
    assert (failed.state, failed.error, queued.state) == (State.FAILED, "permanent: no such model", State.QUEUED)
    assert failed.finished_at is not None
    assert queued.finished_at is None
    assert heard == [first]


def test_staff_ask_again_for_a_failed_text_and_it_gets_a_fresh_budget(settings: Any) -> None:
    settings.GENERATION_MAX_ATTEMPTS = 1
    (generation_id,) = queue.request_many(orders(a_study(), 1))
    claim_one()
    expire(generation_id)
    queue.sweep()
    assert Generation.objects.get().state == State.FAILED
    assert heard == [generation_id]
    settings.GENERATION_MAX_ATTEMPTS = 2
    assert queue.retry([generation_id]) == 1
    assert queue.retry([generation_id]) == 0
    claim_one()
    expire(generation_id)
    queue.sweep()
    assert Generation.objects.get().state == State.QUEUED


def test_what_is_given_back_can_be_claimed_at_once_and_spends_no_try() -> None:
    queue.request_many(orders(a_study(), 2))
    rows = queue.claim(MODEL.key, 2, worker="ada")
    assert queue.give_back(fence(rows[0]), [row.pk for row in rows]) == 2
    again = queue.claim(MODEL.key, 2, worker="grace")
    assert [row.pk for row in again] == [row.pk for row in rows]
    assert outcomes(rows[0].pk) == [Outcome.RETURNED, Outcome.RUNNING]


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


# ---- doorbells


def test_a_broker_that_is_away_never_fails_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def refused(name: str, args: list[str], **_: object) -> None:
        calls.append(args[0])
        raise ConnectionError("no redis")

    monkeypatch.setattr(doorbell, "silence", doorbell.Silence())
    monkeypatch.setattr("inference.queue.doorbell.current_app.send_task", refused)
    ids = queue.request_many(orders(a_study(), 1))
    assert Generation.objects.filter(pk__in=ids, state=State.QUEUED).count() == 1
    assert not queue.ring(MODEL.key)
    assert calls == [MODEL.key], "the broker's time-out is paid once, not with every request"


def test_the_ledger_is_plain_json() -> None:
    assert json.loads(json.dumps(asdict(a_ledger())))["seed"] == 2**62 + 5
