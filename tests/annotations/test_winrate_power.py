"""Simulated power: the specification's own table, the interval of the analysis, and designs that cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from annotations.winrate import Outcome
from annotations.winrate.agreement import icc
from annotations.winrate.columns import Judgments
from annotations.winrate.estimates import Rules, headline_interval
from annotations.winrate.power import Design, DesignError, analysed, assigned, latent_share, power, simulated

RULES = Rules(0.95, "two_way", None)


def as_judgments(design: Design, scores: np.ndarray) -> Judgments:  # type: ignore[type-arg]
    """One simulated study as records, as the analysis would get it."""
    asked = assigned(design)
    return Judgments.of(
        [
            Outcome(
                f"p{person}", f"q{asked[person // 2 if design.dyads else person, item]}", "a>b",
                float(scores[person, item]), dyad=f"d{person // 2}" if design.dyads else "",
            )
            for person in range(design.participants)
            for item in range(design.items)
        ]
    )  # fmt: skip


@pytest.mark.parametrize(
    "design",
    [
        Design(participants=12, items=5, win_rate=0.6, icc=0.2),
        Design(participants=12, items=5, win_rate=0.6, icc=0.2, questions=8, question_icc=0.1),
        Design(participants=12, items=4, win_rate=0.6, icc=0.1, questions=6, question_icc=0.2, dyads=True),
    ],
)
def test_the_simulation_decides_by_the_interval_of_the_analysis(design: Design) -> None:
    scores = simulated(design, 6, np.random.default_rng(1))
    low, high, p, _ = analysed(design, scores, 0.95)
    for study in range(6):
        headline = headline_interval(as_judgments(design, scores[study]).sample(), RULES)
        assert headline is not None
        assert headline.method == "cr2_logit_t"
        assert (low[study], high[study]) == pytest.approx((headline.low, headline.high), abs=1e-12)
        assert p[study] == pytest.approx(headline.p, abs=1e-12)


@pytest.mark.parametrize(
    ("people", "items", "rate", "rho", "expected"),
    [(25, 10, 0.6, 0.1, 0.59), (25, 10, 0.65, 0.1, 0.91), (50, 10, 0.6, 0.3, 0.63), (50, 5, 0.6, 0.1, 0.74)],
)
def test_power_is_that_of_beta_binomial_people(
    people: int, items: int, rate: float, rho: float, expected: float
) -> None:
    """Power of the same interval for beta-binomial judgments, 6,000 repetitions: another way to draw people."""
    row = power(Design(participants=people, items=items, win_rate=rate, icc=rho), repetitions=1500)
    error = (expected * (1 - expected) * (1 / 1500 + 1 / 6000)) ** 0.5
    assert row.power == pytest.approx(expected, abs=3 * error + 0.005)
    assert row.headline_ci == "participant"


def test_without_an_effect_power_is_the_level_with_shared_questions_and_with_dyads() -> None:
    for dyads in (False, True):
        design = Design(participants=40, items=6, win_rate=0.5, icc=0.1, questions=24, question_icc=0.1, dyads=dyads)
        row = power(design, repetitions=1500)
        assert row.headline_ci == "two_way"
        assert 0.02 <= row.power <= 0.065


def test_better_texts_blur_arms_but_cancel_in_a_swap() -> None:
    """One text that everybody likes widens a comparison of arms; two people who swap texts take it out."""
    plain = Design(participants=60, items=6, win_rate=0.6, icc=0.05, questions=12, question_icc=0.3)
    swapped = Design(participants=60, items=6, win_rate=0.6, icc=0.05, questions=12, question_icc=0.3, dyads=True)
    assert power(plain, repetitions=400).width > 1.4 * power(swapped, repetitions=400).width


def test_what_helps_one_of_a_dyad_hurts_the_other() -> None:
    """Judgments of the same two texts by the two of a dyad: alike in a comparison of arms, opposed in a swap."""
    design = Design(participants=4000, items=4, win_rate=0.5, icc=0.0, questions=8, question_icc=0.3, dyads=True)
    scores = simulated(design, 1, np.random.default_rng(2))[0]
    assert np.corrcoef(scores[0::2].ravel(), scores[1::2].ravel())[0, 1] == pytest.approx(-0.3, abs=0.04)


def test_the_latent_share_gives_the_intraclass_correlation() -> None:
    assert latent_share(0.5, 0.1) == pytest.approx(np.sin(np.pi * 0.1 / 2), abs=1e-6)
    assert latent_share(0.7, 0.0) == 0
    design = Design(participants=3000, items=10, win_rate=0.7, icc=0.2)
    scores = simulated(design, 1, np.random.default_rng(4))[0]
    assert scores.mean() == pytest.approx(0.7, abs=0.02)
    assert icc(scores.ravel(), np.repeat(np.arange(3000), 10)) == pytest.approx(0.2, abs=0.02)


def test_the_same_design_gives_the_same_row() -> None:
    design = Design(participants=20, items=4, win_rate=0.6, icc=0.1)
    assert power(design, repetitions=200) == power(design, repetitions=200)
    assert power(design, repetitions=200) != power(design, repetitions=200, seed=21)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"participants": 2}, "3 or more people"),
        ({"participants": 7, "dyads": True}, "even number"),
        ({"items": 0}, "1 or more"),
        ({"win_rate": 1.0}, "between 0 and 1"),
        ({"icc": -0.1}, "0 or more"),
        ({"icc": 0.6, "question_icc": 0.4}, "at most 0.9"),
        ({"questions": 3}, "nobody judges a question twice"),
    ],
)
def test_a_design_that_cannot_be_says_why(wrong: dict[str, float], told: str) -> None:
    sound = {"participants": 20, "items": 4, "win_rate": 0.6, "icc": 0.1}
    with pytest.raises(DesignError, match=told):
        Design(**{**sound, **wrong})  # type: ignore[arg-type]
