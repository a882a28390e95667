"""The runner with an engine that takes rows one by one: it is kept full, and every promise of a batch holds too."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from inference import queue, verdicts
from inference.contracts import Completion, EngineRequest, GenerationRequest
from inference.engines.base import StreamingEngine
from inference.engines.scripted import ScriptedEngine, StreamingScriptedEngine
from inference.flight import Flight
from inference.models import Attempt, Generation, Need
from inference.prompts import build
from inference.runner import Runner
from tests.inference.cast import MODEL, a_person, a_study, orders
from tests.inference.drained import Outcome, State, ask, drain, outcomes, scripted, skip_back_off, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


def test_only_an_engine_that_streams_is_taken_for_one() -> None:
    assert isinstance(StreamingScriptedEngine({}), StreamingEngine)
    assert not isinstance(ScriptedEngine({}), StreamingEngine)


def test_rows_arrive_whole_and_their_texts_are_those_of_a_batch() -> None:
    key, ids = ask(40, stream=True, slots=4)
    assert Runner().drain(key) == 40
    assert set(Generation.objects.filter(pk__in=ids).values_list("state", flat=True)) == {State.READY}
    assert all(outcomes(pk) == [Outcome.READY] for pk in ids)
    for row in Generation.objects.filter(pk__in=ids):
        request = GenerationRequest.from_json(row.request)
        asked = EngineRequest("x", build(request), request.sampling, row.seed or 0)
        (again,) = ScriptedEngine({}).generate([asked])
        assert isinstance(again, Completion)
        assert again.text == row.raw_text


def test_the_engine_is_kept_full_but_never_given_more_than_its_places() -> None:
    at_work, most, lock = [0], [0], threading.Lock()

    class Counting(StreamingScriptedEngine):
        def generate(self, requests: Any) -> Any:
            with lock:
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
            try:
                return super().generate(requests)
            finally:
                with lock:
                    at_work[0] -= 1

    key, ids = ask(60, stream=True, slots=8, delay_s=0.05)
    Runner(load=lambda spec: Counting(spec.options)).drain(key)
    assert most[0] == 8
    assert Generation.objects.filter(pk__in=ids, state=State.READY).count() == 60


def test_an_engine_that_puts_rows_in_order_itself_has_some_at_hand() -> None:
    class Ordering(StreamingScriptedEngine):
        ahead = 3

    engine, study = Ordering({"slots": 4}), a_study()
    assert Flight(engine).room == 7
    queue.request_many(orders(study, 2, owner=a_person(study)))
    queue.raise_need([Generation.objects.latest("pk").pk], Need.WAITING)
    waiting, patient = (
        verdicts.engine_request(verdicts.job_of(engine, row)) for row in queue.claim(MODEL.key, 2, worker="w")
    )
    assert waiting.urgency < patient.urgency


@contextmanager
def draining(key: str, runner: Runner) -> Iterator[None]:
    """A drain in a thread of its own, as a worker has it."""

    def run() -> None:
        try:
            runner.drain(key)
        finally:
            connection.close()

    worker = threading.Thread(target=run)
    worker.start()
    try:
        yield
    finally:
        worker.join()


def test_a_slow_row_holds_nobody_up() -> None:
    go_on = threading.Event()

    class OneSlow(StreamingScriptedEngine):
        def generate(self, requests: Any) -> Any:
            if int(requests[0].id) == ids[0]:
                go_on.wait(30)
            return super().generate(requests)

    key, ids = ask(30, stream=True, slots=4)
    ready = Generation.objects.filter(pk__in=ids, state=State.READY)
    with draining(key, Runner(load=lambda spec: OneSlow(spec.options))):
        try:
            wait_until(lambda: ready.count() == 29)
            assert Generation.objects.get(pk=ids[0]).state == State.RUNNING
        finally:
            go_on.set()
    assert ready.count() == 30


def test_whoever_waits_gets_the_next_free_place() -> None:
    study = a_study()
    model = scripted(stream=True, slots=2, delay_s=0.1)
    stock = queue.request_many(orders(study, 30, model=model, need=Need.STOCK))
    with draining(model.key, Runner()):
        wait_until(lambda: Generation.objects.filter(pk__in=stock, state=State.READY).count() >= 2)
        (late,) = queue.request_many(orders(study, 1, model=model, need=Need.WAITING, owner=a_person(study)))
    waited = Generation.objects.get(pk=late)
    assert waited.state == State.READY
    before = Generation.objects.filter(pk__in=stock, started_at__lt=waited.started_at).count()
    assert before < 25


def test_transient_errors_come_again_and_permanent_ones_fail_alone(settings: Any) -> None:
    settings.GENERATION_MAX_ATTEMPTS = 2
    key, ids = ask(12, stream=True, slots=4, fail_every=3)
    runner = Runner()
    for _ in range(3):
        runner.drain(key)
        skip_back_off()
    states = dict(Generation.objects.filter(pk__in=ids).values_list("pk", "state"))
    assert set(states.values()) <= {State.READY, State.FAILED}
    tried = {pk: outcomes(pk) for pk in ids}
    assert any(Outcome.TRANSIENT in found for found in tried.values())
    ends = {State.READY: Outcome.READY, State.FAILED: Outcome.TRANSIENT}
    assert all(found[-1] == ends[State(states[pk])] for pk, found in tried.items())


def test_a_request_of_another_version_fails_visibly_and_stops_nobody() -> None:
    key, ids = ask(5, stream=True, slots=4)
    Generation.objects.filter(pk=ids[2]).update(request={"model": {"engine": "scripted", "source": "drill"}})
    drain(key)
    states = [Generation.objects.get(pk=pk).state for pk in ids]
    assert states == [State.READY, State.READY, State.FAILED, State.READY, State.READY]


def test_a_bug_in_an_engine_is_an_error_of_its_row_alone() -> None:
    class Broken(StreamingScriptedEngine):
        def generate(self, requests: Any) -> Any:
            if int(requests[0].id) == broken:
                raise ZeroDivisionError("somewhere in a library")
            return super().generate(requests)

    key, ids = ask(4, stream=True, slots=4)
    broken = ids[1]
    Runner(load=lambda spec: Broken(spec.options)).drain(key)
    assert outcomes(broken) == [Outcome.TRANSIENT]
    assert Generation.objects.filter(pk__in=ids, state=State.READY).count() == 3


def test_a_stopping_process_claims_no_more_and_gives_back_what_it_holds() -> None:
    key, ids = ask(20, stream=True, slots=4, delay_s=2.0)
    runner = Runner()
    with draining(key, runner):
        wait_until(lambda: Generation.objects.filter(state=State.RUNNING).count() == 4)
        runner.stopping.set()
        assert runner.give_back() == 4
    assert set(Generation.objects.filter(pk__in=ids).values_list("state", flat=True)) == {State.QUEUED}
    assert set(Attempt.objects.values_list("outcome", flat=True)) == {Outcome.RETURNED}


@pytest.mark.parametrize("stream", [True, False])
def test_rows_claimed_while_the_process_stops_are_given_back_too(monkeypatch: pytest.MonkeyPatch, stream: bool) -> None:
    claim, claimed = queue.claim, threading.Event()

    def slow_to_return(*args: Any, **kwargs: Any) -> Any:
        rows = claim(*args, **kwargs)
        claimed.set()
        time.sleep(0.3)
        return rows

    monkeypatch.setattr(queue, "claim", slow_to_return)
    key, ids = ask(8, stream=stream, slots=4, delay_s=2.0)
    runner = Runner()
    with draining(key, runner):
        assert claimed.wait(10)
        runner.stopping.set()
        assert runner.give_back() == 4
    assert set(Generation.objects.filter(pk__in=ids).values_list("state", flat=True)) == {State.QUEUED}


def test_leases_of_a_flight_are_renewed_until_an_engine_has_hung_too_long(settings: Any) -> None:
    key, _ = ask(2, stream=True, slots=2, delay_s=1.0)
    engine = StreamingScriptedEngine({"delay_s": 1.0, "slots": 2})
    flight = Flight(engine)
    rows = queue.claim(key, 2, worker="ada")
    flight.board(rows)
    assert sorted(pk for ids in flight.claims().values() for pk in ids) == sorted(row.pk for row in rows)
    settings.GENERATION_LIMIT_S = 0
    assert flight.claims() == {}
    assert flight.land(0.0) == []
    assert len(flight) == 0
    # What hangs keeps its place, for later flights too, until it comes.
    later = Flight(engine, flight.hung)
    assert later.room == 0
    wait_until(lambda: later.room == 2)
