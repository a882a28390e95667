"""A text is written once, whoever comes late, and told to whoever listens."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from inference import queue
from inference.models import Generation
from inference.queue import Failed, Tried, doorbell
from tests.inference.cast import MODEL, a_study, orders
from tests.inference.ledger import Outcome, State, a_ledger, arrived, claim_one, expire, fence, heard, outcomes

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("quiet_bells")]


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
    settings.GENERATION_LISTENERS = ["tests.inference.nowhere", "tests.inference.ledger.listener"]
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
