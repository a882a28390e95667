"""The intervals hold what 95 % says in simulated studies; the careless ones beside them do not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from annotations.winrate.interval import clustered, logit_t
from annotations.winrate.naive import wilson
from annotations.winrate.sample import Clusters, Sample, cluster
from annotations.winrate.twoway import two_way
from annotations.winrate.variance import cr2, satterthwaite


def people(rng: np.random.Generator, reps: int, rate: float, rho: float) -> Clusters:
    """`reps` studies of 25 people x 10 judgments, beta-binomial with mean `rate` and ICC `rho`."""
    own = rng.beta(rate * (1 - rho) / rho, (1 - rate) * (1 - rho) / rho, size=(reps, 25))
    return Clusters(np.full((reps, 25), 10.0), rng.binomial(10, own) / 10)


def test_the_participant_interval_covers_and_the_naive_one_does_not() -> None:
    rng = np.random.default_rng(20)
    studies = people(rng, 2000, 0.7, 0.1)
    low, high, _ = logit_t(studies.mean, cr2(studies), satterthwaite(studies), 0.95)
    covered = float(((low <= 0.7) & (high >= 0.7)).mean())
    naive = np.array([wilson(float(rate), 250, 0.95) for rate in studies.mean])
    carelessly = float(((naive[:, 0] <= 0.7) & (naive[:, 1] >= 0.7)).mean())
    assert 0.935 <= covered <= 0.965
    assert carelessly < 0.90


def test_false_alarms_stay_at_their_level_and_the_naive_ones_do_not() -> None:
    rng = np.random.default_rng(21)
    studies = people(rng, 4000, 0.5, 0.3)
    _, _, p = logit_t(studies.mean, cr2(studies), satterthwaite(studies), 0.95)
    naive = np.array([wilson(float(rate), 250, 0.95) for rate in studies.mean])
    assert float((p < 0.05).mean()) <= 0.055
    assert float(((naive[:, 0] > 0.5) | (naive[:, 1] < 0.5)).mean()) > 0.15


def judged(rng: np.random.Generator) -> Sample:
    """50 people x 11 questions that all share, one baseline text a question: latent shares .10, .05, .10, p = .5."""
    count, asked = 50, 11
    person = rng.normal(0, np.sqrt(0.10), (count, 1))
    question = rng.normal(0, np.sqrt(0.05), (1, asked)) + rng.normal(0, np.sqrt(0.10), (1, asked))
    latent = person + question + rng.normal(0, np.sqrt(0.75), (count, asked))
    scores: NDArray[np.float64] = (latent > float(ndtri(0.5))).astype(np.float64).ravel()
    codes = np.repeat(np.arange(count), asked)
    return Sample(scores, codes, np.tile(np.arange(asked), count), np.full(count * asked, np.nan))


def test_the_two_way_interval_covers_shared_questions_and_the_one_way_does_not() -> None:
    rng = np.random.default_rng(22)
    hits, narrow_hits, reps = 0, 0, 600
    for _ in range(reps):
        sample = judged(rng)
        narrow = clustered(cluster(sample.scores, sample.participants), 0.95)
        wide = two_way(sample, narrow, 0.95)
        assert narrow is not None
        assert wide is not None
        hits += wide.low <= 0.5 <= wide.high
        narrow_hits += narrow.low <= 0.5 <= narrow.high
    assert 0.93 <= hits / reps <= 0.98
    assert narrow_hits / reps < 0.80
