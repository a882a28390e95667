"""Margins, several primary comparisons, permutation, looks, abilities, reliability, fidelity."""

from __future__ import annotations

from dataclasses import replace

import evalica
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize
from scipy.special import expit
from statsmodels.stats.inter_rater import cohens_kappa as theirs
from statsmodels.stats.inter_rater import to_table

from annotations.winrate import Outcome, table
from annotations.winrate.analysis import beside
from annotations.winrate.betting import betting_sequence
from annotations.winrate.columns import Judgments
from annotations.winrate.exclusions import Rule, applied
from annotations.winrate.fidelity import Choice, Probe, fidelity, majority
from annotations.winrate.holm import fixed_sequence
from annotations.winrate.kappa import cohens_kappa, jackknifed
from annotations.winrate.measures import Measure
from annotations.winrate.people import above_half, own_rates
from annotations.winrate.permutation import sign_flip, sign_flip_sums
from annotations.winrate.reliability import Calibration, Control, Repeat, calibration_alpha, controls, retest
from annotations.winrate.sample import Clusters
from annotations.winrate.systems import Pairs, abilities, fitted, is_star, sandwich

# Agresti, Categorical Data Analysis: American League 1987; home team -> (away team, home wins, away wins).
TEAMS = ("Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore")
BASEBALL = {
    0: [(1, 4, 3), (2, 4, 2), (3, 4, 3), (4, 6, 1), (5, 4, 2), (6, 6, 0)],
    1: [(0, 3, 3), (2, 4, 2), (3, 4, 3), (4, 6, 0), (5, 6, 1), (6, 4, 3)],
    2: [(0, 2, 5), (1, 4, 3), (3, 2, 4), (4, 4, 3), (5, 4, 2), (6, 6, 0)],
    3: [(0, 3, 3), (1, 5, 1), (2, 2, 5), (4, 4, 3), (5, 4, 2), (6, 6, 1)],
    4: [(0, 5, 1), (1, 2, 5), (2, 3, 3), (3, 4, 2), (5, 5, 2), (6, 6, 0)],
    5: [(0, 2, 5), (1, 3, 3), (2, 3, 4), (3, 4, 3), (4, 4, 2), (6, 2, 4)],
    6: [(0, 2, 5), (1, 1, 5), (2, 1, 6), (3, 2, 4), (4, 1, 6), (5, 3, 4)],
}


def games() -> Pairs:
    """Every game as a pair, each a cluster of its own."""
    rows = [
        (home, away, score)
        for home, played in BASEBALL.items()
        for away, won, lost in played
        for score in [1.0] * won + [0.0] * lost
    ]
    one, two, scores = (np.array(column) for column in zip(*rows, strict=True))
    return Pairs(one.astype(np.int64), two.astype(np.int64), scores, np.arange(len(rows)))


def test_bradley_terry_gives_the_published_abilities_of_baseball() -> None:
    """R package BradleyTerry2, vignette, baseballModel1 (Agresti 2002, p. 438): Baltimore is the reference."""
    theta, nu = fitted(games(), 7)
    published = [1.5814, 1.4364, 1.2945, 1.2476, 1.1077, 0.6839, 0.0]
    assert theta - theta[6] == pytest.approx(published, abs=5e-5)
    assert nu == 0


def test_a_home_advantage_is_agrestis() -> None:
    """Agresti (2002), p. 438: .302, standard error .131: a constant column of a logit of the differences."""
    pairs = games()
    design = np.zeros((len(pairs.scores), 7))
    rows = np.arange(len(pairs.scores))
    design[rows, pairs.one] = 1
    design[rows, pairs.two] -= 1
    design[:, 6] = 1
    fit = sm.Logit(pairs.scores, design).fit(disp=0)
    assert (fit.params[6], fit.bse[6]) == pytest.approx((0.302, 0.131), abs=5e-4)


def test_the_sandwich_over_clusters_is_statsmodels() -> None:
    pairs = replace(games(), clusters=np.arange(len(games().scores)) % 20)
    theta, nu = fitted(pairs, 7)
    contrast = np.zeros(7)
    contrast[[0, 6]] = 1, -1
    ours = contrast @ sandwich(pairs, theta, nu) @ contrast
    rows, design = np.arange(len(pairs.scores)), np.zeros((len(pairs.scores), 7))
    design[rows, pairs.one] = 1
    design[rows, pairs.two] -= 1
    fit = sm.Logit(pairs.scores, design[:, :6]).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": pairs.clusters, "use_correction": False}
    )
    assert ours**0.5 == pytest.approx(fit.bse[0], abs=1e-4)


def tied(count: int = 240) -> Judgments:
    """Three systems compared with each other, with ties."""
    rng = np.random.default_rng(4)
    strength = {"a": 0.8, "b": 0.1, "c": -0.6}
    outcomes = []
    for number in range(count):
        one, two = rng.permutation(list(strength))[:2]
        win = expit(strength[one] - strength[two] + rng.normal(0, 0.1))
        score = 0.5 if rng.random() < 0.25 else float(rng.random() < win)
        outcomes.append(Outcome(f"p{number % 30}", f"q{number % 17}", f"{one}>{two}", score))
    return Judgments.of(outcomes)


def test_with_ties_the_fit_is_the_maximum_of_davidsons_likelihood() -> None:
    judged = tied()
    names = judged.comparisons.names
    rows = abilities(judged, names)
    systems = [row.system for row in rows]
    arms = [name.split(">") for name in names]
    one = np.array([systems.index(arms[c][0]) for c in judged.comparisons.codes])
    two = np.array([systems.index(arms[c][1]) for c in judged.comparisons.codes])

    def minus_log_likelihood(values: np.ndarray) -> float:  # type: ignore[type-arg]
        theta, nu = np.append(values[:2], -values[:2].sum()), np.exp(values[2])
        half = (theta[one] - theta[two]) / 2
        below = np.log(np.exp(half) + np.exp(-half) + nu)
        won = np.where(judged.scores == 1, half, np.where(judged.scores == 0, -half, values[2]))
        return float(-(won - below).sum())

    best = minimize(minus_log_likelihood, np.zeros(3), tol=1e-12, options={"gtol": 1e-9})
    theta = np.append(best.x[:2], -best.x[:2].sum())
    assert [row.ability for row in rows] == pytest.approx(list(theta), abs=1e-6)
    assert rows[0].tie_parameter == pytest.approx(float(np.exp(best.x[2])), abs=1e-6)
    assert all(row.se is not None and row.se > 0 and row.n_participants == 30 for row in rows)


def test_a_star_has_no_abilities_and_a_system_that_never_loses_has_none_either() -> None:
    star = [Outcome(f"p{i}", f"q{i}", ("a>b", "a>c")[i % 2], float(i % 3 > 0)) for i in range(30)]
    assert is_star(["a>b", "a>c"])
    assert abilities(Judgments.of(star), ["a>b", "a>c"]) == []
    unbeaten = [
        *(Outcome(f"p{i}", f"q{i}", ("a>b", "a>c")[i % 2], 1.0) for i in range(20)),
        *(Outcome(f"p{i}", f"r{i}", "b>c", float(i % 2)) for i in range(20)),
    ]
    rows = abilities(Judgments.of(unbeaten), ["a>b", "a>c", "b>c"])
    assert [(row.ability, row.se, row.flags) for row in rows] == [(None, None, ("not_strongly_connected",))] * 3


# --- margins and sequences -----------------------------------------------------------------------------------------
def studied(rate: float, people: int = 60) -> list[Outcome]:
    """Everybody wins about `rate` of ten of their own questions."""
    rng = np.random.default_rng(11)
    return [
        Outcome(f"p{i}", f"q{i}-{j}", "a>b", float(rng.random() < rate)) for i in range(people) for j in range(10)
    ]


@pytest.mark.parametrize(
    ("rate", "shown"),
    [
        (0.5, {"non_inferiority": True, "equivalence": True, "minimum_effect": False}),
        (0.7, {"non_inferiority": True, "equivalence": False, "minimum_effect": True}),
        (0.36, {"non_inferiority": False, "equivalence": False, "minimum_effect": False}),
    ],
)
def test_margins_are_decided_by_the_interval_at_1_minus_2_alpha(rate: float, shown: dict[str, bool]) -> None:
    outcomes = studied(rate)
    rows = table(outcomes, comparisons=["a>b"], primary=["a>b"], alpha=0.1)
    found = beside(Judgments.of(outcomes), table(outcomes, comparisons=["a>b"], primary=["a>b"]), ["a>b"], ["a>b"],
                   margin=0.1, sesoi=0.55).margins  # fmt: skip
    assert {test.test: test.holds for test in found} == shown
    for test in found:
        assert (test.ci_low, test.ci_high) == pytest.approx((rows[0].ci_low, rows[0].ci_high), abs=1e-12)
        assert test.p is not None
        assert (test.p < 0.05) == test.holds


def test_a_margin_without_data_is_untested_and_not_refuted() -> None:
    rows = table([], comparisons=["a>b"], primary=["a>b"])
    found = beside(Judgments.of([]), rows, ["a>b"], ["a>b"], margin=0.1).margins
    assert [(test.win_rate, test.p, test.holds) for test in found] == [(None, None, None)] * 2
    won = [Outcome(f"p{i}", f"q{i}", "a>b", 1.0) for i in range(20)]
    sure = beside(Judgments.of(won), table(won, comparisons=["a>b"], primary=["a>b"]), ["a>b"], ["a>b"], margin=0.1)
    assert [(test.p, test.holds) for test in sure.margins] == [(None, True), (None, False)]


def test_a_fixed_sequence_stops_at_the_first_that_fails() -> None:
    assert fixed_sequence([0.01, 0.2, 0.001]) == [0.01, 0.2, 0.2]
    assert fixed_sequence([0.01, None, 0.001]) == [0.01, None, None]
    assert fixed_sequence([]) == []


# --- permutation and people ----------------------------------------------------------------------------------------
def test_sign_flips_give_fishers_darwin_data() -> None:
    """Fisher (1935), The Design of Experiments, section 21: 15 pairs of maize, 1,726 of 32,768 sign patterns reach the
    observed sum of 314 in eighths of an inch, in either direction: 5.267 per cent."""
    darwin = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert sum(darwin) == 314
    assert sign_flip_sums(np.array(darwin, dtype=np.float64)) == pytest.approx(1726 / 32768, abs=1e-12)


def test_drawn_sign_flips_come_near_the_exact_ones_and_repeat() -> None:
    sums = np.array([1.0, 2, -1, 3, 0.5, 1.5, -2, 2.5, 1, -0.5, 2, 1, 0.5, -1, 1.5])
    exact = sign_flip_sums(sums)
    drawn = sign_flip_sums(np.append(sums, 0.0), flips=20_000)
    assert exact is not None
    assert drawn == pytest.approx(exact, abs=3 * (exact * (1 - exact) / 20_000) ** 0.5 + 1e-4)
    assert drawn == sign_flip_sums(np.append(sums, 0.0), flips=20_000)
    assert sign_flip_sums(np.array([])) is None
    people = Clusters(np.full(8, 4.0), np.ones(8))
    assert sign_flip(people) == 2 / 2**8


def test_people_above_at_and_under_one_half_add_up() -> None:
    rows = above_half(Clusters(np.ones(10), np.array([0.9] * 6 + [0.5] * 3 + [0.1])), "a>b", 0.95)
    assert [(row.estimate, row.n) for row in rows] == [(0.6, 10), (0.3, 10), (0.1, 10)]
    assert rows[0].ci_low is not None
    assert rows[0].ci_low < 0.6


def test_everybodys_own_rate_stands_by_comparison() -> None:
    outcomes = [Outcome("ben", "q1", "a>b", 1.0), Outcome("ada", "q1", "a>b", 0.5), Outcome("ben", "q2", "a>b", 0.0)]
    rows = own_rates(Judgments.of(outcomes), "a>b")
    assert [(row.participant, row.n_judgments, row.mean) for row in rows] == [("ada", 1, 0.5), ("ben", 2, 0.5)]
    assert own_rates(Judgments.of([]), "a>b") == []


# --- looks ---------------------------------------------------------------------------------------------------------
def plain_sequence(means: list[float], alpha: float, candidate: float) -> bool:
    """Whether the sequence holds `candidate` after the last mean: the formula, step by step."""
    up = down = 1.0
    seen: list[float] = []
    spread = 0.25
    for t, x in enumerate(means, start=1):
        bet = (2 * np.log(2 / alpha) / (spread * t * np.log(1 + t))) ** 0.5
        up *= 1 + min(bet, 0.5 / candidate) * (x - candidate)
        down *= 1 - min(bet, 0.5 / (1 - candidate)) * (x - candidate)
        seen.append(x)
        centres = [(0.5 + sum(seen[: i + 1])) / (i + 2) for i in range(t)]
        spread = (0.25 + sum((v - c) ** 2 for v, c in zip(seen, centres, strict=True))) / (t + 1)
    return bool(max(up, down) / 2 < 1 / alpha)


def test_a_look_is_the_hedged_betting_sequence() -> None:
    rng = np.random.default_rng(2)
    means = list(rng.binomial(6, 0.7, 30) / 6)
    low, high = betting_sequence(np.array(means), 0.05).now
    assert plain_sequence(means, 0.05, low + 2e-3)
    assert plain_sequence(means, 0.05, high - 2e-3)
    assert not plain_sequence(means, 0.05, low - 1e-3)
    assert not plain_sequence(means, 0.05, high + 1e-3)
    assert 0 < low < 0.7 < high < 1


def test_nobody_yet_leaves_everything_open() -> None:
    assert betting_sequence(np.array([]), 0.05).now == (0.0, 1.0)
    assert betting_sequence(np.array([1.0]), 0.05).now == (0.0, 1.0)


def test_looking_after_everybody_seldom_alarms_where_a_t_interval_often_does() -> None:
    rng = np.random.default_rng(6)
    alarms = careless = 0
    for _ in range(300):
        means = rng.binomial(6, rng.beta(4.5, 4.5, 50)) / 6
        found = betting_sequence(means, 0.05, grid=201)
        alarms += bool(((found.low > 0.5) | (found.high < 0.5)).any())
        sizes = np.arange(8, 51)
        t = [abs(means[:n].mean() - 0.5) / (means[:n].std(ddof=1) / n**0.5) for n in sizes]
        careless += bool((np.array(t) > 2.1).any())
    assert alarms / 300 <= 0.05
    assert careless / 300 > 0.12


# --- reliability ---------------------------------------------------------------------------------------------------
def test_kappa_is_statsmodels_and_the_textbooks() -> None:
    """Fleiss, Levin and Paik (2003), section 18.1, table 18.1: 100 subjects, two raters, kappa = .676."""
    counts = [(75, 0, 0), (1, 0, 1), (4, 0, 2), (5, 1, 0), (4, 1, 1), (1, 1, 2), (0, 2, 0), (0, 2, 1), (10, 2, 2)]
    one = np.repeat([a for _, a, _ in counts], [n for n, _, _ in counts]).astype(np.float64)
    two = np.repeat([b for _, _, b in counts], [n for n, _, _ in counts]).astype(np.float64)
    assert cohens_kappa(one, two) == pytest.approx(0.676, abs=5e-4)
    assert cohens_kappa(one, two) == pytest.approx(
        theirs(to_table(np.column_stack([one, two]))[0]).kappa, abs=1e-12
    )
    assert cohens_kappa(np.array([]), np.array([])) is None
    assert cohens_kappa(np.ones(5), np.ones(5)) is None


def test_alpha_is_krippendorffs_example() -> None:
    """Krippendorff (2011), example C: four coders, twelve units, nominal alpha = .743."""
    coded = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    judged = [
        Calibration(f"p{person}", f"u{item}", float(value))
        for person, row in enumerate(coded)
        for item, value in enumerate(row)
        if value is not None
    ]
    found = calibration_alpha(judged, 0.95)
    assert found.estimate == pytest.approx(0.743, abs=5e-4)
    assert found.estimate == pytest.approx(evalica.alpha(pd.DataFrame(coded)).alpha, abs=1e-12)
    assert found.ci_low is not None
    assert calibration_alpha([], 0.95).flags == ("no_shared_items",)


def named(rows: list[Measure], subject: str) -> dict[str, Measure]:
    return {row.measure: row for row in rows if row.subject == subject}


def test_somebody_who_follows_a_side_agrees_with_nobody() -> None:
    """On swapped repeats the first side twice is the other text: agreement 0, side-following 1."""
    follower = [Repeat(f"p{i}", "judged", 1.0, 0.0, True) for i in range(8)]
    rows = named(retest(follower, 0.95), "judged")
    assert (rows["retest_agreement"].estimate, rows["side_following"].estimate) == (0, 1)
    assert rows["first_twice"].estimate == 1
    steady = [Repeat(f"p{i}", "judged", float(i % 2), float(i % 2), True) for i in range(8)]
    rows = named(retest(steady, 0.95), "judged")
    assert (rows["retest_agreement"].estimate, rows["kappa"].estimate, rows["side_following"].estimate) == (1, 1, 0)
    assert named(retest(steady, 0.95), "labelled")["retest_agreement"].flags == ("no_data",)


def test_a_tie_is_a_category_of_its_own_and_follows_no_side() -> None:
    repeats = [Repeat("p1", "judged", 0.5, 0.5, True), Repeat("p2", "judged", 0.5, 1.0, True)]
    rows = named(retest(repeats, 0.95), "judged")
    assert rows["retest_agreement"].estimate == 0.5
    assert rows["side_following"].n == 0


def test_kappas_interval_is_over_people() -> None:
    """Everybody's pairs said four times over: the same interval, for people did not become more."""
    rng = np.random.default_rng(3)
    one, two = rng.integers(0, 2, 40).astype(float), rng.integers(0, 2, 40).astype(float)
    people = np.repeat(np.arange(10), 4)

    def at(times: int) -> Measure:
        a, b = np.tile(one, times), np.tile(two, times)
        return jackknifed("k", "s", np.tile(people, times), len(a), lambda m: cohens_kappa(a[m], b[m]), 0.95)

    assert at(4).se == pytest.approx(at(1).se, abs=1e-12)
    assert at(1).df == 9


def test_the_jackknife_of_a_mean_is_its_standard_error() -> None:
    values = np.array([0.1, 0.9, 0.4, 0.7, 0.3])
    row = jackknifed("m", "s", np.arange(5), 5, lambda kept: float(values[kept].mean()), 0.95)
    assert row.se == pytest.approx(values.std(ddof=1) / 5**0.5, abs=1e-12)
    assert jackknifed("m", "s", np.arange(2), 2, lambda kept: 1.0, 0.95).flags == ("few_participants",)


def test_null_pairs_tell_the_path_and_identical_ones_the_tie_floor() -> None:
    pairs = [Control(f"p{i}", "null", 1.0, i % 2 == 0) for i in range(10)]
    pairs += [Control(f"p{i}", "identical", 0.5, True) for i in range(10)]
    rows = controls(pairs, 0.95)
    assert named(rows, "null")["a_share"].estimate == 1
    assert named(rows, "null")["first_share"].estimate == 0.5
    assert named(rows, "identical")["tie_share"].estimate == 1


# --- fidelity and exclusions ---------------------------------------------------------------------------------------
def test_fidelity_counts_probes_that_conditioning_predicts() -> None:
    probes = [
        Probe("ada", "q1", "fspo", -10.0, -12.0, -11.0, -10.0),
        Probe("ada", "q2", "fspo", -10.0, -9.0, -11.0, -9.0),
        Probe("ben", "q1", "fspo", -5.0, -6.0, -5.0, -6.5),
    ]
    rows = named(fidelity(probes, [], 0.95), "fspo")
    assert rows["predicted_conditioned"].estimate == pytest.approx(2 / 3)
    assert rows["predicted_unconditioned"].estimate == pytest.approx(1 / 3)
    assert rows["predicted_shift"].estimate == pytest.approx(2 / 3)
    assert rows["conditioned_minus_unconditioned"].estimate == pytest.approx(1 / 3)
    assert rows["predicted_conditioned"].n_participants == 2


def test_the_majority_leaves_the_person_out() -> None:
    ada = [Choice("ada", "q", "x", "y", True), Choice("ada", "q2", "x2", "y2", True)]
    choices = [*ada, Choice("ben", "q", "y", "x", False)]
    assert majority(choices, 0.95).n == 1
    assert majority(choices, 0.95).estimate == 0
    agreeing = [*choices, Choice("cas", "q", "x", "y", False), Choice("dot", "q", "x", "y", False)]
    assert majority(agreeing, 0.95).estimate == 1
    assert majority([], 0.95).estimate is None


def test_a_rule_leaves_out_whom_it_measures_and_nobody_else() -> None:
    measured: dict[str, dict[str, float | None]] = {
        "ada": {"minutes": 3.0}, "ben": {"minutes": 30.0}, "cas": {"minutes": None}, "dot": {},
    }  # fmt: skip
    hits = applied([Rule("fast", "minutes", "<", 5.0), Rule("slow", "minutes", ">=", 30.0)], measured)
    found = [(hit.participant, hit.rule.id, hit.measured) for hit in hits]
    assert found == [("ada", "fast", 3.0), ("ben", "slow", 30.0)]
