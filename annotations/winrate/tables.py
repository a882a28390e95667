"""The win-rate table: one row for every configured comparison and scope, whether judged or not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from annotations.winrate.columns import Judgments, Labels, Plan, judgments_of, plan_of
from annotations.winrate.estimates import Rules, estimated
from annotations.winrate.holm import holm
from annotations.winrate.records import Outcome, OutcomeError, Planned, split_comparison
from annotations.winrate.rows import Headline, Row, Scope, Study
from annotations.winrate.sample import Codes, Sample

NO_PLACES: Codes = np.array([], dtype=np.int64)


def table(
    outcomes: Iterable[Outcome] | Judgments,
    *,
    comparisons: Sequence[str],
    primary: Collection[str] = (),
    scopes: Sequence[Scope] = ("all",),
    domains: Sequence[str] | None = None,
    questions: Sequence[str] | None = None,
    planned: Iterable[Planned] | Plan | None = None,
    study: Study | None = None,
    alpha: float = 0.05,
    interval: Headline = "two_way",
    bank_size: int | None = None,
    tested: bool = True,
    min_df: float | None = None,
) -> list[Row]:
    """Rows in the order of comparisons, then scopes, then scope values.

    comparisons, primary: "focal>baseline"; Holm runs over the headline p-values of the primary ones (scope all).
    domains, questions: the configured scope values, which get a row even if empty (None: those in the data, sorted).
    planned: the plan's comparisons for `n_planned`, `n_void` and the bounds (None: those columns stay None).
    p-values are given for scope "all" only, where `tested`, and from `min_df` degrees of freedom on. Raises
    `OutcomeError` for an outcome of a comparison that is not listed and for a primary one that is not.
    """
    judged, plan = judgments_of(outcomes), plan_of(planned)
    _check(judged, comparisons, primary)
    rules = Rules(1 - alpha, interval, bank_size, tested, min_df)
    values: dict[Scope, Sequence[str]] = {
        "domain": sorted(set(judged.domains.names)) if domains is None else domains,
        "question": sorted(set(judged.questions.names)) if questions is None else questions,
    }
    rows: list[Row] = []
    for comparison in comparisons:
        listed = [(scope, values.get(scope, ("",))) for scope in scopes]
        rows.extend(_rows(judged.of_comparison(comparison), plan, comparison, listed, study or Study(), rules))
    return _adjusted(rows, {split_comparison(name) for name in primary})


def _check(judged: Judgments, comparisons: Sequence[str], primary: Collection[str]) -> None:
    occurring = {judged.comparisons.names[code] for code in np.unique(judged.comparisons.codes)}
    if unknown := occurring - set(comparisons):
        raise OutcomeError(f"judgments of {', '.join(sorted(unknown))}, which the table does not list")
    if unlisted := set(primary) - set(comparisons):
        raise OutcomeError(f"{', '.join(sorted(unlisted))} is primary but is no comparison of the table")


def _rows(
    chosen: Judgments,
    plan: Plan | None,
    comparison: str,
    scopes: Sequence[tuple[Scope, Sequence[str]]],
    study: Study,
    rules: Rules,
) -> Iterator[Row]:
    """All rows of one comparison."""
    focal, baseline = split_comparison(comparison)
    whole = chosen.sample()
    for scope, listed in scopes:
        counts = None if plan is None else plan.counts(comparison, _labels(plan, scope))
        for value, places in _parts(_labels(chosen, scope), listed, whole.size):
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
                n_planned=None if counts is None else counts[0].get(value, 0),
                n_void=None if counts is None else counts[1].get(value, 0),
                flags=(*_identical(chosen, places), *study.flags),
            )
            yield estimated(row, _taken(whole, places), rules) if len(places) else _empty(row, whole)


def _labels(columns: Judgments | Plan, scope: Scope) -> Labels | None:
    return {"all": None, "domain": columns.domains, "question": columns.questions}[scope]


def _parts(labels: Labels | None, listed: Sequence[str], size: int) -> Iterator[tuple[str, Codes]]:
    """(scope value, places of its judgments) in the order listed."""
    if labels is None:
        yield "", np.arange(size)
        return
    order = np.argsort(labels.codes, kind="stable")
    starts = np.searchsorted(labels.codes[order], np.arange(len(labels.names) + 1))
    places = {name: order[starts[code] : starts[code + 1]] for code, name in enumerate(labels.names)}
    for value in listed:
        yield value, places.get(value, NO_PLACES)


def _taken(sample: Sample, places: Codes) -> Sample:
    clusters = None if sample.clusters is None else sample.clusters[places]
    return Sample(
        sample.scores[places], sample.participants[places], sample.questions[places], sample.first[places], clusters
    )


def _identical(chosen: Judgments, places: Codes) -> tuple[str, ...]:
    """The flag that counts judgments of two identical texts; their recorded choice stands."""
    count = int((chosen.identical[places] == 1).sum())
    return (f"identical_texts={count}",) if count else ()


def _empty(row: Row, whole: Sample) -> Row:
    return replace(row, flags=(("no_data",) if whole.size else ("no_data", "missing_arm")) + row.flags)


def _adjusted(rows: Sequence[Row], primary: Collection[tuple[str, str]]) -> list[Row]:
    """Holm over the headline p-values of the primary comparisons at scope all."""
    family = [i for i, row in enumerate(rows) if row.scope == "all" and (row.focal, row.baseline) in primary]
    adjusted = dict(zip(family, holm([rows[i].headline_p for i in family]), strict=True))
    return [replace(row, p_holm=adjusted[i]) if i in adjusted else row for i, row in enumerate(rows)]
