"""Two doorbells, to the workers (Celery) and to the layers above (listeners). Neither may fail its caller."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable

from celery import current_app
from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

logger = logging.getLogger(__name__)

# A bell nobody heard within a minute is worthless: the sweep has rung again by then.
BELL_EXPIRES_S = 60
# After a failed ring Redis is left alone for this long, so that its time-out is not paid with every request.
SILENCE_S = 5.0


class Silence:
    """Until when Redis is not tried, shared by the threads of a process and by all who would ring through it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._until = 0.0

    def holds(self) -> bool:
        """True while Redis is left alone."""
        with self._lock:
            return time.monotonic() < self._until

    def begin(self) -> None:
        """Redis did not answer."""
        with self._lock:
            self._until = time.monotonic() + SILENCE_S

    def end(self) -> None:
        """Try again at once."""
        with self._lock:
            self._until = 0.0


silence = Silence()


def queue_name(model_key: str) -> str:
    """The Celery queue of a base model: only workers that serve the model listen to it."""
    return f"palate.{model_key}"


def ring(model_key: str) -> bool:
    """Tell the workers of `model_key` that there is work; False, and nothing raised, when the broker is away.

    Nothing depends on it: workers look for themselves every few seconds.
    """
    if silence.holds():
        return False
    try:
        current_app.send_task(
            "inference.drain",
            args=[model_key],
            queue=queue_name(model_key),
            expires=BELL_EXPIRES_S,
            ignore_result=True,
            retry=False,
        )
    except Exception as error:  # kombu, redis and the OS each raise their own; a doorbell must never fail its caller
        silence.begin()
        logger.warning("the broker cannot be reached, workers will find the work by themselves: %s", error)
        return False
    return True


def ring_on_commit(model_keys: Iterable[str]) -> None:
    """Ring each key once, when the rows are there to be found."""
    for key in sorted(set(model_keys)):
        transaction.on_commit(lambda key=key: ring(key), robust=True)  # type: ignore[misc]


def tell_on_commit(generation_ids: Iterable[int]) -> None:
    """Call every listener with the ids after the commit; a listener that fails is logged and stops nobody."""
    ids = list(generation_ids)
    if ids:
        transaction.on_commit(lambda: _tell(ids), robust=True)


def _tell(generation_ids: list[int]) -> None:
    for path in settings.GENERATION_LISTENERS:
        try:
            import_string(path)(generation_ids)
        except Exception:  # the sweep settles what a listener missed
            logger.exception("listener %s failed for generations %s", path, generation_ids)
