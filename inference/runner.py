"""The worker's inner loop: claim rows of a base model, build prompts, generate, normalise, write the ledger.

`Runner.drain(model_key)` works batch after batch until nothing is left. One runner serves a process; it keeps the
loaded engines and knows which rows it holds, so that a stopping process can give them back.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import tenacity
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from inference import queue, verdicts
from inference.contracts import (
    Completion,
    EngineRequest,
    InferenceError,
    ModelSpec,
    TransientError,
)
from inference.engines import Engine, load_engine
from inference.engines.base import StreamingEngine
from inference.flight import Answer as Answered
from inference.flight import Flight
from inference.models import Generation
from inference.queue import Failed, Finished
from inference.queue.claims import lease
from inference.queue.scores import claim_scores, end_scores, model_of_scores
from inference.scores import score_rows
from inference.verdicts import Job

logger = logging.getLogger(__name__)

# An engine that did not start is tried again after this long, doubled each time.
START_DELAY_S, LONGEST_START_DELAY_S = 2.0, 120.0
# How long a stopping process waits for a claim that is under way; its rows come back by their lease otherwise.
LONGEST_CLAIM_S = 5.0

# A flight is filled up when this share of its places is free, and every LOOK_S seconds for whoever waits.
REFILL = 8
# So many scores are claimed together; they take far less than a lease.
SCORES_AT_ONCE = 16
LOOK_S = 0.25

Answer = Completion | InferenceError


class EngineDown(Exception):
    """The engine of a base model did not start; `retry_in` is how many seconds to leave it alone."""

    def __init__(self, message: str, retry_in: float) -> None:
        super().__init__(message)
        self.retry_in = retry_in


class _Slot:
    """The place of one engine: loaded once, one drain at a time, backed off while it does not start."""

    def __init__(self) -> None:
        self.busy = threading.Lock()
        self.loading = threading.Lock()
        self.engine: Engine | None = None
        self.hung: list[Answered] = []
        self.failures = 0
        self.not_before = 0.0
        self.problem = ""

    def start(self, spec: ModelSpec, load: Callable[[ModelSpec], Engine]) -> Engine:
        with self.loading:
            if self.engine is not None:
                return self.engine
            wait = self.not_before - time.monotonic()
            if wait > 0:
                raise EngineDown(self.problem, wait)
            try:
                self.engine = load(spec)
            except Exception as error:  # whatever a library raises while loading, the queue stays untouched
                raise self._failed(spec, error) from error
            self.failures, self.problem = 0, ""
            logger.info("engine %s of model %r is ready, %d rows a batch", spec.engine, spec.source, self.engine.slots)
            return self.engine

    def _failed(self, spec: ModelSpec, error: Exception) -> EngineDown:
        self.failures += 1
        delay = min(LONGEST_START_DELAY_S, START_DELAY_S * 2 ** (self.failures - 1))
        self.not_before = time.monotonic() + delay
        reason = str(error) or type(error).__name__
        self.problem = f"engine {spec.engine} of model {spec.source!r} did not start: {reason}"
        return EngineDown(self.problem, delay)


class Runner:
    """Everything one process needs to generate. Threads may call it at once; a base model is drained by one of them."""

    def __init__(self, load: Callable[[ModelSpec], Engine] | None = None) -> None:
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._load = load or (lambda spec: load_engine(spec, bundled_root=settings.BUNDLED_MODELS))
        self._slots: dict[str, _Slot] = {}
        self._held: dict[uuid.UUID, list[int]] = {}
        self._flights: list[Flight] = []
        self._lock = threading.Lock()
        # Held from a claim until its rows are known to be held: a process that stops in between would leave them.
        self._claiming = threading.Lock()
        self.stopping = threading.Event()

    def engine(self, spec: ModelSpec) -> Engine:
        """The loaded engine of a base model; raises EngineDown while it does not start."""
        return self._slot(spec.key).start(spec, self._load)

    def drain(self, model_key: str) -> int:
        """Work until no row of `model_key` can be claimed, the runner stops, or another thread is at it already.

        Returns how many rows were tried. Raises EngineDown (no row was touched then) and the database's errors.
        """
        slot = self._slot(model_key)
        if not slot.busy.acquire(blocking=False):
            return 0
        try:
            return self._drain(model_key, slot)
        finally:
            slot.busy.release()

    def _drain(self, model_key: str, slot: _Slot) -> int:
        tried = 0
        while not self.stopping.is_set():
            if slot.engine is not None and not slot.engine.alive:
                slot.engine, slot.hung = None, []
            if slot.engine is None:
                spec = queue.model_of(model_key) or model_of_scores(model_key)
                if spec is None:
                    break
                self._start_or_say(spec)
                continue
            if isinstance(slot.engine, StreamingEngine):
                some = self._fly(model_key, slot.engine, slot.hung)
            else:
                some = self._next_batch(model_key, slot.engine)
            if not slot.hung:
                some = some or self._next_scores(model_key, slot.engine)
            if not some:
                break
            tried += some
        return tried

    def _fly(self, model_key: str, engine: StreamingEngine, hung: list[Answered]) -> int:
        """Keep the engine full until nothing is left or it fails; how many rows were claimed."""
        flight, claimed, more, look_at = Flight(engine, hung), 0, True, 0.0
        with self._aboard(flight):
            while True:
                due = time.monotonic() >= look_at or (more and flight.room >= engine.slots // REFILL)
                if due and flight.room and engine.alive:
                    with self._claiming:
                        rows = self._claim(model_key, flight.room)
                        flight.board(rows)
                    more, look_at = bool(rows), time.monotonic() + LOOK_S
                    claimed += len(rows)
                if not flight:
                    return claimed
                endings = flight.land(LOOK_S)
                patiently(lambda endings=endings: queue.end(endings))  # type: ignore[misc]

    @contextmanager
    def _aboard(self, flight: Flight) -> Iterator[None]:
        """Renew the leases of a flight, and know of it when the process stops."""
        done = threading.Event()
        with self._lock:
            self._flights.append(flight)
        threading.Thread(target=_beat_flight, args=(flight, done), name="heartbeat", daemon=True).start()
        try:
            yield
        finally:
            done.set()
            with self._lock:
                self._flights.remove(flight)

    def _next_scores(self, model_key: str, engine: Engine) -> int:
        """Nobody waits for scores: a few, and then texts come first again."""
        rows = claim_scores(model_key, SCORES_AT_ONCE)
        if rows:
            endings = score_rows(engine, rows)
            patiently(lambda: end_scores(endings))
        return len(rows)

    def _next_batch(self, model_key: str, engine: Engine) -> int:
        with self._claiming:
            rows = self._claim(model_key, max(1, engine.slots))
            if rows:
                self._hold(rows)
        if rows:
            self._batch(engine, rows)
        return len(rows)

    def _claim(self, model_key: str, room: int) -> list[Generation]:
        return [] if self.stopping.is_set() else queue.claim(model_key, room, worker=self.name)

    def _hold(self, rows: list[Generation]) -> None:
        claim_id = rows[0].claim_id
        assert claim_id is not None
        with self._lock:
            self._held[claim_id] = [row.pk for row in rows]

    def give_back(self) -> int:
        """Put everything this runner still holds back into the queue; how many rows. Call it once `stopping` is set."""
        if self._claiming.acquire(timeout=LONGEST_CLAIM_S):
            self._claiming.release()
        with self._lock:
            batches = dict(self._held)
            for flight in self._flights:
                batches |= flight.claims()
        return sum(queue.give_back(claim_id, ids) for claim_id, ids in batches.items())

    def _slot(self, model_key: str) -> _Slot:
        with self._lock:
            return self._slots.setdefault(model_key, _Slot())

    def _start_or_say(self, spec: ModelSpec) -> None:
        try:
            self.engine(spec)
        except EngineDown as down:
            # Staff see it beside the rows that wait; state, claim and lease stay untouched.
            rows = Generation.objects.filter(model_key=spec.key, state=Generation.State.QUEUED)
            rows.exclude(error=str(down)[:500]).update(error=str(down)[:500])
            raise

    def _batch(self, engine: Engine, rows: list[Generation]) -> None:
        claim_id = rows[0].claim_id
        assert claim_id is not None
        ids = [row.pk for row in rows]
        try:
            with kept_alive(claim_id, ids):
                finished, failed = run_batch(engine, rows)
            patiently(lambda: queue.finish(claim_id, finished))
            patiently(lambda: queue.fail(claim_id, failed))
        finally:
            with self._lock:
                self._held.pop(claim_id, None)


def run_batch(engine: Engine, rows: Sequence[Generation]) -> tuple[list[Finished], list[Failed]]:
    """Prompts, texts and verdicts of claimed rows; writes nothing. An error of one row never reaches another."""
    jobs: list[Job] = []
    endings: list[Finished | Failed] = []
    budget = settings.GENERATION_MAX_ATTEMPTS
    for row in rows:
        attempts = verdicts.attempts_of(row)
        try:
            jobs.append(verdicts.job_of(engine, row))
        except InferenceError as error:
            endings.append(verdicts.of_error(row.pk, attempts, error, budget=budget))
    answers = _generate(engine, [verdicts.engine_request(job) for job in jobs])
    for job, answer in zip(jobs, answers, strict=True):
        endings.append(verdicts.of_answer(job, answer, engine.facts, budget=budget))
    finished = [ending for ending in endings if isinstance(ending, Finished)]
    return finished, [ending for ending in endings if isinstance(ending, Failed)]


def _generate(engine: Engine, requests: list[EngineRequest]) -> list[Answer]:
    """One answer a request, in order. When a batch breaks as a whole, each row is tried alone: one may be the cause."""
    if not requests:
        return []
    try:
        answers = {request.id: answer for request, answer in zip(requests, engine.generate(requests), strict=True)}
        return [answers[request.id] for request in requests]
    except TransientError as error:
        return [error for _ in requests]
    except Exception as error:  # an engine's library may raise anything
        if len(requests) > 1:
            logger.warning("a batch of %d failed as a whole, trying its rows one by one: %r", len(requests), error)
            return [answer for request in requests for answer in _generate(engine, [request])]
        if isinstance(error, InferenceError):
            return [error]
        logger.exception("the engine failed on generation %s", requests[0].id)
        return [TransientError(f"the engine failed: {error!r}")]


@contextmanager
def kept_alive(claim_id: uuid.UUID, ids: Sequence[int]) -> Iterator[None]:
    """Renew the lease of a claim from a thread of its own while the body runs, for GENERATION_LIMIT_S at most."""
    done = threading.Event()
    beating = threading.Thread(target=_beat, args=(claim_id, ids, done), name="heartbeat", daemon=True)
    beating.start()
    try:
        yield
    finally:
        done.set()


def _beat(claim_id: uuid.UUID, ids: Sequence[int], done: threading.Event) -> None:
    every = lease().total_seconds() / 3
    limit = settings.GENERATION_LIMIT_S
    until = time.monotonic() + limit
    try:
        while not done.wait(every):
            if time.monotonic() > until:
                logger.error("the engine has hung for %d s on %d generations: left to others", limit, len(ids))
                return
            try:
                still = queue.heartbeat(claim_id, ids)
            except (OperationalError, InterfaceError) as error:
                logger.warning("a heartbeat was lost: %s", str(error).strip())
                connection.close()
                continue
            if not still and not done.is_set():
                logger.warning("claim %s is lost: its texts will not be used", claim_id)
                return
    finally:
        connection.close()


def _beat_flight(flight: Flight, done: threading.Event) -> None:
    try:
        while not done.wait(lease().total_seconds() / 3):
            try:
                for claim_id, ids in flight.claims().items():
                    queue.heartbeat(claim_id, ids)
            except (OperationalError, InterfaceError) as error:
                logger.warning("a heartbeat was lost: %s", str(error).strip())
                connection.close()
    finally:
        connection.close()


def patiently(write: Callable[[], object]) -> None:
    """Do a fenced write, again while the database is away, for as long as a lease; then the error is raised.

    Repeating is safe: a write whose commit went through finds nothing left to change.
    """
    for attempt in tenacity.Retrying(
        retry=tenacity.retry_if_exception_type((OperationalError, InterfaceError)),
        stop=tenacity.stop_after_delay(lease().total_seconds()),
        wait=tenacity.wait_random_exponential(multiplier=0.2, max=2.0),
        before_sleep=lambda _: connection.close(),
        reraise=True,
    ):
        with attempt:
            write()
