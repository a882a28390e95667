"""Simulated power and interval width of a design, with the very interval that the analysis will print.

A judgment is won where mu + person + question + noise > 0, all normal: a latent probit whose shares of variance give
the asked-for intraclass correlations of the 0/1 scores. In a swap design two people judge the same two texts: what
makes one of the texts better helps the one and hurts the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from math import sqrt
from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri
from scipy.stats import multivariate_normal

from annotations.winrate.interval import logit_t
from annotations.winrate.sample import Clusters, Codes, Floats
from annotations.winrate.twoway import SHARED_QUESTIONS
from annotations.winrate.variance import cr2, satterthwaite

BLOCK = 2_000_000
NO_SPREAD = 1e-12


class DesignError(ValueError):
    """A design that cannot be simulated; the message says which number and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """One design. items: judged pairs a person of the comparison. questions: size of the bank that all share, None:
    everybody has their own. icc, question_icc: intraclass correlations of the scores by person and by question (of a
    swap design: by text pair). dyads: a swap design, people in pairs."""

    participants: int
    items: int
    win_rate: float
    icc: float
    questions: int | None = None
    question_icc: float = 0.0
    dyads: bool = False

    def __post_init__(self) -> None:
        if self.participants < 3 or (self.dyads and (self.participants % 2 or self.participants < 6)):
            kind = "an even number of 6 or more people" if self.dyads else "3 or more people"
            raise DesignError(f"{self.participants} participants; give {kind}")
        if self.items < 1:
            raise DesignError(f"{self.items} items; give 1 or more")
        if not 0 < self.win_rate < 1:
            raise DesignError(f"a win rate of {self.win_rate:g}; give one between 0 and 1, such as 0.6")
        if self.icc < 0 or self.question_icc < 0 or self.icc + self.question_icc > 0.9:
            raise DesignError(f"an ICC of {self.icc:g} and {self.question_icc:g}; give 0 or more, together at most 0.9")
        if self.questions is not None and self.questions < self.items:
            raise DesignError(f"{self.questions} questions for {self.items} items; nobody judges a question twice")


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """What a design can see. power: share of simulated studies whose headline p is under alpha; mc_se: its standard
    error. width: mean width of the headline interval. minutes: of one person; pay: of everybody, in `currency`."""

    participants: int
    items: int
    win_rate: float
    icc: float
    questions: int | None
    question_icc: float
    dyads: bool
    repetitions: int
    power: float
    mc_se: float
    width: float
    headline_ci: str
    minutes: float | None = None
    pay: float | None = None
    currency: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


POWER_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Power))


def power(design: Design, *, alpha: float = 0.05, repetitions: int = 2000, seed: int = 20) -> Power:
    """Simulate the design. The same design, alpha, repetitions and seed give the same row."""
    rejected, widths, crossed = 0, 0.0, False
    rng = np.random.default_rng(seed)
    for size in _blocks(design, repetitions):
        low, high, p, crossed = analysed(design, simulated(design, size, rng), 1 - alpha)
        rejected += int((p < alpha).sum())
        widths += float((high - low).sum())
    share = rejected / repetitions
    return Power(
        **asdict(design),
        repetitions=repetitions,
        power=share,
        mc_se=sqrt(share * (1 - share) / repetitions),
        width=widths / repetitions,
        headline_ci="two_way" if crossed else "participant",
    )


def _blocks(design: Design, repetitions: int) -> Iterator[int]:
    most = max(1, BLOCK // (design.participants * design.items))
    for start in range(0, repetitions, most):
        yield min(most, repetitions - start)


def latent_share(win_rate: float, icc: float) -> float:
    """The share of latent variance that gives scores of this mean the intraclass correlation `icc`.

    Solves P(both won) = p^2 + icc p (1 - p) for the correlation of two normals; at one half sin(pi icc / 2).
    """
    if icc == 0:
        return 0.0
    mu, both = float(ndtri(win_rate)), win_rate**2 + icc * win_rate * (1 - win_rate)

    def gap(share: float) -> float:
        return float(multivariate_normal.cdf([mu, mu], cov=[[1, share], [share, 1]])) - both

    return float(brentq(gap, 0.0, 0.999, xtol=1e-8))


def assigned(design: Design) -> Codes:
    """The question of every judgment, (people or dyads, items): in turn, so that all are used alike."""
    rows = design.participants // 2 if design.dyads else design.participants
    return np.arange(rows * design.items).reshape(rows, design.items) % (design.questions or rows * design.items)


def simulated(design: Design, repetitions: int, rng: np.random.Generator) -> Floats:
    """Scores of `repetitions` studies, 0 or 1: (repetitions, participants, items); a dyad's two are neighbours."""
    by_person = latent_share(design.win_rate, design.icc)
    by_question = latent_share(design.win_rate, design.question_icc)
    shape = (repetitions, design.participants, design.items)
    latent = rng.normal(float(ndtri(design.win_rate)), sqrt(1 - by_person - by_question), shape)
    latent += rng.normal(0, sqrt(by_person), (*shape[:2], 1))
    questions = assigned(design)
    if design.dyads:
        better = rng.normal(0, sqrt(by_question), (repetitions, *questions.shape))
        latent[:, 0::2] += better
        latent[:, 1::2] -= better
    else:
        latent += rng.normal(0, sqrt(by_question), (repetitions, int(questions.max()) + 1))[:, questions]
    return (latent > 0).astype(np.float64)


def analysed(design: Design, scores: Floats, level: float) -> tuple[Floats, Floats, Floats, bool]:
    """(low, high, p) of the headline interval of every study (repetitions,), and whether it is two-way.

    A study without spread has the interval (0, 1) and, won or lost throughout, the p-value 2 (1/2)^clusters.
    """
    questions = assigned(design)
    scores = scores.reshape(len(scores), len(questions), -1)
    repetitions, count, each = scores.shape
    units = Clusters(np.full((repetitions, count), float(each)), scores.mean(axis=2))
    variance, df = cr2(units), satterthwaite(units)
    shared = int((np.bincount(questions.ravel()) >= 2).sum()) >= SHARED_QUESTIONS
    if shared:
        variance, df = _crossed(design, scores, units, questions)
    rate = units.mean
    flat = (variance < NO_SPREAD) | (rate <= 0) | (rate >= 1)
    safe = np.where(flat, 0.5, rate)
    low, high, p = logit_t(safe, np.where(flat, 1.0, variance), df, level)
    exact = np.where((rate <= 0) | (rate >= 1), 2 * 0.5**count, 1.0)
    return np.where(flat, 0.0, low), np.where(flat, 1.0, high), np.where(flat, exact, p), shared


def _crossed(design: Design, scores: Floats, units: Clusters, questions: Codes) -> tuple[Floats, Floats]:
    """The two-way variance and df of every study, as `twoway.two_way` has them."""
    repetitions, count, _ = scores.shape
    # a dyad's judgments of a question are one cell: (repetitions, units, judges of a cell, items)
    cells = scores.reshape(repetitions, count, -1, design.items)
    judges = cells.shape[2]
    residuals = (cells - units.mean[:, np.newaxis, np.newaxis, np.newaxis]).sum(axis=2)
    total, number = scores[0].size, residuals[0].size
    by_cell = number / (number - 1) * (residuals**2).sum(axis=(1, 2)) / total**2
    order = np.argsort(questions.ravel(), kind="stable")
    starts = np.searchsorted(questions.ravel()[order], np.unique(questions))
    sizes = np.bincount(questions.ravel())[np.unique(questions)] * float(judges)
    sums = np.add.reduceat(cells.sum(axis=2).reshape(repetitions, -1)[:, order], starts, axis=1)
    asked = Clusters(np.broadcast_to(sizes, sums.shape), sums / sizes)
    by_unit, by_question = cr2(units), cr2(asked)
    variance = np.maximum(np.maximum(by_unit + by_question - by_cell, by_unit), by_question)
    return variance, np.minimum(satterthwaite(units), satterthwaite(asked))
