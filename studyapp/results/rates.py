"""The win-rate table of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.utils import timezone

from annotations.winrate import Row, table
from annotations.winrate import Study as Place
from annotations.winrate.columns import Judgments, Plan
from annotations.winrate.rows import Scope
from studyapp.models import Question, Study
from studyapp.protocol import Protocol
from studyapp.results import reading
from studyapp.results.sets import ITT, SIMULATED_MARK, AnalysisSet, analysis_sets, groups, require_unblinded

REAL, SIMULATED = ITT, ITT + SIMULATED_MARK


@dataclass(frozen=True, slots=True)
class Judged:
    """The judgments and the plan of one analysis set of one group of people, real or simulated."""

    name: str
    judgments: Judgments
    plan: Plan
    flags: tuple[str, ...]
    is_primary: bool


def win_rates(study: Study, *, by: Scope | None = None, every_set: bool = False) -> list[Row]:
    """The win-rate table of every judgment of every consenting person who did not withdraw (intention to treat).

    `by` adds a row a domain or question, `every_set` the rows of the other analysis sets. Simulated people never mix
    with real ones: they are analysis sets of their own, and without real people the only ones. Raises StudyError
    before unblinding.
    """
    require_unblinded(study)
    return [row for judged in judged_sets(study, every_set=every_set) for row in rates(study, judged, by)]


def judged_sets(study: Study, *, every_set: bool = True) -> list[Judged]:
    """What the tables are made of: intention to treat first, then the other sets; real people first."""
    sets = analysis_sets(study) if every_set else [AnalysisSet(ITT, {})]
    found = []
    for simulated in groups(study):
        everybody, plan, owners = reading.pairs(study, simulated)
        for one in sets:
            name = one.name + SIMULATED_MARK if simulated else one.name
            kept = everybody.of_participants(lambda code, gone=one.without: code not in gone)  # type: ignore[misc]
            planned = plan.where(~np.isin(owners, list(one.without.values()))) if one.without else plan
            found.append(Judged(name, kept, planned, one.flags, one.name == ITT))
    return found


def declared(spec: Protocol) -> list[str]:
    """The comparisons of a protocol, each once."""
    return list(dict.fromkeys(comparison.name for comparison in spec.comparisons))


def rates(study: Study, judged: Judged, by: Scope | None) -> list[Row]:
    """The rows of one analysis set; p-values for intention to treat only."""
    spec = study.spec
    asked = Question.objects.filter(study=study, use=Question.Use.JUDGE).order_by("key")
    scopes: Sequence[Scope] = ("all", by) if by else ("all",)
    return table(
        judged.judgments,
        comparisons=declared(spec),
        primary=spec.primary,
        scopes=scopes,
        domains=sorted(set(asked.values_list("domain", flat=True))),
        questions=list(asked.values_list("key", flat=True)),
        planned=judged.plan,
        study=Place(
            study_id=study.slug,
            config_hash=study.protocol_hash,
            data_cutoff=timezone.now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            analysis_set=judged.name,
            flags=judged.flags,
        ),
        alpha=spec.analysis.alpha,
        interval=spec.analysis.interval,
        bank_size=asked.count(),
        tested=judged.is_primary,
        min_df=spec.analysis.min_df,
    )
