"""Sides are drawn, never derived: nothing that anybody may see before unblinding goes with the side of a treatment."""

from __future__ import annotations

import random
import secrets
from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from annotations.plan import PlanComparison, PlanControl, PlannedComparison, SeatPlan, draw_block
from studyapp.models import Seat
from tests import factory
from tests.annotations.test_plan import PAPER

# Five pairs of one comparison: an odd number has one side more often, which something else could give away.
ODD = replace(
    PAPER,
    comparisons=(PlanComparison("fspo", "base", 5),),
    controls=(PlanControl("null", 1, "fspo"), PlanControl("repeat", 1, lag=2), PlanControl("attention", 1)),
)
Feature = Callable[[SeatPlan, PlannedComparison], Hashable]
SEEN: dict[str, Feature] = {
    "its position": lambda plan, pair: pair.position,
    "its question": lambda plan, pair: pair.question,
    "the kind of the pair before": lambda plan, pair: plan.comparisons[pair.position - 2].kind,
    "the side of the attention pair": lambda plan, pair: _attention(plan).a_is_first,
    "side and position of the attention pair": lambda plan, pair: (
        _attention(plan).a_is_first,
        _attention(plan).position,
    ),
    "the first elicitation pair": lambda plan, pair: plan.pairs[0].first < plan.pairs[0].second,
    "where its repeat stands": lambda plan, pair: next(
        (c.position for c in plan.comparisons if c.repeat_of == pair.position), 0
    ),
}


def _attention(plan: SeatPlan) -> PlannedComparison:
    return next(pair for pair in plan.comparisons if pair.kind == "attention")


def _blocks(count: int, size: int) -> list[SeatPlan]:
    rng = secrets.SystemRandom()
    return [plan for _ in range(count) for plan in draw_block(ODD, size, rng)]


@pytest.fixture(scope="module")
def plans() -> list[SeatPlan]:
    return _blocks(30, 12)


def excess(table: Iterable[tuple[Hashable, bool]]) -> float:
    """How far a table of (feature, side) is from independence: Pearson's chi-square over its degrees of freedom, in
    standard deviations (Wilson and Hilferty's cube root)."""
    cells = Counter(table)
    rows, columns = Counter[Hashable](), Counter[bool]()
    for (feature, side), n in cells.items():
        rows[feature] += n
        columns[side] += n
    total, degrees = sum(rows.values()), (len(rows) - 1) * (len(columns) - 1)
    if degrees < 1:
        return float("inf")
    expected = {(f, s): rows[f] * columns[s] / total for f in rows for s in columns}
    chi = sum((cells[cell] - e) ** 2 / e for cell, e in expected.items())
    return float(((chi / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / (2 / (9 * degrees)) ** 0.5)


def _table(
    plans: list[SeatPlan], feature: Feature, side: Callable[[PlannedComparison], bool]
) -> list[tuple[Hashable, bool]]:
    return [(feature(plan, pair), side(pair)) for plan in plans for pair in plan.comparisons if pair.kind == "arms"]


@pytest.mark.parametrize("what", SEEN)
def test_the_side_of_a_treatment_does_not_go_with(plans: list[SeatPlan], what: str) -> None:
    assert excess(_table(plans, SEEN[what], lambda pair: pair.a_is_first)) < 4.5


@pytest.mark.parametrize(
    "derived",
    [
        lambda pair: pair.position % 2 == 0,
        lambda pair: sum(map(ord, pair.question)) % 2 == 0,
        lambda pair: random.Random(pair.question).random() < 0.5,
    ],
    ids=["position", "question", "seeded"],
)
def test_a_derived_side_is_found(plans: list[SeatPlan], derived: Callable[[PlannedComparison], bool]) -> None:
    assert max(excess(_table(plans, feature, derived)) for feature in SEEN.values()) > 8


def test_an_attention_pair_does_not_tell_how_often_the_treatment_comes_first(plans: list[SeatPlan]) -> None:
    """Both texts of an attention pair are known to who reads them, so its side is; the rest must not follow from it."""
    table = [(_attention(plan).a_is_first, _often(plan)) for plan in plans]
    assert excess(table) < 4.5
    assert set(table) == {(one, other) for one in (True, False) for other in (True, False)}


def test_a_seat_that_balances_its_attention_pair_with_the_arms_is_found(plans: list[SeatPlan]) -> None:
    """The negative control: as many first as second in the whole seat, the attention pair included."""
    assert excess([(not _often(plan), _often(plan)) for plan in plans]) > 8


def _often(plan: SeatPlan) -> bool:
    return sum(pair.a_is_first for pair in plan.comparisons if pair.kind == "arms") > 2


def test_a_lone_seat_has_no_favourite_side() -> None:
    plans = _blocks(80, 1)
    for kind in ("arms", "attention", "null"):
        sides = [pair.a_is_first for plan in plans for pair in plan.comparisons if pair.kind == kind]
        assert abs(sum(sides) - len(sides) / 2) < 4.5 * (len(sides) / 4) ** 0.5, kind


@pytest.mark.django_db
def test_seats_are_drawn_by_the_systems_randomness_and_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []

    def recorded(spec: Any, size: Any, rng: Any, *rest: Any, **more: Any) -> list[SeatPlan]:
        used.append(rng)
        return draw_block(spec, size, rng, *rest, **more)

    monkeypatch.setattr("studyapp.services.seats.draw_block", recorded)
    study = factory.open_study()
    assert used
    assert all(type(rng) is secrets.SystemRandom for rng in used)
    sides = [
        tuple(pair["a_is_first"] for pair in plan["comparisons"])
        for plan in Seat.objects.filter(study=study).values_list("plan", flat=True)
    ]
    assert len(set(sides)) > len(sides) / 2, "seats repeat each other"
