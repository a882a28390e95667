"""Every table of a study's results by name, as rows of plain values with an explicit header."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from annotations.winrate import COLUMNS, Row
from annotations.winrate.analysis import PRIMARY_COLUMNS, Beside, beside
from annotations.winrate.contrasts import CONTRAST_COLUMNS
from annotations.winrate.fidelity import fidelity
from annotations.winrate.margins import MARGIN_COLUMNS
from annotations.winrate.measures import MEASURE_COLUMNS
from annotations.winrate.people import PERSON_COLUMNS
from annotations.winrate.reliability import calibration_alpha, controls, retest
from annotations.winrate.rows import Scope
from annotations.winrate.systems import ABILITY_COLUMNS
from studyapp.making import by_arm
from studyapp.models import Event, Exclusion, Study
from studyapp.results import people
from studyapp.results.flow import STEP_COLUMNS, flow
from studyapp.results.rates import Judged, declared, judged_sets, rates, win_rates
from studyapp.results.sets import SIMULATED_MARK, groups, require_unblinded
from studyapp.services.looks import LOOKED

Rows = list[dict[str, Any]]
SET = "analysis_set"
EXCLUSION_COLUMNS = ("rule", "participant", "simulated", "metric", "op", "threshold", "measured", "post_hoc", "at")
MAKING_COLUMNS = (
    "arm", "purpose", "texts", "ready", "failed", "attempts", "words", "rejected", "flags", "void", "tries",
)  # fmt: skip
LOOK_COLUMNS = ("at", "comparison", "n_participants", "low", "high", "level")
# name -> columns, in the order of printing
TABLES: dict[str, tuple[str, ...]] = {
    "rates": COLUMNS,
    "primary": (SET, *PRIMARY_COLUMNS),
    "margins": (SET, *MARGIN_COLUMNS),
    "contrasts": (SET, *CONTRAST_COLUMNS),
    "measures": (SET, *MEASURE_COLUMNS),
    "abilities": (SET, *ABILITY_COLUMNS),
    "people": (SET, *PERSON_COLUMNS),
    "reliability": (SET, *MEASURE_COLUMNS),
    "fidelity": (SET, *MEASURE_COLUMNS),
    "making": MAKING_COLUMNS,
    "flow": STEP_COLUMNS,
    "exclusions": EXCLUSION_COLUMNS,
    "looks": LOOK_COLUMNS,
}


class _Row(Protocol):
    def to_json(self) -> dict[str, Any]: ...


def tables(
    study: Study, *, by: Scope | None = None, rates_only: bool = False, sets: Sequence[Judged] | None = None
) -> dict[str, Rows]:
    """Every table of `TABLES`, or the win rates of every analysis set alone. Raises StudyError before unblinding.

    sets: what `judged_sets` read before, for those who need it themselves.
    """
    require_unblinded(study)
    if rates_only:
        return {"rates": [row.to_json() for row in win_rates(study, by=by, every_set=True)]}
    found: dict[str, Rows] = {name: [] for name in TABLES}
    for judged in judged_sets(study) if sets is None else sets:
        rows = rates(study, judged, by)
        found["rates"] += [row.to_json() for row in rows]
        for name, plain in _beside(study, judged, rows).items():
            found[name] += plain
    for simulated in groups(study):
        name = "itt" + (SIMULATED_MARK if simulated else "")
        found["reliability"] += _named(name, _reliability(study, simulated))
        found["fidelity"] += _named(name, _fidelity(study, simulated))
    found["making"] = [row.to_json() for row in by_arm(study)]
    found["flow"] = [row.to_json() for row in flow(study)]
    found["exclusions"], found["looks"] = _exclusions(study), looks_taken(study)
    return found


def _named(name: str, rows: Iterable[_Row]) -> Rows:
    return [{SET: name, **row.to_json()} for row in rows]


def _beside(study: Study, judged: Judged, rows: Sequence[Row]) -> dict[str, Rows]:
    keys = study.spec.analysis
    found: Beside = beside(
        judged.judgments,
        rows,
        declared(study.spec),
        study.spec.primary,
        alpha=keys.alpha,
        interval=keys.interval,
        margin=keys.margin,
        sesoi=keys.sesoi,
    )
    return {
        "primary": _named(judged.name, found.primary) if judged.is_primary else [],
        "margins": _named(judged.name, found.margins),
        "contrasts": _named(judged.name, found.contrasts),
        "measures": _named(judged.name, found.measures),
        "abilities": _named(judged.name, found.abilities),
        "people": _named(judged.name, found.people) if judged.is_primary else [],
    }


def _reliability(study: Study, simulated: bool) -> list[_Row]:
    level = 1 - study.spec.analysis.alpha
    return [
        *retest(people.repeats(study, simulated), level),
        *controls(people.controls(study, simulated), level),
        calibration_alpha([], level),
    ]


def _fidelity(study: Study, simulated: bool) -> list[_Row]:
    level = 1 - study.spec.analysis.alpha
    repeated = [one for one in people.repeats(study, simulated) if one.subject == "labelled"]
    own = [row for row in retest(repeated, level) if row.subject == "labelled" and row.measure == "retest_agreement"]
    return [*fidelity(people.probes(study, simulated), people.choices(study, simulated), level), *own]


def _exclusions(study: Study) -> Rows:
    rows = Exclusion.objects.filter(study=study).select_related("participant").order_by("id")
    return [
        {
            "rule": row.rule,
            "participant": row.participant.code,
            "simulated": row.participant.simulated,
            "metric": row.metric,
            "op": row.op,
            "threshold": row.threshold,
            "measured": row.measured,
            "post_hoc": row.post_hoc,
            "at": row.decided_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        for row in rows
    ]


def looks_taken(study: Study) -> Rows:
    """Every look before unblinding, oldest first."""
    rows = Event.objects.filter(study=study, kind=LOOKED).order_by("id")
    return [
        {"at": row.at.strftime("%Y-%m-%dT%H:%M:%SZ"), **{name: row.data[name] for name in LOOK_COLUMNS[1:]}}
        for row in rows
    ]
