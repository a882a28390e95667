"""Which questions a seat judges, between which arms, and which text comes first.

A *strand* is a run of judged pairs of one kind: one comparison of arms, or one null or identical control.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from annotations.plan_balance import Node, choose, counted, deal, deck
from annotations.plan_check import FRESH, attention_pool, fresh_items, most_judged, topic_counts, topic_of
from annotations.plan_types import ComparisonKind, PlanQuestion, PlanSpec, SeatPlan

StrandName = tuple[ComparisonKind, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Strand:
    """`items` judged pairs a seat of one kind; a is the treatment (null: the text made in advance)."""

    kind: ComparisonKind
    arm_a: str | None
    arm_b: str | None
    items: int
    pool: tuple[PlanQuestion, ...]

    @property
    def name(self) -> StrandName:
        """What identifies the strand in a finished plan."""
        return (self.kind, self.arm_a, self.arm_b)


@dataclass(slots=True)
class Item:
    """One judged pair of a seat before it has a position."""

    strand: Strand
    question: PlanQuestion
    a_is_first: bool = False


class Drawn:
    """Counts over the seats that a study has already, so that later blocks level what earlier ones left uneven."""

    def __init__(self, plans: Sequence[SeatPlan]) -> None:
        shown = [c for plan in plans for c in plan.comparisons if c.kind != "repeat"]
        sides: list[Node] = [((c.kind, c.arm_a, c.arm_b), c.a_is_first, c.position) for c in shown]
        questions: list[Node] = [(c.question, c.position) for c in shown]
        self.items = Counter(((c.kind, c.arm_a, c.arm_b), c.question) for c in shown)
        self.first = Counter(((c.kind, c.arm_a, c.arm_b), c.question) for c in shown if c.a_is_first)
        self.places = Counter(sides)
        self.question_places = Counter(questions)


def strands_of(spec: PlanSpec) -> tuple[list[Strand], list[Strand]]:
    """The strands that draw from the judging bank (main ones first), and the attention strands."""
    fresh = [Strand("arms", c.treatment, c.baseline, c.items, spec.judge) for c in spec.comparisons]
    for control in spec.controls:
        if control.kind == "null":
            fresh.append(Strand("null", control.arm, control.arm, control.items, spec.judge))
        elif control.kind == "identical":
            fresh.append(Strand("identical", control.arm, control.arm, control.items, spec.judge))
    attention = [
        Strand("attention", None, None, c.items, tuple(attention_pool(spec, c)))
        for c in spec.controls
        if c.kind == "attention"
    ]
    return fresh, attention


def draw_items(spec: PlanSpec, size: int, rng: random.Random, drawn: Drawn) -> list[list[Item]]:
    """The fresh and attention items of `size` seats, sides drawn; no question twice in a seat."""
    fresh, attention = strands_of(spec)
    seats = _questions(spec, fresh, size, rng, drawn)
    for seat, shown in zip(seats, _attention(attention, size, rng, drawn), strict=True):
        seat.extend(shown)
    _sides(seats, rng, drawn)
    return seats


def reserve(spec: PlanSpec, rng: random.Random) -> frozenset[str]:
    """Topics one seat keeps for elicitation, drawn at random; none unless judging could use up what it needs."""
    if spec.overlap != "none":
        return frozenset()
    asked, judged = spec.shots + spec.probes, fresh_items(spec)
    counts = topic_counts(spec.elicit, spec.judge)
    shared = [topic for topic, (elicit, judge) in counts.items() if elicit and judge]
    worst = sorted((counts[topic][0] for topic in shared), reverse=True)[:judged]
    if len(spec.elicit) - sum(worst) >= asked:
        return frozenset()
    rng.shuffle(shared)
    kept: set[str] = set()
    have = sum(elicit for elicit, judge in counts.values() if not judge)
    for topic in shared:
        if have >= asked:
            break
        trial = {**counts, topic: (counts[topic][0], 0)}
        if most_judged(trial, asked) >= judged:
            counts = trial
            kept.add(topic)
            have += counts[topic][0]
    return frozenset(kept)


def _questions(
    spec: PlanSpec, strands: Sequence[Strand], size: int, rng: random.Random, drawn: Drawn
) -> list[list[Item]]:
    """Deal domains to the strands of every seat, choose questions evenly, then share them out to the strands."""
    domains = sorted({q.domain for q in spec.judge})
    rng.shuffle(domains)
    starts = deck(range(len(domains)), size, rng)
    kept = [reserve(spec, rng) for _ in range(size)]
    allowed = [[q for q in spec.judge if topic_of(q) not in topics] for topics in kept]
    wanted = [
        deal(fresh_items(spec), domains, Counter(q.domain for q in bank), start)
        for bank, start in zip(allowed, starts, strict=True)
    ]
    pool = _chosen_questions(spec, allowed, wanted, rng, drawn)
    seats: list[list[Item]] = [[] for _ in range(size)]
    offset = 0
    for index, strand in enumerate(strands):
        rest = [s.name for s in strands[index:]]
        needs = Counter((seat, d) for seat in range(size) for d in wanted[seat][offset : offset + strand.items])
        taken = _share(pool, strand, rest, needs, rng, drawn)
        for (seat, question), flag in zip(pool, taken, strict=True):
            if flag:
                seats[seat].append(Item(strand, question))
        pool = [edge for edge, flag in zip(pool, taken, strict=True) if not flag]
        offset += strand.items
    return seats


def _chosen_questions(
    spec: PlanSpec,
    allowed: Sequence[Sequence[PlanQuestion]],
    wanted: Sequence[Sequence[str]],
    rng: random.Random,
    drawn: Drawn,
) -> list[tuple[int, PlanQuestion]]:
    """(seat, question) pairs: every seat gets its dealt domains, questions of a domain are used equally often."""
    pairs = [(seat, q) for seat, bank in enumerate(allowed) for q in bank if q.domain in wanted[seat]]
    used: Counter[str] = Counter()
    for (name, key), count in drawn.items.items():
        used[key] += count if name[0] == "arms" or name[0] in FRESH else 0
    bank, total = Counter(q.domain for q in spec.judge), Counter(d for dealt in wanted for d in dealt)
    for q in spec.judge:
        total[q.domain] += used[q.key]
    even: dict[Node, float] = {("q", q.key): total[q.domain] / bank[q.domain] - used[q.key] for q in spec.judge}
    flags = choose(
        [((seat, q.domain), ("q", q.key)) for seat, q in pairs],
        need=counted((seat, d) for seat, dealt in enumerate(wanted) for d in dealt),
        even=even,
        rng=rng,
    )
    return [pair for pair, flag in zip(pairs, flags, strict=True) if flag]


def _share(
    pool: Sequence[tuple[int, PlanQuestion]],
    strand: Strand,
    rest: Sequence[StrandName],
    needs: Counter[tuple[int, str]],
    rng: random.Random,
    drawn: Drawn,
) -> list[bool]:
    """Which chosen questions go to this strand: every question as often as its domain's share of the strand says."""
    if len(rest) == 1:
        return [True] * len(pool)
    degree = Counter(q.key for _, q in pool)
    domain = {q.key: q.domain for _, q in pool}
    total, own = Counter(q.domain for _, q in pool), Counter[str]()
    for (_, name), count in needs.items():
        own[name] += count
    even: dict[Node, float] = {}
    for key, uses in degree.items():
        before = sum(drawn.items[name, key] for name in rest)
        share = own[domain[key]] / total[domain[key]]
        even["q", key] = (before + uses) * share - drawn.items[strand.name, key]
    edges = [((seat, q.domain), ("q", q.key)) for seat, q in pool]
    need: dict[Node, int] = {seat: needs[seat] for seat, _ in edges}
    return choose(edges, need=need, even=even, rng=rng)


def _attention(strands: Sequence[Strand], size: int, rng: random.Random, drawn: Drawn) -> list[list[Item]]:
    """Attention items of every seat; strands with fewer questions to choose from draw first."""
    seats: list[list[Item]] = [[] for _ in range(size)]
    keys = {q.key for strand in strands for q in strand.pool}
    used = Counter({key: drawn.items[("attention", None, None), key] for key in keys})
    for strand in sorted(strands, key=lambda s: len(s.pool) - s.items):
        for seat in seats:
            taken = {item.question.key for item in seat}
            free = [q for q in strand.pool if q.key not in taken]
            ranked = sorted(rng.sample(free, len(free)), key=lambda q: used[q.key])
            for question in ranked[: strand.items]:
                used[question.key] += 1
                seat.append(Item(strand, question))
    return seats


def _sides(seats: Sequence[Sequence[Item]], rng: random.Random, drawn: Drawn) -> None:
    """Half of every strand and of every seat has its a first, and half of every question's showings in a strand.

    Attention pairs balance among themselves alone: whoever reads one knows which text is its a, and must not learn from
    it how the arms lie.
    """
    edges: list[tuple[Node, ...]] = []
    before: Counter[Node] = Counter()
    for seat, items in enumerate(seats):
        for item in items:
            name, key = item.strand.name, item.question.key
            whole: tuple[Node, ...] = () if item.strand.kind == "attention" else (("seat", seat),)
            edges.append((*whole, ("seat", seat, name), ("strand", name), ("strand", name, key)))
            before["strand", name, key] = drawn.items[name, key]
    first: Counter[Node] = Counter({("strand", name, key): n for (name, key), n in drawn.first.items()})
    for (name, _), count in drawn.items.items():
        before["strand", name] += count
    for (name, _), count in drawn.first.items():
        first["strand", name] += count
    degree = Counter(node for edge in edges for node in edge)
    half = {node: (count + before[node]) / 2 - first[node] for node, count in degree.items()}
    strict: dict[Node, float] = {
        node: target for node, target in half.items() if isinstance(node, tuple) and node[0] == "seat"
    }
    even = {node: target for node, target in half.items() if node not in strict}
    flags = iter(choose(edges, need={}, even=even, strict=strict, rng=rng))
    for items in seats:
        for item in items:
            item.a_is_first = next(flags)
