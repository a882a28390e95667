"""Rows of one base model at work in an engine that takes them one by one: claimed as others end, ended as they come.

An engine that batches by itself is kept full this way, whoever the rows are for, and a short text never waits for a
long one. The flight belongs to one thread; a second one renews its leases.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from django.conf import settings

from inference import verdicts
from inference.contracts import Completion, InferenceError, TransientError
from inference.engines.base import StreamingEngine
from inference.models import Generation
from inference.queue import Ending
from inference.verdicts import Job, engine_request, job_of

logger = logging.getLogger(__name__)

# Endings that come this close together are written together.
GATHER_S = 0.05

Answer = Future[Completion | InferenceError]


@dataclass(slots=True)
class _Aboard:
    row: Generation
    claim_id: uuid.UUID
    since: float
    job: Job | None = None


class Flight:
    """The rows between claim and ending."""

    def __init__(self, engine: StreamingEngine, hung: list[Answer] | None = None) -> None:
        """`hung`: answers for which earlier flights have stopped waiting; their places stay taken until they come."""
        self.engine = engine
        self.hung = hung if hung is not None else []
        self._aboard: dict[Answer, _Aboard] = {}
        self._boarding: deque[_Aboard] = deque()
        self._refused: list[Ending] = []
        self._arrived: queue.SimpleQueue[Answer] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._aboard) + len(self._refused)

    @property
    def room(self) -> int:
        """How many more rows may come aboard."""
        self.hung[:] = [answer for answer in self.hung if not answer.done()]
        return max(0, self.engine.slots + self.engine.ahead - len(self) - len(self.hung))

    def claims(self) -> dict[uuid.UUID, list[int]]:
        """The rows held by claim: what leases are renewed for, and what a stopping process gives back."""
        now, found = time.monotonic(), dict[uuid.UUID, list[int]]()
        with self._lock:
            for one in [*self._aboard.values(), *self._boarding]:
                if now - one.since <= settings.GENERATION_LIMIT_S:
                    found.setdefault(one.claim_id, []).append(one.row.pk)
        return found

    def board(self, rows: Sequence[Generation]) -> None:
        """Hand freshly claimed rows to the engine; one whose prompt cannot be built is ended without it."""
        with self._lock:
            self._boarding = deque(_Aboard(row, row.claim_id, time.monotonic()) for row in rows if row.claim_id)
        # All prompts are built before the first row starts, so that the engine reads them together.
        for one in list(self._boarding):
            try:
                one.job = job_of(self.engine, one.row)
            except InferenceError as error:
                self._refused.append((one.claim_id, _unbuilt(one.row, error)))
                with self._lock:
                    self._boarding.remove(one)
        while self._boarding:
            one = self._boarding[0]
            assert one.job is not None
            answer = self.engine.begin(engine_request(one.job))
            with self._lock:
                self._boarding.popleft()
                self._aboard[answer] = one
            answer.add_done_callback(self._arrived.put)

    def land(self, timeout_s: float) -> list[Ending]:
        """What has ended, after waiting for the first ending at most so long, and a moment for others."""
        endings, self._refused = self._refused, []
        done = self._landed(0 if endings else timeout_s)
        for answer in done:
            with self._lock:
                one = self._aboard.pop(answer, None)
            if one is not None:  # else it had hung
                endings.append((one.claim_id, self._verdict(one, answer)))
        self._leave_hung()
        return endings

    def _landed(self, timeout_s: float) -> list[Answer]:
        found = []
        try:
            if self._aboard and timeout_s:
                found.append(self._arrived.get(timeout=timeout_s))
                time.sleep(GATHER_S)
            while True:
                found.append(self._arrived.get_nowait())
        except queue.Empty:
            return found

    def _verdict(self, one: _Aboard, answer: Answer) -> verdicts.Verdict:
        try:
            found = answer.result()
        except Exception as error:  # an engine's library may raise anything
            logger.exception("the engine failed on generation %s", one.row.pk)
            found = TransientError(f"the engine failed: {error!r}")
        assert one.job is not None
        return verdicts.of_answer(one.job, found, self.engine.facts, budget=settings.GENERATION_MAX_ATTEMPTS)

    def _leave_hung(self) -> None:
        """Forget rows that the engine has held too long; what it says of them later is not used."""
        now, limit = time.monotonic(), settings.GENERATION_LIMIT_S
        hung = [answer for answer, one in self._aboard.items() if now - one.since > limit]
        if hung:
            logger.error("the engine has hung for %d s on %d generations: left to others", limit, len(hung))
        with self._lock:
            for answer in hung:
                self._aboard.pop(answer)
        self.hung += hung


def _unbuilt(row: Generation, error: InferenceError) -> verdicts.Verdict:
    return verdicts.of_error(row.pk, verdicts.attempts_of(row), error, budget=settings.GENERATION_MAX_ATTEMPTS)
