"""A named number with its uncertainty and its n: the row of every table beside the win rates."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from math import sqrt
from typing import Any

import numpy as np

from annotations.winrate.interval import clustered
from annotations.winrate.regression import Effect, effect, least_squares
from annotations.winrate.sample import Codes, Floats, Sample, cluster, distinct
from annotations.winrate.twoway import SHARED_QUESTIONS, shared_questions, two_way


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number. subject: the comparison, arm or control that it is of. n: judgments, pairs or probes behind it.

    p tests the value that the measure's table names (one half for a share, zero for a difference). None: not
    available; `flags` say why.
    """

    measure: str
    subject: str
    n_participants: int
    n: int
    estimate: float | None = None
    se: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return {**asdict(self), "flags": list(self.flags)}


MEASURE_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Measure))


def share(measure: str, subject: str, values: Floats, people: Codes, level: float) -> Measure:
    """The mean of values in [0, 1] (N,) with the interval of win rates, clustered by people (N,)."""
    if not len(values):
        return Measure(measure=measure, subject=subject, n_participants=0, n=0, flags=("no_data",))
    interval = clustered(cluster(values, people), level)
    counts = {"measure": measure, "subject": subject, "n_participants": distinct(people), "n": len(values)}
    if interval is None:
        return Measure(**counts, estimate=float(values.mean()), flags=("single_participant",))  # type: ignore[arg-type]
    return Measure(
        **counts,  # type: ignore[arg-type]
        estimate=interval.estimate,
        se=sqrt(interval.variance),
        df=interval.df,
        ci_low=interval.low,
        ci_high=interval.high,
        p=interval.p,
        flags=("degenerate",) if interval.method == "participant_clopper_pearson" else (),
    )


def rate(measure: str, subject: str, sample: Sample, level: float) -> Measure:
    """As `share`, of the scores of a sample, two-way where its questions are shared."""
    one = share(measure, subject, sample.scores, sample.units, level)
    crossed = two_way(sample, clustered(cluster(sample.scores, sample.units), level), level) if sample.size else None
    if crossed is None:
        return one
    return Measure(
        measure=measure,
        subject=subject,
        n_participants=distinct(sample.participants),
        n=sample.size,
        estimate=crossed.estimate,
        se=sqrt(crossed.variance),
        df=crossed.df,
        ci_low=crossed.low,
        ci_high=crossed.high,
        p=crossed.p,
    )


def of_effect(measure: str, subject: str, found: Effect, sample: Sample, flags: tuple[str, ...] = ()) -> Measure:
    """A contrast of a linear model as a row."""
    return Measure(
        measure=measure,
        subject=subject,
        n_participants=distinct(sample.participants),
        n=sample.size,
        estimate=found.estimate,
        se=found.se,
        df=found.df,
        ci_low=found.low,
        ci_high=found.high,
        p=found.p,
        flags=flags if found.se is not None else (*flags, "no_variance"),
    )


def crossing(sample: Sample) -> Codes | None:
    """The questions as a second way of clustering, where at least five are shared; else None."""
    return sample.questions if shared_questions(sample) >= SHARED_QUESTIONS else None


def mean(measure: str, subject: str, values: Floats, sample: Sample, level: float) -> Measure:
    """The mean of unbounded values (N,), linear scale, clustered as the sample says; p tests zero."""
    fit = least_squares(values, np.ones((len(values), 1))) if len(values) else None
    if fit is None:
        return Measure(measure=measure, subject=subject, n_participants=0, n=0, flags=("no_data",))
    found = effect(fit, np.ones(1), sample.units, level, crossing(sample))
    return of_effect(measure, subject, found, sample)
