"""The win-rate table's row: every column of the specification, in its order, None where not available."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from annotations.winrate.interval import Method

Scope = Literal["all", "domain", "question"]
Headline = Literal["two_way", "participant"]


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


@dataclass(frozen=True, slots=True)
class Study:
    """What a row says about where its data come from; `data_cutoff` is an ISO-8601 UTC time, `flags` are added."""

    study_id: str | None = None
    config_hash: str | None = None
    data_cutoff: str | None = None
    analysis_set: str = "itt"
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: an analysis set, a comparison, a scope. Rates and p-values are fractions, `se` on the rate's scale."""

    study_id: str | None
    config_hash: str | None
    data_cutoff: str | None
    analysis_set: str
    focal: str
    baseline: str
    scope: Scope
    scope_value: str | None
    n_participants: int = 0
    n_judgments: int = 0
    n_questions: int = 0
    wins: int = 0
    ties: int = 0
    losses: int = 0
    win_rate: float | None = None
    se_cr2: float | None = None
    df: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    ci_level: float = 0.95
    ci_method: Method = "none"
    p_value: float | None = None
    p_holm: float | None = None
    win_rate_decisive: float | None = None
    n_decisive: int = 0
    macro_win_rate: float | None = None
    macro_se: float | None = None
    macro_ci_low: float | None = None
    macro_ci_high: float | None = None
    icc: float | None = None
    deff: float | None = None
    ci_twoway_low: float | None = None
    ci_twoway_high: float | None = None
    wilson_iid_low: float | None = None
    wilson_iid_high: float | None = None
    sign_test_k: int = 0
    sign_test_n: int = 0
    sign_test_p: float | None = None
    focal_first_n: int = 0
    first_share: float | None = None
    first_share_p: float | None = None
    position_balanced_win_rate: float | None = None
    loo_min: float | None = None
    loo_max: float | None = None
    n_planned: int | None = None
    n_void: int | None = None
    bound_low: float | None = None
    bound_high: float | None = None
    p_twoway: float | None = None
    headline_ci: Headline = "participant"
    flags: tuple[str, ...] = ()

    @property
    def headline_p(self) -> float | None:
        """The p-value that goes with the headline interval."""
        return self.p_twoway if self.headline_ci == "two_way" else self.p_value

    @property
    def headline(self) -> tuple[float, float] | None:
        """The headline interval (low, high)."""
        if self.headline_ci == "participant":
            return self.participant_interval
        return _pair(self.ci_twoway_low, self.ci_twoway_high)

    @property
    def participant_interval(self) -> tuple[float, float] | None:
        """The interval clustered by participant alone: for these questions only (low, high)."""
        return _pair(self.ci_low, self.ci_high)

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order; flags as a list."""
        return {**asdict(self), "flags": list(self.flags)}


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Row))
