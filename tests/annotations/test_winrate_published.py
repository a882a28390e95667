"""Statistics reproduce numbers that none of us computed: textbooks, documented R output, other implementations."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import statsmodels.api as sm
from numpy.typing import NDArray
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from annotations.winrate.agreement import icc
from annotations.winrate.holm import holm
from annotations.winrate.interval import clopper_pearson
from annotations.winrate.naive import wilson
from annotations.winrate.sample import Clusters, Sample, cluster, encode
from annotations.winrate.signs import sign_test
from annotations.winrate.twoway import cell_variance
from annotations.winrate.variance import cr0, cr1, cr2, cr3, satterthwaite

RAGGED: list[list[float]] = [
    [1, 1, 0, 1],
    [0, 1],
    [1, 1, 1, 1, 0, 1, 0.5],
    [0],
    [1, 0, 0.5],
    [1, 1, 1],
    [0.5, 0, 1, 1, 1],
]


def ragged() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    scores = np.array([score for person in RAGGED for score in person], dtype=np.float64)
    return scores, np.repeat(np.arange(len(RAGGED)), [len(person) for person in RAGGED])


@pytest.mark.parametrize(
    ("wins", "trials", "score", "exact"),
    [
        (81, 263, (0.2553, 0.3662), (0.2527, 0.3676)),
        (15, 148, (0.0624, 0.1605), (0.0578, 0.1617)),
        (0, 20, (0.0000, 0.1611), (0.0000, 0.1684)),
        (1, 29, (0.0061, 0.1718), (0.0009, 0.1776)),
    ],
)
def test_wilson_and_clopper_pearson_give_newcombes_table(
    wins: int, trials: int, score: tuple[float, float], exact: tuple[float, float]
) -> None:
    """Newcombe (1998), Statistics in Medicine 17, table I, methods 3 and 5."""
    assert wilson(wins / trials, trials, 0.95) == pytest.approx(score, abs=5e-5)
    assert clopper_pearson(wins, trials, 0.95) == pytest.approx(exact, abs=5e-5)


def test_clopper_pearson_gives_r_binom_test() -> None:
    """R's help page of binom.test: Mendel's peas, Conover (1971), p. 97: 682 of 925."""
    assert clopper_pearson(682, 925, 0.95) == pytest.approx((0.7076683, 0.7654066), abs=5e-8)


@pytest.mark.parametrize("wins", range(13))
def test_naive_intervals_agree_with_statsmodels(wins: int) -> None:
    assert wilson(wins / 12, 12, 0.9) == pytest.approx(proportion_confint(wins, 12, 0.1, "wilson"), abs=1e-12)
    assert clopper_pearson(wins, 12, 0.9) == pytest.approx(proportion_confint(wins, 12, 0.1, "beta"), abs=1e-12)


def test_one_value_a_cluster_gives_students_paired_sleep_test() -> None:
    """R's help page of t.test with its data set sleep (Student 1908): mean -1.58, t = -4.0621, df = 9."""
    one = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
    two = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
    people = Clusters(np.ones(10), np.subtract(one, two))
    assert float(people.mean) == pytest.approx(-1.58, abs=5e-3)
    assert float(people.mean) / sqrt(cr2(people)) == pytest.approx(-4.0621, abs=5e-5)
    assert float(satterthwaite(people)) == pytest.approx(9, abs=1e-9)


def test_icc_gives_shrout_and_fleiss() -> None:
    """Shrout and Fleiss (1979), Psychological Bulletin 86, table 2 and 4: six targets, four judges, ICC(1,1) = .17."""
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    scores = np.array(table, dtype=np.float64).ravel()
    assert icc(scores, np.repeat(np.arange(6), 4)) == pytest.approx(0.17, abs=5e-3)


def test_icc_gives_the_documented_value_of_rs_superb() -> None:
    """R package superb, help page of ShroutFleissICC1: 0.434343434."""
    scores = np.array([2, 4, 4, 6, 4, 5, 8, 8, 5, 8, 9, 9], dtype=np.float64)
    assert icc(scores, np.repeat(np.arange(3), 4)) == pytest.approx(0.434343434, abs=5e-10)


def test_the_sign_test_leaves_ties_out_and_counts_exactly() -> None:
    """8 of 9 above one half, one at it: two-sided p = 2 (1 + 9) / 2^9 by counting."""
    people = Clusters(np.ones(10), np.array([0.9] * 8 + [0.1, 0.5]))
    result = sign_test(people)
    assert (result.k, result.n) == (8, 9)
    assert result.p == pytest.approx(20 / 512, abs=1e-12)
    assert result.p == pytest.approx(binomtest(8, 9).pvalue, abs=1e-12)


def test_holm_gives_the_textbook_example() -> None:
    """The worked example of the Holm-Bonferroni procedure: .01, .04, .03, .005 become .03, .06, .06, .02."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02], abs=1e-12)


def test_holm_agrees_with_statsmodels_and_skips_what_is_missing() -> None:
    ps = [0.2, 0.001, 0.04, 0.03, 0.9]
    assert holm(ps) == pytest.approx(list(multipletests(ps, method="holm")[1]), abs=1e-12)
    assert holm([0.03, None, 0.04]) == [0.06, None, 0.06]
    assert holm([]) == []


def test_cr0_and_cr3_are_statsmodels_gee_robust_and_bias_reduced() -> None:
    """An intercept-only logit GEE, delta method back to the rate; clusters of unequal size, ties among the scores."""
    scores, codes = ragged()
    people = cluster(scores, codes)
    model = sm.GEE(scores, np.ones((len(scores), 1)), groups=codes, family=sm.families.Binomial())
    slope = float(people.mean) * (1 - float(people.mean))
    robust = model.fit(cov_type="robust", ctol=1e-12).bse[0]
    reduced = model.fit(cov_type="bias_reduced", ctol=1e-12).bse[0]
    assert sqrt(cr0(people)) / slope == pytest.approx(robust, abs=1e-6)
    assert sqrt(cr3(people)) / slope == pytest.approx(reduced, abs=1e-6)


def test_cr1_is_statsmodels_ols_clustered() -> None:
    scores, codes = ragged()
    fit = sm.OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": codes})
    assert sqrt(cr1(cluster(scores, codes))) == pytest.approx(fit.bse[0], abs=1e-12)


def test_cr2_and_its_df_are_the_matrix_definition_of_bell_and_mccaffrey() -> None:
    """The generic sandwich with (I - H_ii)^(-1/2) and eigenvalue moments, written out for an intercept."""
    scores, codes = ragged()
    total = len(scores)
    design, maker = np.ones(total), np.eye(total) - 1 / total
    residuals, variance, vectors = maker @ scores, 0.0, []
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        values, basis = np.linalg.eigh(np.eye(len(rows)) - 1 / total)
        adjust = basis @ np.diag(values**-0.5) @ basis.T
        variance += float(design[rows] @ adjust @ residuals[rows] / total) ** 2
        vectors.append(maker[:, rows] @ adjust @ design[rows] / total)
    eigenvalues = np.linalg.eigvalsh(np.array(vectors) @ np.array(vectors).T)
    people = cluster(scores, codes)
    assert float(cr2(people)) == pytest.approx(variance, abs=1e-12)
    assert float(satterthwaite(people)) == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), abs=1e-9)


def test_the_cell_variance_is_statsmodels_clustered_by_cell() -> None:
    scores, codes = ragged()
    questions = encode(str(i % 4) for i in range(len(scores)))
    cells = codes * 4 + questions
    fit = sm.OLS(scores, np.ones(len(scores))).fit(cov_type="cluster", cov_kwds={"groups": cells})
    sample = Sample(scores, codes, questions, np.full(len(scores), np.nan))
    assert cell_variance(sample) == pytest.approx(fit.bse[0] ** 2, abs=1e-12)
