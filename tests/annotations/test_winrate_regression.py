"""Linear models with clusters, position, length, strength: against R, Stata, statsmodels and definitions."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from statsmodels.stats.multitest import multipletests

from annotations.winrate import Outcome, table
from annotations.winrate.columns import Judgments
from annotations.winrate.contrasts import contrasts
from annotations.winrate.interval import clustered
from annotations.winrate.length import length_adjusted, logistic
from annotations.winrate.regression import cell_variance, cr2_contrast, effect, least_squares
from annotations.winrate.sample import Sample, cluster
from annotations.winrate.sides import side_effects
from annotations.winrate.strength import signed_strength
from annotations.winrate.twoway import two_way
from annotations.winrate.variance import cr2, satterthwaite

Matrix = NDArray[np.float64]


def crossed(seed: int = 3, people: int = 14, asked: int = 9) -> list[Outcome]:
    """Two comparisons of the same people over shared questions, with everything known of every judgment."""
    rng = np.random.default_rng(seed)
    found = []
    for person in range(people):
        own = rng.normal(0, 0.6)
        for place in range(int(rng.integers(4, asked + 1))):
            focal = ("fspo", "donor")[place % 2]
            score = float(rng.choice([0.0, 0.5, 1.0])) if rng.random() < 0.3 else float(own + rng.normal(0.2) > 0)
            found.append(
                Outcome(
                    f"p{person}", f"q{rng.integers(0, asked)}", f"{focal}>base", score, bool(rng.integers(0, 2)), "d",
                    place + 1, "", float(rng.integers(1, 6)), float(rng.integers(200, 300)),
                    float(rng.integers(200, 300)), float(rng.random() * 9), 8.0,
                )
            )  # fmt: skip
    return found


def brute(outcome: Matrix, design: Matrix, codes: Matrix, weights: Matrix) -> tuple[float, float]:
    """CR2 and Satterthwaite by their definition, with N x N matrices."""
    bread = np.linalg.inv(design.T @ design)
    maker = np.eye(len(outcome)) - design @ bread @ design.T
    residuals, variance, vectors = maker @ outcome, 0.0, []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        values, basis = np.linalg.eigh(maker[np.ix_(rows, rows)])
        adjust = basis @ np.diag([v**-0.5 if v > 1e-10 else 0 for v in values]) @ basis.T
        along = adjust @ design[rows] @ bread @ weights
        variance += float(along @ residuals[rows]) ** 2
        vectors.append(maker[:, rows] @ along)
    moments = np.array(vectors) @ np.array(vectors).T
    return variance, float(np.trace(moments) ** 2 / (moments**2).sum())


def test_df_are_those_of_rs_dfadjust() -> None:
    """R package dfadjust, test of formulas: lm(1:10 ~ sin(1:10) + sin(2:11)), HC2 with Bell and McCaffrey's df."""
    steps = np.arange(1, 11)
    design = np.column_stack([np.ones(10), np.sin(steps), np.sin(steps + 1)])
    fit = least_squares(steps.astype(np.float64), design)
    assert fit is not None
    found = [cr2_contrast(fit, weights, np.arange(10)) for weights in np.eye(3)]
    assert [one[1] for one in found if one] == pytest.approx([4.94624731, 3.90754737, 4.77265484], abs=1e-8)


def test_coefficients_and_errors_are_statas() -> None:
    """Stata's regress y x, vce(hc2) as quoted by R package dfadjust's test of clusters."""
    steps = np.arange(1, 11)
    outcome = np.concatenate([np.cos(np.arange(10)), np.tan(steps)])
    design = np.column_stack([np.ones(20), np.concatenate([np.sin(steps), np.sin(steps + 1)])])
    fit = least_squares(outcome, design)
    assert fit is not None
    assert fit.coefficients == pytest.approx([-0.4456202905, 0.3241183110], abs=5e-11)
    found = [cr2_contrast(fit, weights, np.arange(20)) for weights in np.eye(2)]
    assert [sqrt(one[0]) for one in found if one] == pytest.approx([0.4227339762, 0.4421048122], abs=5e-11)


@pytest.mark.parametrize("alone", [False, True])
def test_the_small_matrices_give_what_the_definition_gives(alone: bool) -> None:
    """Also where one cluster alone carries a coefficient."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(7), [4, 2, 7, 1, 3, 3, 5])
    second = (codes == 2).astype(np.float64) if alone else rng.normal(size=len(codes))
    design = np.column_stack([np.ones(len(codes)), second, rng.normal(size=len(codes))])
    outcome = rng.normal(size=len(codes))
    fit = least_squares(outcome, design)
    assert fit is not None
    for weights in (*np.eye(3)[[0, 2]], np.array([1.0, 0.0, -2.0])):
        assert cr2_contrast(fit, weights, codes) == pytest.approx(brute(outcome, design, codes, weights), abs=1e-9)


def test_an_intercept_gives_the_closed_forms_one_way_and_two_way() -> None:
    sample = Judgments.of(crossed()).sample()
    fit = least_squares(sample.scores, np.ones((sample.size, 1)))
    assert fit is not None
    people = cluster(sample.scores, sample.participants)
    one = cr2_contrast(fit, np.ones(1), sample.participants)
    assert one == pytest.approx((float(cr2(people)), float(satterthwaite(people))), abs=1e-9)
    both = effect(fit, np.ones(1), sample.participants, 0.95, sample.questions)
    wide = two_way(sample, clustered(people, 0.95), 0.95)
    assert wide is not None
    assert both.se == pytest.approx(sqrt(wide.variance), abs=1e-12)
    assert both.df == pytest.approx(wide.df, abs=1e-9)


def test_the_cell_part_is_statsmodels_clustered_by_cell() -> None:
    sample = Judgments.of(crossed()).sample()
    design = np.column_stack([np.ones(sample.size), sample.first])
    fit = least_squares(sample.scores, design)
    assert fit is not None
    cells = sample.participants * 100 + sample.questions
    theirs = sm.OLS(sample.scores, design).fit(
        cov_type="cluster", cov_kwds={"groups": cells, "use_correction": False}
    )
    count = len(np.unique(cells))
    expected = float(theirs.cov_params()[1, 1]) * count / (count - 1)
    assert cell_variance(fit, np.array([0.0, 1.0]), cells) == pytest.approx(expected, abs=1e-12)


def test_a_difference_is_that_of_the_win_rates_and_holm_runs_over_differences_alone() -> None:
    outcomes = crossed() + [
        Outcome(f"p{i}", f"q{i % 7}", "old>base", float(i % 3 > 0), None, "d", 20) for i in range(14)
    ]
    names = ["fspo>base", "donor>base", "old>base"]
    rates = {row.focal: row.win_rate for row in table(outcomes, comparisons=names)}
    rows = contrasts(Judgments.of(outcomes), names)
    first = rows[0]
    assert (first.contrast, first.kind) == ("fspo>base - donor>base", "difference")
    assert rates["fspo"] is not None
    assert rates["donor"] is not None
    assert first.estimate == pytest.approx(rates["fspo"] - rates["donor"], abs=1e-12)
    differences = [row for row in rows if row.kind == "difference"]
    unadjusted = [row.p for row in differences]
    assert [row.p_holm for row in differences] == pytest.approx(list(multipletests(unadjusted, method="holm")[1]))
    assert min(unadjusted, key=lambda p: p or 0) not in [row.p_holm for row in differences]
    covariates = [row for row in rows if row.kind == "covariate"]
    assert "position, an item" in {row.contrast for row in covariates}
    assert "shots, each" not in {row.contrast for row in covariates}
    assert all(row.p_holm is None and row.n_judgments for row in covariates)


def test_a_covariate_that_moves_the_score_is_found_and_one_that_does_not_is_not() -> None:
    rng = np.random.default_rng(5)
    outcomes = [
        Outcome(f"p{i}", f"q{i}-{j}", "a>b", float(rng.random() < 0.2 + 0.07 * j), None, "", j, wait_s=rng.random())
        for i in range(60)
        for j in range(1, 9)
    ]
    rows = {row.contrast: row for row in contrasts(Judgments.of(outcomes), ["a>b"])}
    late, wait = rows["position, an item"], rows["wait, a second"]
    assert late.p is not None
    assert wait.p is not None
    assert late.p < 0.001
    assert late.estimate == pytest.approx(0.07, abs=0.03)
    assert wait.p > 0.001


def test_one_comparison_alone_or_one_that_is_empty_gives_no_difference() -> None:
    judged = Judgments.of(crossed())
    assert [row.kind for row in contrasts(judged, ["fspo>base"])].count("difference") == 0
    (row,) = [row for row in contrasts(judged, ["fspo>base", "new>base"]) if row.kind == "difference"]
    assert (row.estimate, row.p, row.flags) == (None, None, ("no_data",))


def test_someone_who_always_takes_the_first_shows_as_a_position_effect() -> None:
    first = np.tile([1.0, 0.0, 1.0, 0.0], 10)
    scores = first.copy()
    scores[::8] = 0.5
    sample = Sample(scores, np.repeat(np.arange(10), 4), np.arange(40), first)
    balanced, effect_of_side = side_effects(sample, "a>b", 0.95)
    assert balanced.estimate == pytest.approx((scores[first == 1].mean() + scores[first == 0].mean()) / 2)
    assert effect_of_side.estimate == pytest.approx(scores[first == 1].mean() - scores[first == 0].mean())
    assert effect_of_side.p is not None
    assert effect_of_side.p < 0.001
    one_side = side_effects(Sample(scores, sample.participants, sample.questions, np.ones(40)), "a>b", 0.95)
    assert [row.estimate for row in one_side] == [None, None]


def test_the_logistic_fit_is_statsmodels() -> None:
    rng = np.random.default_rng(8)
    design = np.column_stack([np.ones(90), rng.normal(size=90)])
    scores = rng.choice([0.0, 0.5, 1.0], 90)
    fit = logistic(scores, design)
    theirs = sm.GLM(scores, design, family=sm.families.Binomial()).fit(tol=1e-12)
    assert fit is not None
    assert fit.coefficients == pytest.approx(theirs.params, abs=1e-8)
    assert logistic(np.ones(90), design) is None
    split = (design[:, 1] > 0).astype(np.float64)
    assert logistic(split, design) is None


def test_a_win_that_is_all_length_goes_when_length_is_taken_out() -> None:
    rng = np.random.default_rng(9)
    outcomes = []
    for i in range(1000):
        gap = rng.normal(30, 30)
        won = float(rng.random() < 1 / (1 + np.exp(-2 * np.tanh(gap / 30))))
        outcomes.append(
            Outcome(f"p{i % 50}", f"q{i}", "a>b", won, treatment_words=200 + gap, baseline_words=200.0)
        )
    judged = Judgments.of(outcomes)
    assert judged.scores.mean() > 0.65
    rate, slope = length_adjusted(judged, "a>b", 0.95)
    assert rate.ci_low is not None
    assert rate.ci_high is not None
    assert rate.ci_low < 0.5 < rate.ci_high
    assert slope.p is not None
    assert slope.p < 0.001
    unknown = length_adjusted(Judgments.of([Outcome("p", "q", "a>b", 1.0)] * 4), "a>b", 0.95)
    assert [row.flags for row in unknown] == [("no_estimate",)] * 2


def test_strength_is_signed_and_a_tie_has_none() -> None:
    rows = [("p1", 1.0, 5.0), ("p1", 0.0, 1.0), ("p2", 0.5, None), ("p2", 1.0, 2.0), ("p3", 1.0, 3.0)]
    judged = Judgments.of([Outcome(p, f"q{i}", "a>b", s, strength=t) for i, (p, s, t) in enumerate(rows)])
    row = signed_strength(judged, "a>b", 0.95)
    assert (row.estimate, row.n, row.n_participants) == (pytest.approx((5 - 1 + 0 + 2 + 3) / 5), 5, 3)
    nothing = signed_strength(Judgments.of([Outcome("p", "q", "a>b", 1.0)]), "a>b", 0.95)
    assert (nothing.estimate, nothing.flags) == (None, ("no_data",))
