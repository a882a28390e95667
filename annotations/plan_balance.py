"""Choosing evenly: which of many possible entries to take so that every count comes out as level as it can.

One mechanism serves questions, arm pairs and sides. Each edge belongs to a chain of nodes on the seat's side and one on
the question's side; the incidence matrix is then a network's, so the linear programme has a whole-number vertex and the
least sum of squares is reached exactly: wherever rounding every count down or up is possible at once, it happens.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence

Node = Hashable
SEAT_WEIGHT = 1000.0
TIE = 1e-4
# HiGHS gives up now and then ("model status unknown") on a programme that its other algorithm solves.
METHODS = ("highs-ds", "highs-ipm")
SOLVED, INFEASIBLE = 0, 2


def counted(nodes: Iterable[Node]) -> Counter[Node]:
    """How often each node occurs."""
    return Counter(nodes)


def choose(
    edges: Sequence[tuple[Node, ...]],
    *,
    need: Mapping[Node, int],
    even: Mapping[Node, float],
    rng: random.Random,
    strict: Mapping[Node, float] | None = None,
) -> list[bool]:
    """Take edges so that every node of `need` has exactly that many and all others come near their targets.

    edges: nodes of each edge; nodes without an entry in a mapping are free. even, strict: target count of a node
    (a fraction is fine); squared distance is minimised, first over `strict`, then over `even`; ties fall by `rng`.
    Returns one flag an edge. Raises RuntimeError if `need` cannot be met: callers check that first.
    """
    members: dict[Node, list[int]] = defaultdict(list)
    for index, nodes in enumerate(edges):
        for node in nodes:
            members[node].append(index)
    weights = {node: (target, SEAT_WEIGHT) for node, target in (strict or {}).items()}
    weights.update({node: (target, 1.0) for node, target in even.items()})
    # Centred: of two equally even counts neither the smaller nor the larger is preferred.
    costs = [(rng.random() - 0.5) * TIE for _ in edges]
    rows: list[int] = []
    columns: list[int] = []
    values: list[float] = []
    bounds: list[float] = []
    for node, count in need.items():
        rows.extend([len(bounds)] * len(members[node]))
        columns.extend(members[node])
        values.extend([1.0] * len(members[node]))
        bounds.append(float(count))
    for node, (target, weight) in weights.items():
        slices = range(1, len(members[node]) + 1)
        rows.extend([len(bounds)] * (2 * len(slices)))
        columns.extend(members[node] + [len(costs) + i for i in range(len(slices))])
        values.extend([1.0] * len(slices) + [-1.0] * len(slices))
        costs.extend(weight * (2 * (count - target) - 1) for count in slices)
        bounds.append(0.0)
    return _solve(len(edges), costs, (rows, columns, values), bounds)


def _solve(
    edges: int, costs: list[float], entries: tuple[list[int], list[int], list[float]], bounds: list[float]
) -> list[bool]:
    if not edges:
        if any(bounds):
            raise RuntimeError("entries are needed but there is none to choose from")
        return []
    if not bounds:
        return [cost < 0 for cost in costs]
    # Here, because half of what a command takes to start would be these.
    import numpy as np
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    rows, columns, values = entries
    matrix = csr_array((values, (rows, columns)), shape=(len(bounds), len(costs)))
    for method in METHODS:
        answer = linprog(np.array(costs), A_eq=matrix, b_eq=np.array(bounds), bounds=(0, 1), method=method)
        if answer.status in (SOLVED, INFEASIBLE):
            break
    if answer.status != SOLVED:
        raise RuntimeError(f"no even choice exists: {answer.message}")
    taken = answer.x[:edges]
    if np.abs(taken - np.round(taken)).max() > 1e-6:
        raise RuntimeError("the choice is not whole: the nodes of the edges do not form two chains")
    return [bool(flag) for flag in taken > 0.5]


def deal(count: int, order: Sequence[str], room: Mapping[str, int], start: int) -> list[str]:
    """`count` labels dealt round and round from `order[start]` on, each at most `room[label]` times.

    Any stretch of the result is spread over the labels as evenly as room allows. Raises ValueError if
    `count` exceeds the room.
    """
    if count > sum(room.values()):
        raise ValueError(f"{count} labels cannot be dealt from a room of {sum(room.values())}")
    left = Counter(room)
    dealt: list[str] = []
    turn = start
    while len(dealt) < count:
        label = order[turn % len(order)]
        turn += 1
        if left[label] > 0:
            left[label] -= 1
            dealt.append(label)
    return dealt


def deck(values: Sequence[int], size: int, rng: random.Random) -> list[int]:
    """`size` values in random order, each of `values` equally often up to one."""
    shuffled = rng.sample(list(values), len(values))
    cards = [shuffled[i % len(shuffled)] for i in range(size)]
    rng.shuffle(cards)
    return cards
