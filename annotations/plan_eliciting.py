"""Which questions a person is asked for preferences, which two answers stand side by side, and in what order."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from itertools import combinations

from annotations.plan_balance import Node, choose, counted, deal, deck
from annotations.plan_check import topic_of
from annotations.plan_types import PairRole, PlannedPair, PlanQuestion, PlanSpec, SeatPlan

Asked = tuple[int, PlanQuestion]


class Asking:
    """Counts over the elicitation pairs (repeats apart) of the seats that a study has already."""

    def __init__(self, plans: Sequence[SeatPlan]) -> None:
        pairs = [pair for plan in plans for pair in plan.pairs if pair.role != "repeat"]
        self.asked = Counter(pair.question for pair in pairs)
        self.probes = Counter(pair.question for pair in pairs if pair.role == "probe")
        self.couples = Counter((pair.question, frozenset((pair.first, pair.second))) for pair in pairs)
        self.sides = Counter((pair.question, pair.first, pair.second) for pair in pairs)


def draw_pairs(
    spec: PlanSpec, judged: Sequence[Sequence[PlanQuestion]], rng: random.Random, before: Asking
) -> list[tuple[PlannedPair, ...]]:
    """The elicitation pairs of every seat in order of presentation: shots, probes, repeated shots.

    judged: the questions each seat judges; under `overlap = "none"` their topics are left out.
    """
    shots, probes = _questions(spec, judged, rng, before)
    asked = [(seat, q, role) for role, pool in (("shot", shots), ("probe", probes)) for seat, q in pool]
    couples = _couples([(seat, q) for seat, q, _ in asked], rng, before)
    in_order = _sides(asked, couples, rng, before)
    seats: list[list[PlannedPair]] = [[] for _ in judged]
    for (seat, question, role), (one, two), kept in zip(asked, couples, in_order, strict=True):
        first, second = (one, two) if kept else (two, one)
        seats[seat].append(PlannedPair(0, "shot" if role == "shot" else "probe", question.key, first, second))
    return [_presented(pairs, spec.repeats, rng) for pairs in seats]


def _questions(
    spec: PlanSpec, judged: Sequence[Sequence[PlanQuestion]], rng: random.Random, before: Asking
) -> tuple[list[Asked], list[Asked]]:
    """(seat, question) of every shot and of every probe; distinct in a seat, domains spread, questions used evenly."""
    domains = sorted({q.domain for q in spec.elicit})
    if not domains:
        return [], []
    rng.shuffle(domains)
    closed = [{topic_of(q) for q in seat} if spec.overlap == "none" else set() for seat in judged]
    allowed = [[q for q in spec.elicit if topic_of(q) not in topics] for topics in closed]
    wanted = [
        deal(spec.shots + spec.probes, domains, Counter(q.domain for q in bank), start)
        for bank, start in zip(allowed, deck(range(len(domains)), len(judged), rng), strict=True)
    ]
    bank, total = Counter(q.domain for q in spec.elicit), Counter(d for dealt in wanted for d in dealt)
    for q in spec.elicit:
        total[q.domain] += before.asked[q.key]
    pairs = [(seat, q) for seat, open_to in enumerate(allowed) for q in open_to if q.domain in wanted[seat]]
    even: dict[Node, float] = {
        ("q", q.key): total[q.domain] / bank[q.domain] - before.asked[q.key] for q in spec.elicit
    }
    flags = choose(
        [((seat, q.domain), ("q", q.key)) for seat, q in pairs],
        need=counted((seat, d) for seat, dealt in enumerate(wanted) for d in dealt),
        even=even,
        rng=rng,
    )
    return _split([pair for pair, flag in zip(pairs, flags, strict=True) if flag], wanted, spec.shots, rng, before)


def _split(
    asked: Sequence[Asked], wanted: Sequence[Sequence[str]], shots: int, rng: random.Random, before: Asking
) -> tuple[list[Asked], list[Asked]]:
    """Which of the asked questions are probes: every question about equally often."""
    need: Counter[Node] = Counter({(seat, q.domain): 0 for seat, q in asked})
    need.update((seat, domain) for seat, dealt in enumerate(wanted) for domain in dealt[shots:])
    uses = Counter(q.key for _, q in asked)
    share = sum(need.values()) / max(1, len(asked))
    even: dict[Node, float] = {
        ("q", key): (n + before.asked[key]) * share - before.probes[key] for key, n in uses.items()
    }
    flags = choose([((seat, q.domain), ("q", q.key)) for seat, q in asked], need=need, even=even, rng=rng)
    both = list(zip(asked, flags, strict=True))
    return [pair for pair, probe in both if not probe], [pair for pair, probe in both if probe]


def _couples(asked: Sequence[Asked], rng: random.Random, before: Asking) -> list[tuple[str, str]]:
    """Two candidates for every asked pair, in the order of the file; a question's couples are used by turns."""
    used = Counter(before.couples)
    couples: list[tuple[str, str]] = [("", "")] * len(asked)
    for index in rng.sample(range(len(asked)), len(asked)):
        question = asked[index][1]
        options = list(combinations(question.candidates, 2))
        rng.shuffle(options)
        one, two = min(options, key=lambda couple: used[question.key, frozenset(couple)])
        used[question.key, frozenset((one, two))] += 1
        couples[index] = (one, two)
    return couples


def _sides(
    asked: Sequence[tuple[int, PlanQuestion, str]],
    couples: Sequence[tuple[str, str]],
    rng: random.Random,
    before: Asking,
) -> list[bool]:
    """Whether a couple stands in the order of the file: half the time in every seat, role and couple."""
    edges: list[tuple[Node, ...]] = []
    even: dict[Node, float] = {}
    for (seat, question, role), (one, two) in zip(asked, couples, strict=True):
        edges.append((("seat", seat), ("seat", seat, role), ("couple", question.key, one, two)))
        lead = before.sides[question.key, one, two] - before.sides[question.key, two, one]
        even["couple", question.key, one, two] = -lead / 2
    degree = Counter(node for edge in edges for node in edge)
    strict = {node: n / 2 for node, n in degree.items() if node not in even}
    even = {node: target + degree[node] / 2 for node, target in even.items()}
    return choose(edges, need={}, even=even, strict=strict, rng=rng)


def _presented(pairs: Sequence[PlannedPair], repeats: int, rng: random.Random) -> tuple[PlannedPair, ...]:
    """Shots in random order, then probes, then `repeats` of the shots with sides swapped."""
    shots = [pair for pair in pairs if pair.role == "shot"]
    probes = [pair for pair in pairs if pair.role == "probe"]
    rng.shuffle(shots)
    rng.shuffle(probes)
    again = rng.sample(range(len(shots)), repeats)
    row: list[tuple[PairRole, PlannedPair, int | None]] = [(p.role, p, None) for p in (*shots, *probes)]
    row.extend(
        ("repeat", PlannedPair(0, "repeat", shots[i].question, shots[i].second, shots[i].first), i + 1) for i in again
    )
    return tuple(
        PlannedPair(position, role, pair.question, pair.first, pair.second, source)
        for position, (role, pair, source) in enumerate(row, start=1)
    )
