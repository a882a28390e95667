"""Seats: what one person gets is legal, and a block of people is balanced; a careless drawer fails the same bounds."""

from __future__ import annotations

import json
import random
import secrets
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
import scipy.optimize
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from annotations.plan import (
    PlanArm,
    PlanComparison,
    PlanControl,
    PlanError,
    PlannedComparison,
    PlanQuestion,
    PlanSpec,
    SeatPlan,
    block_size,
    draw_block,
    problems,
    seal,
    seal_of,
    seat_digest,
)


def bank(prefix: str, count: int, domains: int, candidates: int = 0, topics: str = "own") -> tuple[PlanQuestion, ...]:
    """`count` questions over `domains`; topics are their own, or shared with every other bank that says "shared"."""
    return tuple(
        PlanQuestion(
            f"{prefix}{i}",
            f"domain {i % domains}",
            f"topic {prefix if topics == 'own' else ''}{i}",
            tuple(f"{prefix}{i}/{c}" for c in range(candidates)),
        )
        for i in range(count)
    )


PAPER = PlanSpec(
    shots=8,
    probes=1,
    repeats=1,
    elicit=bank("e", 24, 3, 4),
    judge=bank("j", 60, 3),
    attention=bank("x", 3, 1, 2),
    comparisons=(PlanComparison("fspo", "base", 6), PlanComparison("fspo", "sft", 5)),
    controls=(PlanControl("null", 1, "fspo"), PlanControl("repeat", 1, lag=4), PlanControl("attention", 1)),
)
DEMO = PlanSpec(
    shots=8,
    probes=3,
    repeats=1,
    elicit=bank("e", 24, 3, 2, "shared"),
    judge=bank("j", 24, 3, 0, "shared"),
    comparisons=(PlanComparison("fspo", "base", 6),),
    controls=(PlanControl("null", 1, "fspo"), PlanControl("repeat", 1, lag=4)),
)


@st.composite
def specs(draw: st.DrawFn) -> PlanSpec:
    """Possible studies of many shapes: banks from tight to roomy, topics shared or not, every kind of control."""
    baselines = draw(st.integers(1, 3))
    comparisons = tuple(PlanComparison("fspo", f"base{i}", draw(st.integers(1, 6))) for i in range(baselines))
    controls = [PlanControl("null", draw(st.integers(1, 2)), "fspo")] if draw(st.booleans()) else []
    if draw(st.booleans()):
        controls.append(PlanControl("repeat", draw(st.integers(1, 2)), lag=draw(st.integers(1, 5))))
    if draw(st.booleans()):
        controls.append(PlanControl("attention", draw(st.integers(1, 2))))
    shots, probes = draw(st.integers(0, 8)), draw(st.integers(0, 3))
    topics = draw(st.sampled_from(("own", "shared")))
    asked = shots + probes
    judged = sum(c.items for c in comparisons) + sum(c.items for c in controls if c.kind == "null")
    spec = PlanSpec(
        shots=shots,
        probes=probes,
        repeats=draw(st.integers(0, min(2, shots))),
        elicit=bank("e", asked + draw(st.integers(0, 12)), draw(st.integers(1, 3)), draw(st.integers(2, 4)), topics),
        judge=bank("j", judged + draw(st.integers(0, 20)), draw(st.integers(1, 4)), 0, topics),
        attention=bank("x", 2, 1, 2),
        comparisons=comparisons,
        controls=tuple(controls),
        overlap=draw(st.sampled_from(("none", "off"))),
    )
    assume(not problems(spec))
    return spec


def fresh(plan: SeatPlan) -> list[PlannedComparison]:
    return [c for c in plan.comparisons if c.kind != "repeat"]


def illegal(spec: PlanSpec, plan: SeatPlan) -> list[str]:
    """Every promise about one seat that this plan breaks."""
    shown = plan.comparisons
    items = Counter((c.kind, c.arm_a, c.arm_b) for c in shown if c.kind != "repeat")
    expected: Counter[tuple[str, str | None, str | None]] = Counter()
    for comparison in spec.comparisons:
        expected["arms", comparison.treatment, comparison.baseline] += comparison.items
    for control in spec.controls:
        if control.kind != "repeat":
            expected[control.kind, control.arm, control.arm] += control.items
    again = sum(c.items for c in spec.controls if c.kind == "repeat")
    checks = {
        "items": items == expected and sum(c.kind == "repeat" for c in shown) == again,
        "positions": [c.position for c in shown] == list(range(1, len(shown) + 1)),
        "first is main": shown[0].kind == "arms",
        "questions once": max(Counter(c.question for c in fresh(plan)).values()) == 1,
        "repeats": repeats_hold(spec, plan),
        "elicitation": elicitation_holds(spec, plan),
        "topics": spec.overlap == "off" or not shared_topics(spec, plan),
        "sides": sides_hold(plan),
        "file order": order_holds(spec, plan),
    }
    return [name for name, holds in checks.items() if not holds]


def repeats_hold(spec: PlanSpec, plan: SeatPlan) -> bool:
    rows = {c.position: c for c in plan.comparisons}
    repeats = [c for c in plan.comparisons if c.kind == "repeat"]
    lag = min((c.lag for c in spec.controls if c.kind == "repeat"), default=0)
    sources = [rows[c.repeat_of] for c in repeats if c.repeat_of]
    return (
        len({s.position for s in sources}) == len(repeats)
        and all(s.kind == "arms" for s in sources)
        and all(c.position - s.position >= lag for c, s in zip(repeats, sources, strict=True))
        and all(
            (c.question, c.arm_a, c.arm_b, c.a_is_first) == (s.question, s.arm_a, s.arm_b, not s.a_is_first)
            for c, s in zip(repeats, sources, strict=True)
        )
    )


def elicitation_holds(spec: PlanSpec, plan: SeatPlan) -> bool:
    roles = ["shot"] * spec.shots + ["probe"] * spec.probes + ["repeat"] * spec.repeats
    asked = [pair for pair in plan.pairs if pair.role != "repeat"]
    again = [pair for pair in plan.pairs if pair.role == "repeat"]
    sources = [plan.pairs[pair.repeat_of - 1] for pair in again if pair.repeat_of]
    known = {q.key: q.candidates for q in spec.elicit}
    return (
        [pair.role for pair in plan.pairs] == roles
        and [pair.position for pair in plan.pairs] == list(range(1, len(roles) + 1))
        and len({pair.question for pair in asked}) == len(asked)
        and all(pair.first != pair.second for pair in asked)
        and all({pair.first, pair.second} <= set(known[pair.question]) for pair in asked)
        and len({s.position for s in sources}) == len(again)
        and all(s.role == "shot" for s in sources)
        and all(
            (p.question, p.first, p.second) == (s.question, s.second, s.first)
            for p, s in zip(again, sources, strict=True)
        )
    )


def shared_topics(spec: PlanSpec, plan: SeatPlan) -> set[str]:
    topic = {q.key: q.topic for q in (*spec.elicit, *spec.judge)}
    judged = {topic[c.question] for c in plan.comparisons if c.kind != "attention"}
    return judged & {topic[pair.question] for pair in plan.pairs}


def lopsided(flags: list[bool]) -> int:
    return abs(2 * sum(flags) - len(flags))


def sides_hold(plan: SeatPlan) -> bool:
    kinds = {(c.kind, c.arm_a, c.arm_b) for c in fresh(plan)}
    groups = [[c.a_is_first for c in fresh(plan) if (c.kind, c.arm_a, c.arm_b) == kind] for kind in kinds]
    whole = [c.a_is_first for c in fresh(plan) if c.kind != "attention"]
    return all(lopsided(group) <= 1 for group in [*groups, whole])


def order_holds(spec: PlanSpec, plan: SeatPlan) -> bool:
    place = {key: n for q in spec.elicit for n, key in enumerate(q.candidates)}
    return all(
        lopsided([place[p.first] < place[p.second] for p in plan.pairs if p.role == role]) <= 1
        for role in ("shot", "probe")
    )


def spread(counts: Counter[str], keys: list[str]) -> int:
    return max(counts[key] for key in keys) - min(counts[key] for key in keys)


def uneven(spec: PlanSpec, plans: list[SeatPlan], slack: int = 0) -> list[str]:
    """Every promise about a block (topics not binding) that these plans break by more than `slack`."""
    return [name for name, by, bound in imbalances(spec, plans) if by > bound + slack]


def imbalances(spec: PlanSpec, plans: list[SeatPlan]) -> Iterator[tuple[str, int, int]]:
    """(promise, how uneven, bound) for every balanced count of a block."""
    shown = [c for plan in plans for c in fresh(plan) if c.kind != "attention"]
    asked = [pair for plan in plans for pair in plan.pairs if pair.role != "repeat"]
    for domain in {q.domain for q in spec.judge}:
        keys = [q.key for q in spec.judge if q.domain == domain]
        yield "question", spread(Counter(c.question for c in shown), keys), 1
        for comparison in spec.comparisons:
            met = Counter(c.question for c in shown if c.kind == "arms" and c.arm_b == comparison.baseline)
            yield "question by comparison", spread(met, keys), 3
    for domain in {q.domain for q in spec.elicit}:
        keys = [q.key for q in spec.elicit if q.domain == domain]
        yield "elicitation question", spread(Counter(pair.question for pair in asked), keys), 1
    for key in {(c.kind, c.arm_b, c.question) for c in shown}:
        sides = [c.a_is_first for c in shown if (c.kind, c.arm_b, c.question) == key]
        yield "question by comparison by side", lopsided(sides), 1
    for couple in {frozenset((pair.first, pair.second)) for pair in asked}:
        orders = [pair.first < pair.second for pair in asked if {pair.first, pair.second} == couple]
        yield "couple by side", lopsided(orders), 1


def careless_block(spec: PlanSpec, size: int, rng: random.Random) -> list[SeatPlan]:
    """The negative control: legal items and counts, but questions, sides and positions by independent coins."""
    plans = []
    for plan in draw_block(spec, size, rng):
        pool = rng.sample([q.key for q in spec.judge], sum(c.kind in ("arms", "null") for c in plan.comparisons))
        rows = [
            PlannedComparison(c.position, c.kind, pool.pop(), c.arm_a, c.arm_b, rng.random() < 0.5)
            for c in rng.sample(plan.comparisons, len(plan.comparisons))
            if c.kind in ("arms", "null")
        ]
        plans.append(SeatPlan(plan.pairs, tuple(rows)))
    return plans


@given(specs(), st.integers(1, 9), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_every_seat_of_any_possible_study_keeps_its_promises(spec: PlanSpec, size: int, seed: int) -> None:
    plans = draw_block(spec, size, random.Random(seed))
    assert len(plans) == size
    assert [illegal(spec, plan) for plan in plans] == [[]] * size


@given(specs(), st.integers(1, 15), st.integers(0, 2**32))
@settings(deadline=None, max_examples=60)
def test_a_block_of_any_size_is_balanced_over_question_comparison_and_side(
    spec: PlanSpec, size: int, seed: int
) -> None:
    own = not {q.topic for q in spec.elicit} & {q.topic for q in spec.judge}
    assume(spec.overlap == "off" or own)
    assert uneven(spec, draw_block(spec, size, random.Random(seed))) == []


def test_a_careless_drawer_fails_the_same_bounds() -> None:
    plans = careless_block(PAPER, 20, random.Random(3))
    assert any("sides" in illegal(PAPER, plan) for plan in plans)
    assert {"question", "question by comparison", "question by comparison by side"} <= set(uneven(PAPER, plans))


def test_side_by_position_is_level_over_a_block_and_a_careless_one_is_not() -> None:
    def worst(plans: list[SeatPlan]) -> int:
        shown = [c for plan in plans for c in plan.comparisons if c.kind == "arms"]
        cells = {(c.arm_b, c.position) for c in shown}
        return max(lopsided([c.a_is_first for c in shown if (c.arm_b, c.position) == cell]) for cell in cells)

    assert worst(draw_block(PAPER, 40, random.Random(1))) <= 2
    assert worst(careless_block(PAPER, 40, random.Random(1))) > 4


def test_later_blocks_level_what_earlier_ones_left_uneven() -> None:
    rng = random.Random(5)
    plans: list[SeatPlan] = []
    for _ in range(10):
        plans.extend(draw_block(PAPER, 7, rng, plans))
    assert uneven(PAPER, plans, slack=1) == []
    alone = [plan for _ in range(10) for plan in draw_block(PAPER, 7, rng)]
    assert "question" in uneven(PAPER, alone, slack=1)


def test_every_question_of_the_bank_is_reached() -> None:
    plans = draw_block(PAPER, None, random.Random(2))
    assert {c.question for p in plans for c in fresh(p)} >= {q.key for q in PAPER.judge}
    assert {pair.question for p in plans for pair in p.pairs} == {q.key for q in PAPER.elicit}
    couples = {frozenset(pair) for q in PAPER.elicit for pair in combinations(q.candidates, 2)}
    assert {frozenset((pair.first, pair.second)) for p in plans for pair in p.pairs} == couples


def test_every_control_position_but_the_first_is_used() -> None:
    plans = draw_block(DEMO, 48, random.Random(4))
    last = len(plans[0].comparisons)
    assert {c.position for p in plans for c in p.comparisons if c.kind == "null"} == set(range(2, last + 1))
    assert {c.position for p in plans for c in p.comparisons if c.kind == "repeat"} == set(range(5, last + 1))


def test_comparisons_with_equal_items_are_interleaved() -> None:
    spec = PlanSpec(0, 0, 0, (), bank("j", 30, 2), (PlanComparison("f", "b", 5), PlanComparison("f", "s", 5)))
    for plan in draw_block(spec, 30, random.Random(6)):
        lead = 0
        for comparison in plan.comparisons:
            lead += 1 if comparison.arm_b == "b" else -1
            assert abs(lead) <= 1


def test_domains_are_spread_within_a_seat_and_within_a_comparison() -> None:
    domain = {q.key: q.domain for q in PAPER.judge}
    for plan in draw_block(PAPER, None, random.Random(7)):
        for baseline in ("base", "sft"):
            met = Counter(domain[c.question] for c in plan.comparisons if c.kind == "arms" and c.arm_b == baseline)
            assert len(met) == 3
            assert max(met.values()) - min(met.values()) <= 1


def test_an_attention_pair_shows_its_two_candidates_and_no_arm() -> None:
    for plan in draw_block(PAPER, None, secrets.SystemRandom()):
        (shown,) = [c for c in plan.comparisons if c.kind == "attention"]
        assert (shown.arm_a, shown.arm_b) == (None, None)
        assert (shown.candidate_a, shown.candidate_b) == (f"{shown.question}/0", f"{shown.question}/1")


def test_shared_topics_are_split_even_where_nearly_none_are_left() -> None:
    tight = PlanSpec(
        6, 0, 0, bank("e", 12, 2, 2, "shared"), bank("j", 12, 3, 0, "shared"), (PlanComparison("f", "b", 6),)
    )
    for plan in draw_block(tight, 20, random.Random(8)):
        assert illegal(tight, plan) == []


def test_two_draws_differ() -> None:
    assert draw_block(DEMO, 6, secrets.SystemRandom()) != draw_block(DEMO, 6, secrets.SystemRandom())


def test_the_default_block_uses_every_question_equally_often() -> None:
    assert block_size(PAPER) == 20
    assert block_size(DEMO) == 24


IMPOSSIBLE = {
    "need 9 elicitation": {"elicit": bank("e", 5, 1, 2)},
    "there are 3 questions to judge": {"judge": bank("j", 3, 1)},
    "give it at least two": {"elicit": bank("e", 24, 3, 1)},
    "overlap": {"elicit": bank("e", 12, 3, 2, "shared"), "judge": bank("j", 18, 3, 0, "shared")},
    "no comparison": {"comparisons": ()},
    "compares an arm with itself": {"comparisons": (PlanComparison("fspo", "fspo", 3),)},
    "unknown arm nobody": {"arms": (PlanArm("fspo", 8), PlanArm("base"), PlanArm("sft"), PlanArm("nobody2")),
                           "comparisons": (PlanComparison("fspo", "nobody", 3),)},
    "takes 9 shots": {"arms": (PlanArm("fspo", 9), PlanArm("base"), PlanArm("sft"))},
    "positions later is impossible": {"controls": (PlanControl("repeat", 1, lag=12),)},
    "only 8 shots to show again": {"repeats": 9},
    "only 11 main pairs": {"controls": (PlanControl("repeat", 12, lag=1),)},
    "attention controls need 4": {"controls": (PlanControl("attention", 4),)},
    "has no arm": {"controls": (PlanControl("null", 1),)},
    "calibration is not available": {"controls": (PlanControl("calibration", 1),)},
    "has 0 items": {"comparisons": (PlanComparison("fspo", "base", 0),)},
    "use 0 or more": {"probes": -1},
    "needs a topic": {"judge": (*bank("j", 30, 3), PlanQuestion("lost", "domain 0", " "))},
    "stands 2 times": {"judge": bank("j", 30, 3) + bank("j", 1, 1)},
}  # fmt: skip


@pytest.mark.parametrize(("message", "change"), IMPOSSIBLE.items(), ids=list(IMPOSSIBLE))
def test_an_impossible_study_is_refused_with_its_reason(message: str, change: dict[str, object]) -> None:
    values = {name: getattr(PAPER, name) for name in PAPER.__slots__} | change
    spec = PlanSpec(**values)
    with pytest.raises(PlanError, match=message):
        draw_block(spec, 4, random.Random(0))
    assert all("; " in sentence for sentence in problems(spec)), "every problem names its remedy"
    assert problems(PAPER) == []


def test_a_lag_that_is_just_possible_is_drawn() -> None:
    spec = PlanSpec(
        0, 0, 0, (), bank("j", 9, 1), (PlanComparison("f", "b", 3),), controls=(PlanControl("repeat", 2, lag=3),)
    )
    for plan in draw_block(spec, 10, random.Random(9)):
        assert illegal(spec, plan) == []
        assert [c.repeat_of for c in plan.comparisons if c.kind == "repeat"] == [1, 2]


def test_a_plan_survives_json() -> None:
    plan = draw_block(PAPER, 1, random.Random(1))[0]
    assert SeatPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    "document", [{}, {"pairs": []}, {"pairs": [], "comparisons": [{"arm": 1}]}, {"pairs": 3, "comparisons": 1}]
)
def test_what_is_not_a_plan_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(PlanError):
        SeatPlan.from_json(document)


def test_any_change_breaks_the_seal_and_later_seats_extend_it() -> None:
    seats = [(n, plan.to_json()) for n, plan in enumerate(draw_block(PAPER, 3, random.Random(1)), start=1)]
    sealed = seal(seats, "salt")
    assert sealed == seal_of(seat_digest(number, plan, "salt") for number, plan in seats)
    changed = json.loads(json.dumps(seats))
    changed[1][1]["comparisons"][0]["a_is_first"] ^= True
    others = [seal(changed, "salt"), seal(seats, "other"), seal(seats[:2], "salt"), seal(seats[::-1], "salt")]
    assert sealed not in others
    assert len(set(others)) == 4
    reordered = dict(reversed(list(seats[0][1].items())))
    assert seat_digest(1, reordered, "salt") == seat_digest(1, seats[0][1], "salt")


@pytest.mark.parametrize("lost", [{"highs-ds"}, {"highs-ds", "highs-ipm"}])
def test_a_solver_that_gives_up_is_replaced_by_the_other(monkeypatch: pytest.MonkeyPatch, lost: set[str]) -> None:
    solve = scipy.optimize.linprog

    def moody(*args: Any, **options: Any) -> Any:
        answer = solve(*args, **options)
        if options["method"] in lost:
            answer.status, answer.message = 4, "model status unknown"
        return answer

    monkeypatch.setattr("scipy.optimize.linprog", moody)
    if "highs-ipm" in lost:
        with pytest.raises(RuntimeError, match="model status unknown"):
            draw_block(DEMO, 2, random.Random(1))
    else:
        assert all(len(plan.comparisons) == 8 for plan in draw_block(DEMO, 2, random.Random(1)))
