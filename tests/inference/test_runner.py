"""The runner's promises, on the scripted engine: a claimed row ends in a text, another try, or a visible failure."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from inference import queue
from inference.contracts import (
    Completion,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    ModelSpec,
    Sampling,
    Shot,
    Window,
)
from inference.engines.scripted import ScriptedEngine
from inference.models import Attempt, Generation
from inference.normalise import normalise
from inference.prompts import build
from inference.queue.claims import derive_seed
from inference.runner import EngineDown, Runner
from inference.verdicts import backoff
from tests.inference.cast import REQUEST, a_study, orders
from tests.inference.drained import Outcome, State, ask, drain, outcomes, scripted, skip_back_off, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


# ---- texts that arrive


def test_everything_queued_arrives_once_with_what_is_needed_to_make_it_again() -> None:
    key, ids = ask(5, slots=2)
    drain(key)
    for row in Generation.objects.filter(pk__in=ids):
        assert row.state == State.READY
        (attempt,) = row.attempts.all()
        assert attempt.outcome == Outcome.READY
        request = GenerationRequest.from_json(row.request)
        prompt = build(request)
        assert row.prompt == prompt.text
        assert row.seed == attempt.seed == derive_seed(7, row.pk, 1)
        (again,) = ScriptedEngine({"slots": 2}).generate(
            [EngineRequest("x", prompt, request.sampling, row.seed, request.adapter)]
        )
        assert isinstance(again, Completion)
        assert (row.raw_text, row.text) == (again.text, normalise(again.text, request.window).shown)
        assert row.words == len(row.text.split())
        assert (row.engine, row.device, row.finish_reason) == ("scripted", "cpu", "stop")
        assert row.model_digest
        assert row.versions["python"]
        assert row.completion_tokens == again.completion_tokens
        assert row.started_at is not None
        assert row.finished_at is not None
        assert row.queued_at <= row.started_at <= row.finished_at


def test_the_chat_layout_keeps_its_messages_as_the_prompt() -> None:
    key, (pk,) = ask(request=replace(REQUEST, layout="chat", shots=(), instruction="Be brief."))
    drain(key)
    assert json.loads(Generation.objects.get(pk=pk).prompt) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": REQUEST.question},
    ]


def test_a_context_that_is_too_long_drops_whole_shots_oldest_first_and_says_so() -> None:
    shots = tuple(Shot(f"Question {n}?", "yes " * 60, "no " * 60) for n in range(4))
    key, (pk,) = ask(request=replace(REQUEST, shots=shots), max_context=720)
    drain(key)
    row = Generation.objects.get(pk=pk)
    assert (row.state, row.shots_used, row.shots_dropped) == (State.READY, 2, 2)
    assert "Question 1?" not in row.prompt
    assert "Question 2?" in row.prompt


def test_a_leak_is_a_flag_and_costs_no_text() -> None:
    key, (pk,) = ask(leak_every=1)
    drain(key)
    row = Generation.objects.get(pk=pk)
    assert row.state == State.READY
    assert "refers_to_preferences" in row.flags


# ---- texts that are asked for again


def test_a_text_outside_its_window_is_asked_for_again_with_new_seeds_and_then_the_nearest_is_kept() -> None:
    key, (pk,) = ask(request=replace(REQUEST, window=Window(120, 150, tries=4)), words=[60, 75])
    drain(key)
    row = Generation.objects.get(pk=pk)
    attempts = list(row.attempts.all())
    assert [attempt.outcome for attempt in attempts] == [Outcome.WINDOW_MISSED] * 4
    assert len({attempt.seed for attempt in attempts}) == 4
    nearest = max(attempts, key=lambda attempt: attempt.words or 0)
    assert row.state == State.READY
    assert "window_missed" in row.flags
    assert (row.words, row.seed, row.raw_text) == (nearest.words, nearest.seed, nearest.raw_text)
    assert row.text == normalise(nearest.raw_text, REQUEST.window).shown
    assert "outside the window of 120 to 150" in attempts[0].detail


def test_a_text_that_fits_at_the_second_try_is_not_flagged() -> None:
    key, ids = ask(12, request=replace(REQUEST, window=Window(75, 120, tries=20)), words=[60, 90])
    drain(key)
    rows = Generation.objects.filter(pk__in=ids)
    assert {row.state for row in rows} == {State.READY}
    assert all((row.words or 0) >= 75 and "window_missed" not in row.flags for row in rows)
    assert any(outcomes(row.pk)[:1] == [Outcome.WINDOW_MISSED] for row in rows)
    assert all(outcomes(row.pk)[-1] == Outcome.READY for row in rows)


@pytest.mark.parametrize(
    ("trouble", "outcome"),
    [("empty_every", Outcome.EMPTY), ("truncate_every", Outcome.TRUNCATED), ("loop_every", Outcome.DEGENERATE)],
)
def test_text_that_cannot_be_shown_is_asked_for_again_and_only_then_fails(trouble: str, outcome: str) -> None:
    key, (pk,) = ask(request=replace(REQUEST, window=Window(1, 200, tries=3)), **{trouble: 1})
    drain(key)
    row = Generation.objects.get(pk=pk)
    assert (row.state, row.text) == (State.FAILED, "")
    assert outcomes(pk) == [outcome] * 3
    assert str(outcome) in row.error


def test_half_the_texts_come_out_empty_and_all_arrive() -> None:
    key, ids = ask(10, request=replace(REQUEST, window=Window(1, 200, tries=20)), empty_every=2)
    drain(key)
    assert Generation.objects.filter(pk__in=ids, state=State.READY).count() == 10
    assert any(len(outcomes(pk)) > 1 for pk in ids)


def test_an_early_text_that_missed_is_better_than_none_when_the_last_try_is_empty() -> None:
    key, ids = ask(20, request=replace(REQUEST, window=Window(100, 120, tries=2)), empty_every=2)
    drain(key)
    mixed = [pk for pk in ids if outcomes(pk) == [Outcome.WINDOW_MISSED, Outcome.EMPTY]]
    assert mixed, "the script has such a case among twenty"
    for row in Generation.objects.filter(pk__in=mixed):
        assert row.state == State.READY
        assert row.text
        assert row.seed == row.attempts.get(number=1).seed


# ---- errors


def test_transient_errors_come_again_later_each_time_until_the_budget_is_spent(settings: Any) -> None:
    settings.GENERATION_MAX_ATTEMPTS = 3
    key, (pk,) = ask(fail_every=1)
    for spent in range(1, 3):
        drain(key)
        row = Generation.objects.get(pk=pk)
        assert (row.state, len(outcomes(pk))) == (State.QUEUED, spent)
        assert row.not_before is not None
        assert row.not_before > timezone.now()
        assert "scripted transient failure" in row.error
        skip_back_off()
    drain(key)
    assert Generation.objects.get(pk=pk).state == State.FAILED
    assert outcomes(pk) == [Outcome.TRANSIENT] * 3


def test_the_back_off_grows_is_bounded_and_spreads() -> None:
    assert all(2 ** (spent - 2) <= backoff(spent) <= 2 ** (spent - 1) for spent in range(1, 7) for _ in range(20))
    assert backoff(60) <= 60
    assert len({backoff(3) for _ in range(20)}) > 1


def test_a_transient_error_spends_no_try_for_the_window() -> None:
    window = Window(120, 150, tries=2)
    key, ids = ask(16, request=replace(REQUEST, window=window), fail_every=2)
    for _ in range(8):
        drain(key)
        skip_back_off()
    mixed = [pk for pk in ids if Outcome.TRANSIENT in outcomes(pk) and Generation.objects.get(pk=pk).state == "ready"]
    assert mixed
    for pk in mixed:
        assert outcomes(pk).count(Outcome.WINDOW_MISSED) == 2


@pytest.mark.parametrize("trouble", ["permanent", "refused"])
def test_permanent_and_refused_fail_at_once_and_visibly(trouble: str) -> None:
    key, (pk,) = ask(fail_every=1, fail_with=trouble)
    drain(key)
    row = Generation.objects.get(pk=pk)
    assert (row.state, outcomes(pk)) == (State.FAILED, [trouble])
    assert row.error.startswith(trouble)


def test_a_request_no_prompt_exists_for_fails_alone() -> None:
    model = scripted()
    study = a_study()
    bad = replace(REQUEST, model=model, instruction="fspo has no place for this")
    (pk,) = queue.request_many(orders(study, 1, request=bad))
    good = queue.request_many(orders(study, 2, request=replace(REQUEST, model=model), arm="base"))
    drain(model.key)
    assert Generation.objects.get(pk=pk).state == State.FAILED
    assert "no place for an instruction" in Generation.objects.get(pk=pk).error
    assert Generation.objects.filter(pk__in=good, state=State.READY).count() == 2


def test_a_stored_request_of_another_shape_fails_visibly() -> None:
    key, (pk,) = ask()
    row = Generation.objects.get(pk=pk)
    Generation.objects.filter(pk=pk).update(request={"model": row.request["model"], "future": True})
    drain(key)
    row.refresh_from_db()
    assert row.state == State.FAILED
    assert "cannot be read by this version" in row.error


class Poisoned(ScriptedEngine):
    """An engine whose library breaks, not row by row but as a whole, when a batch holds one of the given ids."""

    poison: frozenset[str] = frozenset()

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        if self.poison & {request.id for request in requests}:
            raise RuntimeError("index out of range in self")
        return super().generate(requests)


def test_a_row_that_breaks_its_batch_takes_nobody_with_it() -> None:
    key, ids = ask(6)
    engine = Poisoned({})
    engine.poison = frozenset({str(ids[2])})
    drain(key, Runner(load=lambda spec: engine))
    states = dict(Generation.objects.values_list("pk", "state"))
    assert [states[pk] for pk in ids] == [State.READY] * 2 + [State.QUEUED] + [State.READY] * 3
    assert outcomes(ids[2]) == [Outcome.TRANSIENT]
    assert "index out of range" in Generation.objects.get(pk=ids[2]).error


# ---- engines that do not start


def test_an_engine_that_does_not_start_leaves_the_queue_untouched_and_says_why() -> None:
    model = ModelSpec(engine="scripted", source="drill", options={"wrods": [1, 2]})
    queue.request_many(orders(a_study(), 3, request=replace(REQUEST, model=model)))
    with pytest.raises(EngineDown, match=r"did not start.*wrods"):
        drain(model.key)
    rows = Generation.objects.all()
    assert {(row.state, row.tries, row.claim_id) for row in rows} == {(State.QUEUED, 0, None)}
    assert all("wrods" in row.error for row in rows)
    assert not Attempt.objects.exists()


def test_an_engine_that_does_not_start_is_left_alone_for_a_while() -> None:
    key, _ = ask()
    calls: list[ModelSpec] = []

    def load(spec: ModelSpec) -> ScriptedEngine:
        calls.append(spec)
        raise MemoryError("no room on the device")

    runner = Runner(load=load)
    for _ in range(3):
        with pytest.raises(EngineDown, match="no room"):
            runner.drain(key)
    assert len(calls) == 1


def test_an_engine_is_loaded_once_a_process() -> None:
    key, _ = ask(4, slots=1)
    calls: list[ModelSpec] = []

    def load(spec: ModelSpec) -> ScriptedEngine:
        calls.append(spec)
        return ScriptedEngine(spec.options)

    runner = Runner(load=load)
    runner.drain(key)
    runner.drain(key)
    assert len(calls) == 1


# ---- leases and stopping


def test_a_batch_longer_than_its_lease_is_kept_by_heartbeats(settings: Any) -> None:
    settings.GENERATION_LEASE_S = 0.6
    key, (pk,) = ask(delay_s=2.0)

    def work() -> None:
        try:
            drain(key)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        swept = 0
        while not working.done():
            swept += queue.sweep()
            time.sleep(0.1)
        working.result()
    assert swept == 0
    assert outcomes(pk) == [Outcome.READY]


def test_a_runner_that_stops_finishes_its_batch_and_takes_no_other() -> None:
    key, ids = ask(6, slots=2, delay_s=0.5)
    runner = Runner()

    def work() -> None:
        try:
            runner.drain(key)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        wait_until(lambda: Generation.objects.filter(state=State.RUNNING).exists())
        runner.stopping.set()
        working.result()
    counts = {state: Generation.objects.filter(pk__in=ids, state=state).count() for state in State.values}
    assert counts == {"queued": 4, "running": 0, "ready": 2, "failed": 0, "discarded": 0}


# ---- what it costs


class Timed(ScriptedEngine):
    """The scripted engine, with the CPU seconds that it spent itself."""

    spent = 0.0

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        began = time.process_time()
        try:
            return super().generate(requests)
        finally:
            self.spent += time.process_time() - began


@pytest.mark.slow
def test_queue_prompt_and_ledger_cost_less_cpu_than_a_dozen_saves_a_generation() -> None:
    text = "An answer of an ordinary length that says one thing and then another. " * 8
    request = replace(
        REQUEST,
        model=scripted(words=[200, 280]),
        shots=tuple(Shot(f"Question {number}?", text, text[::-1]) for number in range(8)),
        window=Window(1, 400),
        sampling=Sampling(max_tokens=600),
    )
    # The least of three rounds each, side by side: machines differ by a factor of two, and busy ones by more.
    rounds = [(cpu_seconds(request, 200) / 200, seconds_of_a_save(200)) for _ in range(3)]
    assert Generation.objects.filter(state=State.READY).count() == 600
    cost, save = (min(column) for column in zip(*rounds, strict=True))
    print(f"{1000 * cost:.2f} ms a generation, {1000 * save:.2f} ms a save")
    assert cost <= 12 * save, rounds


def seconds_of_a_save(count: int) -> float:
    """CPU seconds of this process for one row's `save()`, as Django does it."""
    study = a_study()
    began = time.process_time()
    for _ in range(count):
        study.save()
    return (time.process_time() - began) / count


def cpu_seconds(request: GenerationRequest, count: int) -> float:
    """CPU seconds of this process to ask for `count` texts and to make them, without the engine's own."""
    asked = orders(a_study(), count, request=request)
    engine = Timed(request.model.options)
    began = time.process_time()
    queue.request_many(asked)
    drain(request.model.key, Runner(load=lambda spec: engine))
    return time.process_time() - began - engine.spent
