"""One door out: "look again", to the pages of the people a text concerns and to the researchers who watch a study.

Never text, never arm, never whose. Redis may die at any time: then nobody is nudged, pages poll, nothing here raises,
and no caller waits for it: a thread of its own carries the nudges.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from channels.exceptions import ChannelFull
from channels.layers import get_channel_layer
from django.db import transaction
from redis.exceptions import RedisError

from inference.models import Generation
from inference.queue import silence
from studyapp.services import settling

logger = logging.getLogger(__name__)
# The same Redis as the sockets' layer, with shorter time-outs.
LAYER = "nudges"
TROUBLE = (RedisError, OSError, ChannelFull, TimeoutError)
# A busy study nudges its researchers this often from each process, not with every choice.
PAUSE_S = 2.0
_postman = ThreadPoolExecutor(1, thread_name_prefix="nudges")


def group_of(participant_id: int) -> str:
    """The channel group of one person."""
    return f"participant.{participant_id}"


def desk_of(study_id: int) -> str:
    """The channel group of the researchers who look at a study."""
    return f"study.{study_id}"


def generations_changed(generation_ids: Sequence[int]) -> None:
    """Texts became ready or failed: settle their pairs, nudge the people concerned and who watches the studies."""
    nudge(settling.settle(generation_ids))
    watched = Generation.objects.filter(pk__in=generation_ids).order_by().values_list("study_id", flat=True)
    for study_id in set(watched):
        _tell_desk(study_id)


def nudge(participant_ids: Iterable[int]) -> None:
    """Tell these people's pages to look again. Losing a nudge costs seconds, so trouble is logged and forgotten."""
    _send([group_of(participant_id) for participant_id in participant_ids])


def study_changed(study_id: int) -> None:
    """On commit, tell whoever watches the study to look again, at most once in PAUSE_S seconds."""
    transaction.on_commit(lambda: _tell_desk(study_id), robust=True)


class _Pace:
    """When each study's researchers were last nudged by this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last: dict[int, float] = {}

    def allows(self, study_id: int) -> bool:
        """True, and noted, when the last nudge is long enough ago."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(study_id, -PAUSE_S) < PAUSE_S:
                return False
            self._last[study_id] = now
        return True

    def forget(self) -> None:
        """Nobody was nudged yet."""
        with self._lock:
            self._last.clear()


pace = _Pace()


def _tell_desk(study_id: int) -> None:
    """A nudge that the pace swallows is no loss: a page that is nudged looks a second time PAUSE_S seconds later."""
    if pace.allows(study_id):
        _send([desk_of(study_id)])


def delivered() -> None:
    """Wait until every nudge so far is out, or has failed."""
    _postman.submit(lambda: None).result()


def _send(groups: list[str]) -> None:
    if groups and not silence.holds():
        _postman.submit(_deliver, groups)


def _deliver(groups: list[str]) -> None:
    if silence.holds():
        return
    try:
        # Not async_to_sync: it starts a thread, which a program that is ending refuses.
        asyncio.run(_send_all(groups))
    except TROUBLE as problem:
        silence.begin()
        logger.warning("Nobody was nudged, pages will poll: %s", problem)
    except Exception:  # nobody waits for this thread to hear of it otherwise
        if threading.main_thread().is_alive():
            logger.exception("a nudge failed")
        else:
            logger.debug("a nudge was lost as the program ended", exc_info=True)


async def _send_all(groups: list[str]) -> None:
    layer = get_channel_layer(LAYER)
    for group in groups:
        await layer.group_send(group, {"type": "look"})
