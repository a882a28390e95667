"""What a release or an archive says, checked against itself: seats, counts, main table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from annotations.plan import seal_of, seat_digest
from annotations.winrate import Outcome, OutcomeError, Planned, table
from annotations.winrate import Study as Place
from studyapp.exports.formats import MISSING
from studyapp.verify.findings import Finding, Source, few

# The analysis sets made here again: everybody's judgments, of real people and of simulated ones.
SETS = {"itt": False, "itt_simulated": True}
TOLERANCE = 1e-9
TOLD = ("study_id", "config_hash", "data_cutoff", "flags")
SCORES = {"tie": 0.5}


def seats(source: Source) -> Finding:
    """Every plan against its digest where the salt is told, and all digests against the seal."""
    told, wrong, digests = source.manifest["seats"], [], []
    salt, number = told.get("salt"), 0
    for number, row in enumerate(source.rows("seats"), start=1):
        digests.append(str(row["digest"]))
        plan = json.loads(row["plan"]) if isinstance(row["plan"], str) else row["plan"]
        if int(row["seat"]) != number:
            wrong.append(f"seat {row['seat']} stands where seat {number} should")
        elif salt is not None and seat_digest(number, plan, salt) != row["digest"]:
            wrong.append(f"seat {number}: its plan is not the one that was drawn")
    if (told.get("seal") or None) != (seal_of(digests) if digests else None):
        wrong.append(f"the seal is {told.get('seal')!r}, the seats give {seal_of(digests)!r}")
    how = "plans, digests and seal" if salt is not None else "digests and seal; plans are blinded"
    return Finding("seats", f"{number} seats, {how} {str(told.get('seal'))[:16]}", few(wrong))


def counts(source: Source) -> Finding:
    """Judgments and comparisons belong together, everybody is known, and the totals are the manifest's."""
    told, wrong = source.manifest["counts"], []
    people: dict[str, str] = {str(row["participant"]): str(row["state"]) for row in source.rows("participants")}
    pairs: dict[str, str] = {}
    for row in source.rows("comparisons"):
        name = str(row["comparison"])
        wrong += [f"comparison {name} is there twice"] * (name in pairs)
        wrong += [f"comparison {name} is of nobody: {row['participant']}"] * (row["participant"] not in people)
        pairs[name] = str(row["state"])
    judged: Counter[str] = Counter()
    for row in source.rows("judgments"):
        judged[str(row["comparison"])] += 1
        wrong += [f"a judgment of comparison {row['comparison']} is of nobody"] * (row["participant"] not in people)
    wrong += [f"comparison {n} has {k} judgments" for n, k in judged.items() if k > 1]
    wrong += [f"comparison {n} is {s} and has a judgment" for n, s in pairs.items() if s != "judged" and n in judged]
    lacking = (name for name, state in pairs.items() if state == "judged" and name not in judged)
    wrong += [f"comparison {name} is judged and has no judgment" for name in lacking]
    wrong += [f"a judgment is of comparison {n}, which is not there" for n in judged if n not in pairs]
    known = {k: v for k, v in told.get("participants", {}).items() if k != "withdrawn"}
    for name, found, said in (
        ("participants by state", dict(Counter(people.values())), known),
        ("comparisons by state", dict(Counter(pairs.values())), told.get("comparisons", {})),
        ("judgments", judged.total(), told.get("judgments")),
    ):
        wrong += [f"{name}: {found}, the manifest says {said}"] * (found != said)
    return Finding("counts", f"{len(people)} people, {len(pairs)} comparisons, {judged.total()} judgments", few(wrong))


def main_table(source: Source) -> Finding:
    """The win rates made again from judgments and comparisons."""
    if source.manifest["blinded"]:
        return Finding("main table", "blinded: there is none yet")
    told = [row for row in source.win_rates() if row["analysis_set"] in SETS and row["scope"] in ("all", "domain")]
    wrong = [] if told else ["results/win_rates.csv has no rows"]
    made: dict[tuple[str, ...], dict[str, Any]] = {}
    for name, simulated in SETS.items():
        rows = [row for row in told if row["analysis_set"] == name]
        if rows:
            made |= _made(source, name, simulated, sorted({r["scope_value"] for r in rows if r["scope"] == "domain"}))
    for row in told:
        where = (row["analysis_set"], row["focal"], row["baseline"], row["scope"], row["scope_value"])
        if where not in made:
            wrong.append(f"{' '.join(where)}: the data have no such row")
        else:
            wrong += [f"{' '.join(where)}: {line}" for line in _differences(row, made[where])]
    others = len(source.win_rates()) - len(told)
    more = f"; {others} rows of other analysis sets are not made again" if others else ""
    return Finding("main table", f"{len(told)} rows made again from the data{more}", few(wrong))


def _made(source: Source, name: str, simulated: bool, domains: Sequence[str]) -> dict[tuple[str, ...], dict[str, Any]]:
    about = source.manifest["analysis"]
    try:
        rows = table(
            _outcomes(source, simulated),
            comparisons=about["comparisons"],
            primary=about["primary"],
            scopes=("all", "domain"),
            domains=domains,
            planned=_planned(source, simulated),
            study=Place(analysis_set=name),
            alpha=about["alpha"],
            interval=about["interval"],
            min_df=about["min_df"],
        )
    except OutcomeError:
        return {}
    found = [row.to_json() for row in rows]
    return {(name, r["focal"], r["baseline"], r["scope"], r["scope_value"] or MISSING): r for r in found}


def _outcomes(source: Source, simulated: bool) -> Iterator[Outcome]:
    for row in source.rows("judgments"):
        if row["kind"] == "arms" and row["simulated"] is simulated:
            first = row["a_is_first"] is True
            yield Outcome(
                participant=row["participant"],
                question=row["question"],
                comparison=f"{row['arm_a']}>{row['arm_b']}",
                score=SCORES.get(row["choice"], float((row["choice"] == "first") == first)),
                focal_first=first,
                domain=row["domain"],
            )


def _planned(source: Source, simulated: bool) -> Iterator[Planned]:
    for row in source.rows("comparisons"):
        if row["kind"] == "arms" and row["simulated"] is simulated:
            name = f"{row['arm_a']}>{row['arm_b']}"
            yield Planned(row["question"], name, row["domain"], void=row["state"] == "void")


def _differences(told: dict[str, str], made: dict[str, Any]) -> list[str]:
    wrong = []
    for name, said in told.items():
        if name in TOLD or name not in made or isinstance(made[name], (list, tuple)):
            continue
        value = made[name]
        if said == MISSING or value is None:
            same = said == MISSING and value is None
        elif isinstance(value, str):
            same = said == value
        else:
            same = abs(float(said) - value) <= TOLERANCE
        if not same:
            wrong.append(f"{name} is {said}, the data give {value}")
    return wrong
