"""Every estimate of one row: what the table says of a set of judgments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from annotations.winrate.agreement import design_effect, icc
from annotations.winrate.interval import Interval, clustered
from annotations.winrate.leaveout import leave_one_out
from annotations.winrate.macro import macro, macro_rate
from annotations.winrate.missing import bounds
from annotations.winrate.naive import wilson
from annotations.winrate.position import position
from annotations.winrate.rows import Headline, Row
from annotations.winrate.sample import Clusters, Sample, cluster, distinct
from annotations.winrate.signs import sign_test
from annotations.winrate.tally import tally
from annotations.winrate.twoway import two_way

FEW_PARTICIPANTS, LOW_DF, FEW_QUESTIONS = 10, 4.0, 30


@dataclass(frozen=True, slots=True)
class Rules:
    """How a table is made: confidence level, which interval is the headline where possible, size of the bank,
    whether p-values are given, and the least degrees of freedom for one."""

    level: float
    interval: Headline
    bank_size: int | None
    tested: bool = True
    min_df: float | None = None


def headline_interval(sample: Sample, rules: Rules) -> Interval | None:
    """The interval that a row shows first: two-way where rules and questions allow it, else one-way."""
    if not sample.size:
        return None
    one_way = clustered(cluster(sample.scores, sample.units), rules.level)
    crossed = two_way(sample, one_way, rules.level) if rules.interval == "two_way" else None
    return crossed or one_way


def estimated(row: Row, sample: Sample, rules: Rules) -> Row:
    """The row with every estimate of a non-empty sample."""
    people = cluster(sample.scores, sample.units)
    one_way = clustered(people, rules.level)
    tested = rules.tested and row.scope == "all" and not _too_few(one_way, rules)
    crossed = two_way(sample, one_way, rules.level) if rules.interval == "two_way" else None
    row = replace(
        row,
        n_participants=distinct(sample.participants),
        n_questions=distinct(sample.questions),
        **_counts(sample, rules.level, row.n_void),
        **_one_way(one_way, tested),
        **_crossed(crossed, tested),
        **_people(people, rules.level, tested),
        **_position(sample, rules.level),
        icc=icc(sample.scores, sample.units),
        deff=design_effect(one_way.variance, sample.scores) if one_way else None,
    )
    return replace(row, flags=(*_flags(row, sample, people, rules), *row.flags))


def _counts(sample: Sample, level: float, void: int | None) -> dict[str, Any]:
    counted = tally(sample.scores)
    rate = counted.win_rate or 0.0
    low, high = wilson(rate, counted.judgments, level)
    between = None if void is None else bounds(counted.wins + counted.ties / 2, counted.judgments, void)
    return {
        "n_judgments": counted.judgments,
        "wins": counted.wins,
        "ties": counted.ties,
        "losses": counted.losses,
        "win_rate": rate,
        "win_rate_decisive": counted.decisive,
        "n_decisive": counted.wins + counted.losses,
        "wilson_iid_low": low,
        "wilson_iid_high": high,
        "bound_low": between[0] if between else None,
        "bound_high": between[1] if between else None,
    }


def _one_way(interval: Interval | None, tested: bool) -> dict[str, Any]:
    if interval is None:
        return {}
    return {
        "se_cr2": sqrt(interval.variance),
        "df": interval.df,
        "ci_low": interval.low,
        "ci_high": interval.high,
        "ci_method": interval.method,
        "p_value": interval.p if tested else None,
    }


def _crossed(interval: Interval | None, tested: bool) -> dict[str, Any]:
    if interval is None:
        return {}
    return {
        "ci_twoway_low": interval.low,
        "ci_twoway_high": interval.high,
        "p_twoway": interval.p if tested else None,
        "headline_ci": "two_way",
    }


def _people(people: Clusters, level: float, tested: bool) -> dict[str, Any]:
    signs, alone, own = sign_test(people), leave_one_out(people), macro(people, level)
    return {
        "macro_win_rate": macro_rate(people),
        "macro_se": sqrt(own.variance) if own else None,
        "macro_ci_low": own.low if own else None,
        "macro_ci_high": own.high if own else None,
        "sign_test_k": signs.k,
        "sign_test_n": signs.n,
        "sign_test_p": signs.p if tested else None,
        "loo_min": alone[0] if alone else None,
        "loo_max": alone[1] if alone else None,
    }


def _position(sample: Sample, level: float) -> dict[str, Any]:
    sides = position(sample, level)
    return {
        "focal_first_n": sides.focal_first_n,
        "first_share": sides.share,
        "first_share_p": sides.p,
        "position_balanced_win_rate": sides.balanced,
    }


def _too_few(one_way: Interval | None, rules: Rules) -> bool:
    """Whether the degrees of freedom stay under the least ones that a p-value needs."""
    return rules.min_df is not None and one_way is not None and one_way.df < rules.min_df


def _flags(row: Row, sample: Sample, units: Clusters, rules: Rules) -> tuple[str, ...]:
    """What a reader must know before using the row's numbers."""
    rate, own, error = row.win_rate, row.macro_win_rate, row.se_cr2
    bank = row.n_questions if rules.bank_size is None else rules.bank_size
    raised = {
        "single_participant": row.n_participants == 1,
        "single_cluster": units.count == 1 < row.n_participants,
        "few_participants": units.count < FEW_PARTICIPANTS,
        "low_df": row.df is not None and row.df < LOW_DF,
        "degenerate": row.ci_method == "participant_clopper_pearson",
        "micro_macro_differ": None not in (rate, own, error) and abs((rate or 0) - (own or 0)) > (error or 0) + 1e-12,
        "below_min_df": rules.min_df is not None and row.df is not None and row.df < rules.min_df,
        "dyads": sample.clusters is not None,
        "few_questions": row.scope == "all" and bank < FEW_QUESTIONS,
    }
    return tuple(name for name, holds in raised.items() if holds)
