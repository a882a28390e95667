"""The one thread that owns a vLLM engine: callers hand it rows from any thread and wait for them.

The thread also starts the engine. On a CPU every thread that computes gets a team of OpenMP threads of its own, and
where there are more of them than cores, each waits asleep instead of awake: a step of 25 ms took 45.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from inference.contracts import PermanentError, TransientError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Row:
    number: str
    tokens: list[int]
    params: Any
    adapter: Any
    urgency: int
    future: Future[Any]


class Loop(threading.Thread):
    """Takes rows in as they come and steps the engine while it has any: continuous batching across callers."""

    def __init__(self, start: Callable[[], Any], *, apart: bool = False) -> None:
        """Start with the vLLM `LLMEngine` that `start` makes; raises what it raises.

        `apart`: rows with and without an adapter are never decoded together.
        """
        super().__init__(name="vllm", daemon=True)
        self._apart = apart
        self._make, self._ready = start, Future[None]()
        self._held: deque[_Row] = deque()
        self._adapted = False
        self._inbox: queue.SimpleQueue[_Row | None] = queue.SimpleQueue()
        self._waiting: dict[str, Future[Any]] = {}
        self._numbers = itertools.count()
        self._closing = threading.Lock()
        self._closed = ""
        self.start()
        self._ready.result()

    def submit(self, tokens: list[int], params: Any, adapter: Any = None, *, urgency: int = 0) -> Future[Any]:
        """vLLM's RequestOutput of a row, once it is whole; the future holds a typed error otherwise."""
        row = _Row(str(next(self._numbers)), tokens, params, adapter, urgency, Future())
        with self._closing:
            if self._closed:
                row.future.set_exception(TransientError(self._closed))
            else:
                self._inbox.put(row)
        return row.future

    def stop(self) -> None:
        """End the thread; rows that are not whole get a TransientError."""
        self._inbox.put(None)
        self.join()

    def run(self) -> None:
        """Until `stop`, or until the engine itself fails: then every row is told so."""
        try:
            self._engine = self._make()
        except BaseException as error:  # whoever waits must hear of it
            self._ready.set_exception(error)
            return
        self._ready.set_result(None)
        self._serve()

    def _serve(self) -> None:
        reason = "the engine was stopped"
        try:
            while self._take():
                if not self._waiting:
                    continue
                for output in self._engine.step():
                    if output.finished:
                        self._waiting.pop(output.request_id).set_result(output)
        except Exception as error:  # vLLM raises whatever its parts raise, and is not sound afterwards
            logger.exception("vLLM failed")
            reason = f"vLLM failed and is started anew: {error!r}"
        self._close(reason)

    def _take(self) -> bool:
        """Hand over what has come; sleep while there is nothing to do. False when told to stop."""
        while not self._inbox.empty() or not (self._held or self._waiting):
            row = self._inbox.get()
            if row is None:
                return False
            self._held.append(row)
        while self._held and not self._must_wait(self._held[0]):
            self._add(self._held.popleft())
        return True

    def _must_wait(self, row: _Row) -> bool:
        return self._apart and bool(self._waiting) and (row.adapter is not None) != self._adapted

    def _add(self, row: _Row) -> None:
        try:
            self._engine.add_request(
                row.number,
                {"prompt_token_ids": row.tokens},
                row.params,
                lora_request=row.adapter,
                priority=row.urgency,
            )
        except Exception as error:  # what vLLM says about this very row
            row.future.set_exception(PermanentError(f"vLLM refuses the request: {error}"))
            return
        self._waiting[row.number], self._adapted = row.future, row.adapter is not None

    def _close(self, reason: str) -> None:
        with self._closing:
            self._closed = reason
        rows = [*self._waiting.values(), *(row.future for row in self._held)]
        while not self._inbox.empty():
            row = self._inbox.get()
            if row is not None:
                rows.append(row.future)
        for future in rows:
            future.set_exception(TransientError(reason))
