"""The threads of a worker process: one a base model, and a watch that makes up for every lost doorbell.

A Celery message only wakes the thread of its model. The watch sweeps and looks into the table every POLL_S seconds, so
texts are made without Redis, without beat, and whatever message was lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection
from functools import cache

from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from inference import queue
from inference.contracts import ModelSpec
from inference.runner import EngineDown, Runner

logger = logging.getLogger(__name__)

POLL_S = 2.0
# Subscribing to doorbells is repeated: the first time the broker, or this worker's own consumer, may not have been up.
LISTEN_S, HEARING_S = 30.0, 1.0


class Drainer(threading.Thread):
    """Drains one base model whenever its bell rings."""

    def __init__(self, runner: Runner, model_key: str, spec: ModelSpec | None = None) -> None:
        super().__init__(name=f"drain {model_key}", daemon=True)
        self.runner, self.model_key, self.spec = runner, model_key, spec
        self.bell = threading.Event()

    def run(self) -> None:
        """Until the runner stops. No error ends the thread: rows stay queued, and the next bell tries again."""
        try:
            while not self.runner.stopping.is_set():
                self._once()
                self.bell.wait()
                self.bell.clear()
        finally:
            connection.close()

    def _once(self) -> None:
        try:
            close_old_connections()
            if self.spec is not None:
                self.runner.engine(self.spec)
                self.spec = None
            self.runner.drain(self.model_key)
        except EngineDown as down:
            logger.error("%s; its queue waits, next try in %.0f s", down, down.retry_in)
            self._again_after(down.retry_in)
        except (DatabaseError, InterfaceError) as error:
            logger.warning("the database cannot be reached: %s", str(error).strip())
            connection.close()
            self._again_after(1.0)
        except Exception:  # a bug must not silence a model for the rest of the process
            logger.exception("draining %s failed", self.model_key)
            self._again_after(1.0)

    def _again_after(self, seconds: float) -> None:
        self.runner.stopping.wait(seconds)
        self.bell.set()


class WorkRoom:
    """All threads of one worker. `serves` None takes the work of every base model; else only of those keys."""

    def __init__(
        self,
        *,
        serves: Collection[str] | None = None,
        preload: Collection[ModelSpec] = (),
        listen: Callable[[str], None] = lambda key: None,
        runner: Runner | None = None,
    ) -> None:
        self.runner = runner or Runner()
        self._serves = None if serves is None else frozenset(serves)
        self._preload = tuple(preload)
        self._listen = listen
        self._unheard = threading.Event()
        self._drainers: dict[str, Drainer] = {}
        self._lock = threading.Lock()
        self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)
        # Apart from the watch: a client library may wait for a dead broker for ever.
        self._ears = threading.Thread(target=self._keep_listening, name="ears", daemon=True)

    def start(self) -> None:
        """Start the watch; threads of models follow with their work, those of `preload` load their engines now."""
        for spec in self._preload:
            self._drainer(spec.key, spec)
        self._watch.start()
        self._ears.start()

    def ring(self, model_key: str) -> bool:
        """Wake the thread of a model; False when this worker does not serve it."""
        if self._serves is not None and model_key not in self._serves:
            return False
        self._drainer(model_key).bell.set()
        return True

    def listen_soon(self) -> None:
        """Subscribe to the doorbells of every model once more; for when the broker hears us from now on."""
        self._unheard.set()

    def stop(self, grace_s: float) -> bool:
        """Claim nothing more, let batches finish for `grace_s` seconds, give the rest back; True when all ended."""
        self.runner.stopping.set()
        with self._lock:
            drainers = list(self._drainers.values())
        for drainer in drainers:
            drainer.bell.set()
        until = time.monotonic() + grace_s
        for thread in filter(threading.Thread.is_alive, [*drainers, self._watch]):
            thread.join(max(0.0, until - time.monotonic()))
        try:
            returned = self.runner.give_back()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("what is held comes back when its lease is over: %s", str(error).strip())
        else:
            if returned:
                logger.warning("%d generations were given back unfinished", returned)
        return not any(drainer.is_alive() for drainer in drainers)

    def _drainer(self, model_key: str, spec: ModelSpec | None = None) -> Drainer:
        with self._lock:
            known = self._drainers.get(model_key)
            if known:
                return known
            drainer = self._drainers[model_key] = Drainer(self.runner, model_key, spec)
        drainer.start()
        self.listen_soon()
        return drainer

    def _keep_watch(self) -> None:
        while not self.runner.stopping.is_set():
            try:
                close_old_connections()
                queue.sweep(bells=False)
                for key in queue.waiting_keys():
                    self.ring(key)
            except (DatabaseError, InterfaceError) as error:
                logger.warning("the database cannot be reached: %s", str(error).strip())
                connection.close()
            except Exception:  # the safety net must not tear
                logger.exception("the watch stumbled")
            self.runner.stopping.wait(POLL_S)
        connection.close()

    def _keep_listening(self) -> None:
        while not self.runner.stopping.is_set():
            self._unheard.wait(LISTEN_S)
            self._unheard.clear()
            # Celery says it is ready a moment before it hears.
            if self.runner.stopping.wait(HEARING_S):
                return
            for key in list(self._drainers):
                self._listen(key)


_room: WorkRoom | None = None


def open_room(room: WorkRoom | None) -> None:
    """Make `room` the one that the doorbells of this process ring in; None closes it."""
    global _room
    _room = room


def bell(model_key: str) -> None:
    """A doorbell arrived: wake the model's thread, or, in a process without a room, drain here and now."""
    if _room is not None:
        _room.ring(model_key)
    else:
        lone_runner().drain(model_key)


@cache
def lone_runner() -> Runner:
    """The runner of a process without a room; it loads its engines once."""
    return Runner()
