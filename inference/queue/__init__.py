"""The queue of generations: rows of Postgres, claimed, fenced and finished by conditional UPDATEs.

Losing the broker loses nothing: `ring` is a doorbell, the row is the work. Every write filters on id, state and claim,
so whoever comes late changes nothing; every write is idempotent.
"""

from inference.queue.asking import Order, discard, erase, raise_need, request_many, retry
from inference.queue.claims import claim, give_back, heartbeat, model_of, sweep, waiting_keys
from inference.queue.doorbell import queue_name, ring, silence
from inference.queue.endings import Failed, Finished, Ledger, Tried, fail, finish

__all__ = [
    "Failed",
    "Finished",
    "Ledger",
    "Order",
    "Tried",
    "claim",
    "discard",
    "erase",
    "fail",
    "finish",
    "give_back",
    "heartbeat",
    "model_of",
    "queue_name",
    "raise_need",
    "request_many",
    "retry",
    "ring",
    "silence",
    "sweep",
    "waiting_keys",
]
