"""Two-way clustering: people and questions both sampled (Cameron, Gelbach and Miller 2011), never narrower than one."""

from __future__ import annotations

import numpy as np

from annotations.winrate.interval import Interval, logit_t
from annotations.winrate.sample import Codes, Sample, cluster
from annotations.winrate.variance import cr2, satterthwaite

SHARED_QUESTIONS = 5


def shared_questions(sample: Sample) -> int:
    """How many questions were judged by at least two people (dyads, where people judge in dyads)."""
    return int((np.bincount(_cells(sample)[1]) >= 2).sum()) if sample.size else 0


def two_way(sample: Sample, one_way: Interval | None, level: float) -> Interval | None:
    """The interval over participants and questions.

    V = max(V_u + V_q - V_e, V_u, V_q), df = min(nu_u, nu_q). None unless five questions are shared by two people, and
    when the one-way interval is missing or degenerate. Questions seen by one person stay in as clusters of their own.
    """
    if one_way is None or one_way.method != "cr2_logit_t" or shared_questions(sample) < SHARED_QUESTIONS:
        return None
    questions = cluster(sample.scores, sample.questions)
    by_question, by_cell = float(cr2(questions)), cell_variance(sample)
    variance = max(one_way.variance + by_question - by_cell, one_way.variance, by_question)
    df = min(one_way.df, float(satterthwaite(questions)))
    low, high, p = logit_t(one_way.estimate, variance, df, level)
    return Interval(one_way.estimate, variance, df, float(low), float(high), float(p), "cr2_logit_t")


def cell_variance(sample: Sample) -> float:
    """V_e = Nc/(Nc-1) sum over participant x question cells of (sum of residuals)^2 / N^2. Needs two cells."""
    cells, _ = _cells(sample)
    sums = np.bincount(cells, weights=sample.scores - sample.scores.mean())
    count = len(sums)
    # sorted, so that the order of rows leaves no trace in the last bits
    return float(count / (count - 1) * np.sort(sums**2).sum() / sample.size**2)


def _cells(
    sample: Sample,
) -> tuple[Codes, Codes]:
    """The cell (participant or dyad x question) of every judgment (N,), and the question of every cell (Nc,)."""
    width = int(sample.questions.max()) + 1
    keys, cells = np.unique(sample.units * width + sample.questions, return_inverse=True)
    return cells, keys % width
