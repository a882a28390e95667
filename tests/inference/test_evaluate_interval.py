"""Intervals over judgments: known values, and what must hold whatever the judgments are."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from annotations.winrate.interval import clustered
from annotations.winrate.sample import Clusters
from inference.training.evaluation.interval import difference, mean_of, win_rate


def test_people_of_one_judgment_each_have_the_variance_of_a_mean() -> None:
    scores = [1.0] * 70 + [0.0] * 30
    found = win_rate(scores, [str(n) for n in range(100)])
    assert found is not None
    assert found.variance == pytest.approx(0.7 * 0.3 / 99, abs=1e-12)
    assert found.df == pytest.approx(99, abs=1e-9)
    reach = stats.t.ppf(0.975, 99) * np.sqrt(found.variance) / 0.21
    assert found.low == pytest.approx(1 / (1 + np.exp(-(np.log(0.7 / 0.3) - reach))), abs=1e-12)


def test_equal_users_count_like_their_means() -> None:
    rng = random.Random(1)
    table = [[float(rng.random() < 0.7) for _ in range(10)] for _ in range(25)]
    found = win_rate([score for row in table for score in row], [str(n) for n in range(25) for _ in range(10)])
    means = [sum(row) / 10 for row in table]
    assert found is not None
    assert found.variance == pytest.approx(np.var(means, ddof=1) / 25, abs=1e-12)
    assert found.df == pytest.approx(24, abs=1e-9)


@pytest.mark.parametrize(
    ("scores", "low", "high"),
    [
        ([1.0] * 10, 0.6915, 1.0),  # Clopper and Pearson, 10 of 10
        ([0.5] * 8, 0.157, 0.843),  # ties only
        ([0.0] * 10, 0.0, 0.3085),
    ],
)
def test_without_variance_the_interval_is_clopper_and_pearsons(scores: list[float], low: float, high: float) -> None:
    found = win_rate(scores, [str(n) for n in range(len(scores))])
    assert found is not None
    assert found.low == pytest.approx(low, abs=5e-4)
    assert found.high == pytest.approx(high, abs=5e-4)


def test_nothing_gives_none_and_one_user_no_interval() -> None:
    assert win_rate([], []) is None
    assert difference([], []) is None
    assert mean_of([]) is None
    alone = win_rate([1.0, 0.0], ["a", "a"])
    assert alone is not None
    assert (alone.value, alone.low, alone.high) == (0.5, None, None)


judged = st.lists(st.tuples(st.sampled_from([0.0, 0.5, 1.0]), st.sampled_from("abcdefg")), min_size=2, max_size=60)


@given(judged)
def test_turning_every_score_round_mirrors_the_interval(rows: list[tuple[float, str]]) -> None:
    scores, users = [score for score, _ in rows], [user for _, user in rows]
    one, other = win_rate(scores, users), win_rate([1 - score for score in scores], users)
    assert one is not None
    assert other is not None
    assert one.value == pytest.approx(1 - other.value)
    if one.low is not None and other.high is not None:
        assert one.low == pytest.approx(1 - other.high, abs=1e-9)
        assert 0 <= one.low <= one.value <= (one.high or 1) <= 1


@given(judged)
def test_the_interval_is_that_of_the_win_rate_table_of_studies(rows: list[tuple[float, str]]) -> None:
    users = sorted({user for _, user in rows})
    own = [[score for score, user in rows if user == each] for each in users]
    theirs = clustered(
        Clusters(np.array([float(len(each)) for each in own]), np.array([sum(each) / len(each) for each in own])), 0.95
    )
    ours = win_rate([score for score, _ in rows], [user for _, user in rows])
    assert ours is not None
    if theirs is None:
        assert ours.low is None
    else:
        assert (ours.low, ours.high) == (pytest.approx(theirs.low, abs=1e-9), pytest.approx(theirs.high, abs=1e-9))


@given(judged, st.randoms())
def test_the_order_of_judgments_changes_nothing(rows: list[tuple[float, str]], rng: random.Random) -> None:
    mixed = rng.sample(rows, len(rows))
    one, other = (win_rate([s for s, _ in each], [u for _, u in each]) for each in (rows, mixed))
    assert one is not None
    assert other is not None
    assert one.variance == pytest.approx(other.variance, abs=1e-12)
    assert one.value == pytest.approx(other.value)


def test_coverage_of_clustered_judgments_is_what_it_says() -> None:
    """2,000 studies of 25 people with 10 judgments, p = .7, intraclass correlation .1 (beta-binomial)."""
    rng = np.random.default_rng(7)
    users = [str(n) for n in range(25) for _ in range(10)]
    inside = 0
    for _ in range(2000):
        taste = rng.beta(0.7 * 9, 0.3 * 9, size=25)
        found = win_rate((rng.random((25, 10)) < taste[:, None]).astype(float).ravel().tolist(), users)
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.7 <= found.high
    assert 0.935 <= inside / 2000 <= 0.965


def test_the_mean_of_domains_has_the_variance_of_a_mean_of_independent_parts() -> None:
    rng = random.Random(2)
    parts = []
    for count in (40, 60, 90):
        found = win_rate([float(rng.random() < 0.8) for _ in range(count)], [str(n) for n in range(count)])
        assert found is not None
        parts.append(found)
    mean = mean_of(parts)
    assert mean is not None
    assert mean.variance == pytest.approx(sum(part.variance for part in parts) / 9)
    assert mean.n == 190
    assert min(part.df for part in parts) < mean.df <= sum(part.df for part in parts) + 1e-9
