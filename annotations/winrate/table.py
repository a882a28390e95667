"""The win-rate table: one row for every configured comparison and scope, whether judged or not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

import numpy as np

from annotations.winrate.agreement import design_effect, icc
from annotations.winrate.holm import holm
from annotations.winrate.interval import Interval, clustered
from annotations.winrate.leaveout import leave_one_out
from annotations.winrate.macro import macro, macro_rate
from annotations.winrate.missing import bounds
from annotations.winrate.naive import wilson
from annotations.winrate.position import position
from annotations.winrate.records import Outcome, OutcomeError, Planned, split_comparison
from annotations.winrate.rows import Headline, Row, Scope, Study
from annotations.winrate.sample import Clusters, Sample, cluster, distinct
from annotations.winrate.signs import sign_test
from annotations.winrate.tally import tally
from annotations.winrate.twoway import two_way

FEW_PARTICIPANTS, LOW_DF, FEW_QUESTIONS = 10, 4.0, 30


@dataclass(frozen=True, slots=True)
class Rules:
    """How a table is made: confidence level, which interval is the headline where possible, size of the bank."""

    level: float
    interval: Headline
    bank_size: int | None


def table(
    outcomes: Iterable[Outcome],
    *,
    comparisons: Sequence[str],
    primary: Collection[str] = (),
    scopes: Sequence[Scope] = ("all",),
    domains: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
    planned: Iterable[Planned] | None = None,
    study: Study | None = None,
    alpha: float = 0.05,
    interval: Headline = "two_way",
    bank_size: int | None = None,
) -> list[Row]:
    """Rows in the order of comparisons, then scopes, then scope values.

    comparisons, primary: "focal>baseline"; Holm runs over the headline p-values of the primary ones (scope all).
    domains, questions: the configured scope values, which get a row even if empty (None: those in the data, sorted).
    planned: the plan's comparisons for `n_planned`, `n_void` and the bounds (None: those columns stay None).
    p-values are given for scope "all" only. Raises `OutcomeError` for an outcome of a comparison that is not listed
    and for a primary one that is not.
    """
    records, plan = list(outcomes), None if planned is None else list(planned)
    _check(records, comparisons, primary)
    rules = Rules(1 - alpha, interval, bank_size)
    place = study or Study()
    values: dict[Scope, Sequence[str]] = {
        "domain": sorted({o.domain for o in records}) if domains is None else domains,
        "question": sorted({o.question for o in records}) if questions is None else questions,
    }
    rows: list[Row] = []
    for comparison in comparisons:
        chosen = [o for o in records if o.comparison == comparison]
        slots = None if plan is None else [p for p in plan if p.comparison == comparison]
        rows.extend(_rows(chosen, slots, comparison, [(s, values.get(s, ())) for s in scopes], place, rules))
    return _adjusted(rows, {split_comparison(name) for name in primary})


def _check(records: Sequence[Outcome], comparisons: Sequence[str], primary: Collection[str]) -> None:
    unknown = {o.comparison for o in records} - set(comparisons)
    if unknown:
        raise OutcomeError(f"judgments of {', '.join(sorted(unknown))}, which the table does not list")
    unlisted = set(primary) - set(comparisons)
    if unlisted:
        raise OutcomeError(f"{', '.join(sorted(unlisted))} is primary but is no comparison of the table")


def _rows(
    chosen: Sequence[Outcome],
    slots: Sequence[Planned] | None,
    comparison: str,
    scopes: Sequence[tuple[Scope, Sequence[str]]],
    study: Study,
    rules: Rules,
) -> list[Row]:
    """All rows of one comparison."""
    focal, baseline = split_comparison(comparison)
    sample = Sample.of(chosen)
    rows = []
    for scope, listed in scopes:
        labels = np.array(["" if scope == "all" else str(getattr(o, scope)) for o in chosen], dtype=object)
        planned, void = _planned(slots, scope)
        for value in [""] if scope == "all" else listed:
            part = sample if scope == "all" else sample.where(labels == value)
            counts = (None, None) if slots is None else (planned[value], void[value])
            row = Row(
                study_id=study.study_id,
                config_hash=study.config_hash,
                data_cutoff=study.data_cutoff,
                analysis_set=study.analysis_set,
                focal=focal,
                baseline=baseline,
                scope=scope,
                scope_value=None if scope == "all" else value,
                ci_level=rules.level,
                n_planned=counts[0],
                n_void=counts[1],
                flags=("no_data",) if chosen else ("no_data", "missing_arm"),
            )
            rows.append(estimated(row, part, rules) if part.size else row)
    return rows


def _planned(slots: Sequence[Planned] | None, scope: Scope) -> tuple[Counter[str], Counter[str]]:
    """Planned and void comparisons by scope value."""
    labelled = [("" if scope == "all" else str(getattr(slot, scope)), slot.void) for slot in slots or ()]
    return Counter(label for label, _ in labelled), Counter(label for label, void in labelled if void)


def estimated(row: Row, sample: Sample, rules: Rules) -> Row:
    """The row with every estimate of a non-empty sample."""
    people = cluster(sample.scores, sample.participants)
    one_way = clustered(people, rules.level)
    crossed = two_way(sample, one_way, rules.level) if rules.interval == "two_way" else None
    row = replace(
        row,
        n_participants=people.count,
        n_questions=distinct(sample.questions),
        **_counts(sample, rules.level, row.n_void),
        **_one_way(one_way, row.scope == "all"),
        **_crossed(crossed, row.scope == "all"),
        **_people(people, rules.level, row.scope == "all"),
        **_position(sample, rules.level),
        icc=icc(sample.scores, sample.participants),
        deff=design_effect(one_way.variance, sample.scores) if one_way else None,
    )
    return replace(row, flags=_flags(row, rules))


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


def _flags(row: Row, rules: Rules) -> tuple[str, ...]:
    """What a reader must know before using the row's numbers."""
    rate, own, error = row.win_rate, row.macro_win_rate, row.se_cr2
    bank = row.n_questions if rules.bank_size is None else rules.bank_size
    raised = {
        "single_participant": row.n_participants == 1,
        "few_participants": row.n_participants < FEW_PARTICIPANTS,
        "low_df": row.df is not None and row.df < LOW_DF,
        "degenerate": row.ci_method == "participant_clopper_pearson",
        "micro_macro_differ": None not in (rate, own, error) and abs((rate or 0) - (own or 0)) > (error or 0) + 1e-12,
        "few_questions": row.scope == "all" and bank < FEW_QUESTIONS,
    }
    return tuple(name for name, holds in raised.items() if holds)


def _adjusted(rows: Sequence[Row], primary: Collection[tuple[str, str]]) -> list[Row]:
    """Holm over the headline p-values of the primary comparisons at scope all."""
    family = [i for i, row in enumerate(rows) if row.scope == "all" and (row.focal, row.baseline) in primary]
    adjusted = dict(zip(family, holm([rows[i].headline_p for i in family]), strict=True))
    return [replace(row, p_holm=adjusted[i]) if i in adjusted else row for i, row in enumerate(rows)]
