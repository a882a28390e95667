"""What must hold for every set of judgments."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from annotations.winrate import Outcome, Row, table
from annotations.winrate.columns import Judgments
from annotations.winrate.naive import wilson
from annotations.winrate.sample import Sample, cluster
from annotations.winrate.variance import cr0, cr2, cr3

THOROUGH: dict[str, Callable[[], None]] = {}


def invariant(*strategies: Any) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Forty examples of it here; five hundred in the slow test at the end."""

    def both(test: Callable[..., None]) -> Callable[[], None]:
        quiet = {"deadline": None, "suppress_health_check": [HealthCheck.filter_too_much]}
        THOROUGH[test.__name__] = settings(max_examples=500, **quiet)(given(*strategies)(test))
        return settings(max_examples=40, **quiet)(given(*strategies)(test))

    return both


@st.composite
def studies(
    draw: st.DrawFn, least: int = 1, equal: bool = False, single: bool = False, ties: bool = True
) -> list[Outcome]:
    """Judgments of up to 9 people, up to 6 each, over up to 8 shared questions."""
    count = draw(st.integers(least, 9))
    same = draw(st.integers(1, 6))
    scores = st.sampled_from((0.0, 0.5, 1.0) if ties else (0.0, 1.0))
    outcomes = []
    for person in range(count):
        size = 1 if single else same if equal else draw(st.integers(1, 6))
        for place in range(size):
            question = f"q{draw(st.integers(0, 7))}"
            outcomes.append(Outcome(f"p{person}", question, "a>b", draw(scores), draw(st.booleans()), "d", place + 1))
    return outcomes


def row_of(outcomes: list[Outcome]) -> Row:
    (row,) = table(outcomes, comparisons=["a>b"], primary=["a>b"])
    return row


def relabelled(labels: list[str], rng: random.Random) -> dict[str, str]:
    old = sorted(set(labels))
    return dict(zip(old, rng.sample([f"new {i}" for i in range(len(old))], len(old)), strict=True))


@invariant(studies())
def test_swapping_the_systems_mirrors_everything(outcomes: list[Outcome]) -> None:
    one = row_of(outcomes)
    two = row_of([replace(o, score=1 - o.score, focal_first=not o.focal_first) for o in outcomes])
    assert (one.wins, one.losses) == (two.losses, two.wins)
    mirrored = {
        "win_rate": "win_rate", "ci_low": "ci_high", "ci_high": "ci_low", "ci_twoway_low": "ci_twoway_high",
        "ci_twoway_high": "ci_twoway_low", "macro_win_rate": "macro_win_rate", "macro_ci_low": "macro_ci_high",
        "wilson_iid_low": "wilson_iid_high", "loo_min": "loo_max", "win_rate_decisive": "win_rate_decisive",
        "position_balanced_win_rate": "position_balanced_win_rate",
    }  # fmt: skip
    for name, other in mirrored.items():
        value, mirror = getattr(one, name), getattr(two, other)
        assert (value is None) == (mirror is None)
        assert value is None or value == pytest.approx(1 - mirror, abs=1e-12)
    for name in ("se_cr2", "df", "p_value", "p_twoway", "icc", "deff", "first_share", "sign_test_p"):
        assert getattr(one, name) == pytest.approx(getattr(two, name), abs=1e-9)


@invariant(studies(), st.randoms(use_true_random=False))
def test_order_and_names_change_nothing(outcomes: list[Outcome], rng: random.Random) -> None:
    names, asked = relabelled([o.participant for o in outcomes], rng), relabelled([o.question for o in outcomes], rng)
    renamed = [replace(o, participant=names[o.participant], question=asked[o.question]) for o in outcomes]
    rng.shuffle(renamed)
    before, after = row_of(outcomes).to_json(), row_of(renamed).to_json()
    assert before.keys() == after.keys()
    for name, value in before.items():
        assert after[name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value), name


@invariant(studies(least=2, equal=True))
def test_equal_numbers_make_micro_macro_and_df_one_less_than_people(outcomes: list[Outcome]) -> None:
    row = row_of(outcomes)
    assert row.win_rate == pytest.approx(row.macro_win_rate, abs=1e-12)
    assert row.se_cr2 == pytest.approx(row.macro_se, abs=1e-12)
    assert row.df == pytest.approx(row.n_participants - 1, abs=1e-9)


@invariant(studies(least=2))
def test_saying_everything_twice_adds_no_evidence(outcomes: list[Outcome]) -> None:
    once, twice = row_of(outcomes), row_of(outcomes * 2)
    for name in ("win_rate", "se_cr2", "df", "ci_low", "ci_high", "p_value"):
        assert getattr(twice, name) == pytest.approx(getattr(once, name), abs=1e-12)
    assert twice.wilson_iid_high - twice.wilson_iid_low < once.wilson_iid_high - once.wilson_iid_low  # type: ignore[operator]


@invariant(studies(least=2, single=True, ties=False))
def test_one_judgment_each_gives_the_binomial_variance(outcomes: list[Outcome]) -> None:
    row = row_of(outcomes)
    assert row.win_rate is not None
    assert row.se_cr2 is not None
    assert row.se_cr2**2 == pytest.approx(row.win_rate * (1 - row.win_rate) / (len(outcomes) - 1), abs=1e-12)


@invariant(studies(least=2))
def test_cr2_lies_between_cr0_and_cr3(outcomes: list[Outcome]) -> None:
    sample = Sample.of(outcomes)
    clusters = cluster(sample.scores, sample.participants)
    assert float(cr0(clusters)) <= float(cr2(clusters)) + 1e-15
    assert float(cr2(clusters)) <= float(cr3(clusters)) + 1e-15


@invariant(studies(least=5))
def test_the_two_way_interval_contains_the_one_way(outcomes: list[Outcome]) -> None:
    row = row_of(outcomes)
    assume(row.headline_ci == "two_way")
    assert row.ci_twoway_low <= row.ci_low + 1e-12  # type: ignore[operator]
    assert row.ci_twoway_high >= row.ci_high - 1e-12  # type: ignore[operator]


@invariant(studies())
def test_intervals_are_ordered_and_agree_with_their_p(outcomes: list[Outcome]) -> None:
    row = row_of(outcomes)
    assert row.win_rate is not None
    for low, high, p in ((row.ci_low, row.ci_high, row.p_value), (row.ci_twoway_low, row.ci_twoway_high, row.p_twoway)):
        if low is None or high is None:
            assert p is None
            continue
        assert 0 <= low <= row.win_rate + 1e-12
        assert row.win_rate - 1e-12 <= high <= 1
        if row.ci_method == "cr2_logit_t" and p is not None and abs(p - 0.05) > 1e-9:
            assert (not low <= 0.5 <= high) == (p < 0.05)


@invariant(studies())
def test_nothing_is_reported_without_its_n(outcomes: list[Outcome]) -> None:
    row = row_of(outcomes)
    assert row.wins + row.ties + row.losses == row.n_judgments == len(outcomes)
    assert row.n_participants == len({o.participant for o in outcomes})
    assert row.loo_min is None or row.loo_min <= row.win_rate + 1e-12 <= row.loo_max + 2e-12  # type: ignore[operator]


@invariant(studies())
def test_a_dyad_for_each_person_changes_nothing(outcomes: list[Outcome]) -> None:
    alone, paired = row_of(outcomes), row_of([replace(o, dyad=f"d{o.participant}") for o in outcomes])
    for name, value in alone.to_json().items():
        if name != "flags":
            assert paired.to_json()[name] == (pytest.approx(value, abs=1e-12) if isinstance(value, float) else value)
    assert set(paired.flags) - set(alone.flags) == {"dyads"}


@invariant(studies())
def test_columns_give_what_records_give(outcomes: list[Outcome]) -> None:
    (row,) = table(Judgments.of(outcomes), comparisons=["a>b"], primary=["a>b"])
    assert row == row_of(outcomes)


@invariant(st.integers(0, 60), st.integers(1, 60))
def test_wilson_stays_inside_and_around(half_wins: int, trials: int) -> None:
    assume(half_wins <= 2 * trials)
    low, high = wilson(half_wins / 2 / trials, trials, 0.95)
    assert 0 <= low <= half_wins / 2 / trials + 1e-12
    assert half_wins / 2 / trials - 1e-12 <= high <= 1



@pytest.mark.slow
@pytest.mark.parametrize("name", THOROUGH)
def test_five_hundred_examples_of_each(name: str) -> None:
    THOROUGH[name]()
