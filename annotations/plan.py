"""Drawing seats: from a study's frozen `PlanSpec` and randomness to whole, balanced seats; and their seal.

What `draw_block` guarantees. Inside every seat:

- every comparison and control has exactly its items; no question is judged twice but for a repeat; elicitation
  questions are distinct; under `overlap = "none"` judged and elicited topics are disjoint;
- in the seat as a whole (repeats and attention pairs apart) and in each comparison and control kind, the number of
  pairs with a first and with b first differ by at most 1; so do file order and its reverse among the shots and among
  the probes;
- domains are dealt round and round: their counts in the seat, and in each comparison, differ by at most 1 as long as
  the bank has questions left in each;
- the first judged pair is a main one; two comparisons with equal items are never more than one pair apart in any
  opening stretch of the main pairs;
- a repeat shows an earlier main pair, sides swapped, at least `lag` positions later; no pair is repeated twice.

Over the seats of one block, unless topics shared by both banks force the choice: two questions of one domain are
judged equally often up to 1, and a question meets each of the comparisons equally often up to 3; a
question's showings in a comparison have a first and second equally often up to 1; elicitation
questions of one domain are asked equally often up to 1, each couple of candidates in either order up to 1.
Side by position is evened out by exchanges until none helps. Later blocks level what earlier ones (`drawn`) left.

A balanced position is not a predictable one: everything that balance leaves open is drawn from `rng`.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from math import gcd, lcm
from typing import Any

from annotations.plan_check import fresh_items, problems
from annotations.plan_eliciting import Asking, draw_pairs
from annotations.plan_judging import Drawn, draw_items
from annotations.plan_layout import lay_out
from annotations.plan_types import (
    PlanArm,
    PlanComparison,
    PlanControl,
    PlanError,
    PlannedComparison,
    PlannedPair,
    PlanQuestion,
    PlanSpec,
    SeatPlan,
)

__all__ = [
    "PlanArm", "PlanComparison", "PlanControl", "PlanError", "PlanQuestion", "PlanSpec", "PlannedComparison",
    "PlannedPair", "SeatPlan", "block_size", "draw_block", "problems", "seal", "seal_of", "seat_digest",
]  # fmt: skip

LEAST, MOST = 12, 48


def block_size(spec: PlanSpec) -> int:
    """The default block: the smallest of 12 to 48 seats that sides and comparisons divide and that uses every question
    to judge equally often; without one, the smallest that sides and comparisons divide."""
    step = lcm(2, max(1, len(spec.comparisons)))
    least = step * -(-LEAST // step)
    judged = max(1, fresh_items(spec))
    even = len(spec.judge) // gcd(len(spec.judge), judged) if spec.judge else 1
    return next((size for size in range(least, MOST + 1, step) if size % even == 0), least)


def draw_block(spec: PlanSpec, size: int | None, rng: random.Random, drawn: Sequence[SeatPlan] = ()) -> list[SeatPlan]:
    """Draw `size` seats (None: `block_size`) in random order, balanced as the module says.

    rng: `secrets.SystemRandom()` in use, a seeded `random.Random` in tests. drawn: the study's seats so far, in any
    order, so that many blocks together stay level. Raises `PlanError` naming every reason why no seat can be drawn.
    """
    found = problems(spec)
    if size is not None and size < 1:
        found.append(f"a block of {size} seats is impossible; at least 1")
    if found:
        raise PlanError(found)
    items = draw_items(spec, block_size(spec) if size is None else size, rng, Drawn(drawn))
    judged = [[item.question for item in seat if item.strand.kind != "attention"] for seat in items]
    pairs = draw_pairs(spec, judged, rng, Asking(drawn))
    comparisons = lay_out(spec, items, rng, Drawn(drawn))
    seats = [SeatPlan(*parts) for parts in zip(pairs, comparisons, strict=True)]
    rng.shuffle(seats)
    return seats


def seat_digest(number: int, plan: Mapping[str, Any], salt: str) -> str:
    """SHA-256 (hex) of one seat: salt, number and plan as canonical JSON (sorted keys, no blanks, UTF-8)."""
    document = json.dumps(
        [salt, number, plan], sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return hashlib.sha256(document.encode()).hexdigest()


def seal_of(digests: Iterable[str]) -> str:
    """The seal over seats in order of number: a chain of SHA-256 over their digests, so that later seats extend it."""
    seal = hashlib.sha256(b"").hexdigest()
    for digest in digests:
        seal = hashlib.sha256(f"{seal}{digest}".encode()).hexdigest()
    return seal


def seal(plans: Iterable[tuple[int, Mapping[str, Any]]], salt: str) -> str:
    """The seal of (number, plan) pairs under a salt: `seal_of` over `seat_digest` in the order given."""
    return seal_of(seat_digest(number, plan, salt) for number, plan in plans)
