"""Where a seat's pairs stand: comparisons interleaved, controls between them, positions level over the block."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from annotations.plan_balance import Node, deck
from annotations.plan_judging import Drawn, Item
from annotations.plan_types import PlannedComparison, PlanSpec

SWEEPS = 30
ATTEMPTS = 40


def lay_out(
    spec: PlanSpec, seats: Sequence[Sequence[Item]], rng: random.Random, drawn: Drawn
) -> list[tuple[PlannedComparison, ...]]:
    """Give every item of every seat a position and put the repeats in; positions count from 1."""
    size = len(seats)
    sequences = main_sequences(spec, size, rng)
    decks = _control_decks(spec, size, rng)
    places = [_control_places(spec, [cards[seat] for cards in decks], rng) for seat in range(size)]
    orders = [_order(items, sequences[seat], places[seat], rng) for seat, items in enumerate(seats)]
    _level(orders, drawn)
    again: Counter[Node] = Counter()
    return [_finish(order, repeats, again, rng) for order, (_, repeats) in zip(orders, places, strict=True)]


def main_sequences(spec: PlanSpec, size: int, rng: random.Random) -> list[list[int]]:
    """Per seat, the comparison (by index) at each main position.

    As many rounds as the longest comparison has items; each comparison stands at most once in a round, those with fewer
    items in rounds spread over the whole; the order inside a round rotates over the seats.
    """
    width, rounds = len(spec.comparisons), max(c.items for c in spec.comparisons)
    sequences: list[list[int]] = [[] for _ in range(size)]
    ranks = [deck(range(size), size, rng) for _ in spec.comparisons]
    turns = [(rng.sample(range(width), width), deck(range(width), size, rng)) for _ in range(rounds)]
    for seat in range(size):
        present = []
        for index, comparison in enumerate(spec.comparisons):
            shift = (ranks[index][seat] + rng.random()) / size
            present.append({int((j + shift) * rounds / comparison.items) for j in range(comparison.items)})
        for number, (cycle, turn) in enumerate(turns):
            start = turn[seat]
            order = cycle[start:] + cycle[:start]
            sequences[seat].extend(index for index in order if number in present[index])
    return sequences


def _repeat_lags(spec: PlanSpec) -> list[int]:
    return [c.lag for c in spec.controls if c.kind == "repeat" for _ in range(c.items)]


def _sizes(spec: PlanSpec) -> tuple[int, int, int]:
    """Main pairs, other fresh pairs, repeats of a seat."""
    main = sum(c.items for c in spec.comparisons)
    other = sum(c.items for c in spec.controls if c.kind != "repeat")
    return main, other, len(_repeat_lags(spec))


def _control_decks(spec: PlanSpec, size: int, rng: random.Random) -> list[list[int]]:
    """For every control pair of a seat (repeats first) the position it would like, level over the seats."""
    main, other, repeats = _sizes(spec)
    last = main + other + repeats
    legal = [range(min(lag + 1, last), last + 1) for lag in _repeat_lags(spec)]
    legal += [range(2, last + 1)] * other
    return [deck(positions, size, rng) for positions in legal]


def _control_places(
    spec: PlanSpec, wishes: Sequence[int], rng: random.Random
) -> tuple[list[int], list[tuple[int, int]]]:
    """Positions of the fresh controls, and (position, lag) of every repeat; nobody stands first."""
    main, other, repeats = _sizes(spec)
    last, lags = main + other + repeats, _repeat_lags(spec)
    for attempt in range(ATTEMPTS):
        taken: list[int] = []
        for number, wish in enumerate(wishes):
            low = min(lags[number] + 1, last) if number < repeats else 2
            free = [p for p in range(low, last + 1) if p not in taken]
            if not free:
                break
            taken.append(wish if wish in free and attempt < ATTEMPTS // 2 else rng.choice(free))
        shown = list(zip(taken[:repeats], lags, strict=False))
        if len(taken) == len(wishes) and _repeatable(shown, set(taken)):
            return taken[repeats:], shown
    tail = range(main + other + 1, last + 1)
    return list(range(main + 1, main + other + 1)), list(zip(tail, sorted(lags), strict=True))


def _repeatable(repeats: Sequence[tuple[int, int]], controls: set[int]) -> bool:
    """Whether every repeat can have a main pair of its own at least its lag earlier."""
    limits = sorted(position - lag for position, lag in repeats)
    return all(
        sum(1 for p in range(1, limit + 1) if p not in controls) >= rank for rank, limit in enumerate(limits, start=1)
    )


def _order(
    items: Sequence[Item],
    sequence: Sequence[int],
    places: tuple[Sequence[int], Sequence[tuple[int, int]]],
    rng: random.Random,
) -> list[Item | None]:
    """The seat's items in order of presentation; None where a repeat will stand."""
    controls = [item for item in items if item.strand.kind != "arms"]
    main = [item for item in items if item.strand.kind == "arms"]
    names = list(dict.fromkeys(item.strand.name for item in main))
    stacks = {name: [item for item in main if item.strand.name == name] for name in names}
    for stack in stacks.values():
        rng.shuffle(stack)
    fresh, repeats = places
    fixed: dict[int, Item | None] = {position: None for position, _ in repeats}
    fixed.update(zip(fresh, rng.sample(controls, len(controls)), strict=True))
    turns = iter(sequence)
    return [
        fixed[position] if position in fixed else stacks[names[next(turns)]].pop()
        for position in range(1, len(sequence) + len(fixed) + 1)
    ]


def _level(orders: Sequence[list[Item | None]], drawn: Drawn) -> None:
    """Exchange pairs of one strand within a seat while that evens out side by position and question by position."""
    sides, questions = Counter(drawn.places), Counter(drawn.question_places)
    for order in orders:
        for position, item in enumerate(order, start=1):
            if item is not None:
                sides[item.strand.name, item.a_is_first, position] += 1
                questions[item.question.key, position] += 1
    for _ in range(SWEEPS):
        if not sum([_level_seat(order, sides, questions) for order in orders]):
            return


def _level_seat(order: list[Item | None], sides: Counter[Node], questions: Counter[Node]) -> int:
    exchanged = 0
    for i, one in enumerate(order):
        for j in range(i + 1, len(order)):
            one, two = order[i], order[j]
            if one is None or two is None or one.strand is not two.strand:
                continue
            gain = _gain(one, two, i + 1, j + 1, sides, questions)
            if gain > 0:
                _move(one, i + 1, j + 1, sides, questions)
                _move(two, j + 1, i + 1, sides, questions)
                order[i], order[j] = two, one
                exchanged += 1
    return exchanged


def _gain(one: Item, two: Item, i: int, j: int, sides: Counter[Node], questions: Counter[Node]) -> int:
    """Half the fall of the sum of squares if `one` at i and `two` at j change places."""
    name, gain = one.strand.name, 0
    if one.a_is_first != two.a_is_first:
        for item, here, there in ((one, i, j), (two, j, i)):
            gain += sides[name, item.a_is_first, here] - sides[name, item.a_is_first, there] - 1
    for item, here, there in ((one, i, j), (two, j, i)):
        gain += questions[item.question.key, here] - questions[item.question.key, there] - 1
    return gain


def _move(item: Item, here: int, there: int, sides: Counter[Node], questions: Counter[Node]) -> None:
    for position, step in ((here, -1), (there, 1)):
        sides[item.strand.name, item.a_is_first, position] += step
        questions[item.question.key, position] += step


def _finish(
    order: Sequence[Item | None], repeats: Sequence[tuple[int, int]], again: Counter[Node], rng: random.Random
) -> tuple[PlannedComparison, ...]:
    """Write the seat's comparisons; each repeat takes a main pair at least its lag earlier, comparisons by turns."""
    rows: dict[int, PlannedComparison] = {}
    for position, item in enumerate(order, start=1):
        if item is None:
            continue
        texts = item.question.candidates if item.strand.kind == "attention" else (None, None)
        rows[position] = PlannedComparison(
            position, item.strand.kind, item.question.key, item.strand.arm_a, item.strand.arm_b, item.a_is_first,
            candidate_a=texts[0], candidate_b=texts[1],
        )  # fmt: skip
    free = [row for row in rows.values() if row.kind == "arms"]
    for position, lag in sorted(repeats, key=lambda repeat: repeat[0] - repeat[1]):
        early = [row for row in rng.sample(free, len(free)) if row.position <= position - lag]
        source = min(early, key=lambda row: again[row.arm_a, row.arm_b])
        again[source.arm_a, source.arm_b] += 1
        free.remove(source)
        rows[position] = PlannedComparison(
            position, "repeat", source.question, source.arm_a, source.arm_b, not source.a_is_first, source.position
        )
    return tuple(rows[position] for position in sorted(rows))
