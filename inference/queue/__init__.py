"""The queue of generations: rows of Postgres, claimed, fenced and finished by conditional UPDATEs.

Losing the broker loses nothing: `ring` is a doorbell, the row is the work. Every write filters on id, state and claim,
so whoever comes late changes nothing; every write is idempotent.
"""

from inference.queue.asking import Order, discard, erase, narrow, raise_need, request_many, retry
from inference.queue.claims import claim, give_back, heartbeat, model_of, sweep, waiting_keys
from inference.queue.doorbell import queue_name, ring, silence
from inference.queue.endings import Ending, Failed, Finished, Ledger, Tried, end, fail, finish
from inference.queue.scores import Reference, ScoreOrder, request_scores

__all__ = [
    "Ending",
    "Failed",
    "Finished",
    "Ledger",
    "Order",
    "Reference",
    "ScoreOrder",
    "Tried",
    "claim",
    "discard",
    "end",
    "erase",
    "fail",
    "finish",
    "give_back",
    "heartbeat",
    "model_of",
    "narrow",
    "queue_name",
    "raise_need",
    "request_many",
    "request_scores",
    "retry",
    "ring",
    "silence",
    "sweep",
    "waiting_keys",
]
