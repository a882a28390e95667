"""How fast a base model's texts have come lately, from the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from inference.models import Generation

LATEST = 500
FEWEST = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """`texts` counts what was measured; `per_second` is texts a second while any was at work, all workers together;
    `seconds_each` is the median time from a claim to its text.
    """

    texts: int
    per_second: float
    seconds_each: float


def measured(model_key: str) -> Pace | None:
    """The pace of the latest texts of a base model, of any study; None when fewer than twenty are ready."""
    ready = Generation.objects.filter(
        model_key=model_key, state=Generation.State.READY, started_at__isnull=False, finished_at__isnull=False
    ).order_by("-finished_at")
    rows = ready.values_list("started_at", "finished_at")[:LATEST]
    times = [(started, finished) for started, finished in rows if started and finished]
    if len(times) < FEWEST:
        return None
    each = median((finished - started).total_seconds() for started, finished in times)
    return Pace(len(times), len(times) / max(_busy_s(times), 1e-3), each)


def _busy_s(times: Sequence[tuple[datetime, datetime]]) -> float:
    """Seconds in which at least one of the texts was at work."""
    total, until = 0.0, None
    for started, finished in sorted(times):
        begin = started if until is None else max(started, until)
        total += max(0.0, (finished - begin).total_seconds())
        until = finished if until is None else max(until, finished)
    return total
