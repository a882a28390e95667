"""Rebuild this release's table of win rates from its data files, and fail where a number differs.

    python analysis.py [FOLDER]

needs numpy and scipy alone (a release in Parquet also pyarrow). Nothing of the program that made the release is used:
scores are made again from choices and sides, and every estimate is derived here once more.

Win rate: mean score of the treatment, win 1, tie 1/2, loss 0. Variance: CR2 (Bell and McCaffrey 2002) clustered by
participant, written as the sandwich of an intercept-only regression; degrees of freedom by Satterthwaite. Two-way:
Cameron, Gelbach and Miller (2011) over participants and questions, never narrower than by participant. Intervals:
Student's t on the logit scale. p-values test one half; Holm (1979) over the primary comparisons.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

TOLERANCE = 1e-9
csv.field_size_limit(2**24)
SETS = {"itt": False, "itt_simulated": True}
SHARED = 5
COUNTS = ("n_participants", "n_judgments", "n_questions", "wins", "ties", "losses", "n_planned", "n_void")
NUMBERS = (
    "win_rate", "win_rate_decisive", "se_cr2", "df", "ci_low", "ci_high", "p_value", "ci_twoway_low", "ci_twoway_high",
    "p_twoway", "p_holm",
)  # fmt: skip


# --- reading ----------------------------------------------------------------------------------------------------------
def rows_of(folder: Path, manifest: dict[str, Any], table: str) -> Iterator[dict[str, Any]]:
    """The rows of a table with true, false and None for themselves; other values as the file has them."""
    (name,) = (name for name, about in manifest["files"].items() if about.get("table") == table)
    path = folder / name
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines):
                yield {key: {"NA": None, "true": True, "false": False}.get(value, value) for key, value in row.items()}
    elif path.suffix == ".jsonl":
        with path.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)
    else:
        try:
            import pyarrow.parquet as parquet
        except ImportError:
            sys.exit("This release is in Parquet, which needs pyarrow: pip install pyarrow")
        for batch in parquet.ParquetFile(path).iter_batches():
            yield from batch.to_pylist()


def published(folder: Path) -> list[dict[str, str]]:
    """The rows of the table of win rates that this program rebuilds."""
    with (folder / "results" / "win_rates.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return [row for row in rows if row["analysis_set"] in SETS and row["scope"] in ("all", "domain")]


# --- estimates --------------------------------------------------------------------------------------------------------
def sandwich(score: Any, cluster: Any) -> tuple[float, float]:
    """CR2 variance and Satterthwaite degrees of freedom of an intercept, by the general matrix formulas.

    With X a column of ones: e the residuals, A_g = (I - H_gg)^(-1/2), v_g = A_g 1 / N. V = sum_g (v_g' e_g)^2;
    under independent errors the p_g = (I - H) v_g have inner products P_gh, and nu = (tr P)^2 / sum_gh P_gh^2.
    """
    total = len(score)
    _, code = np.unique(cluster, return_inverse=True)
    size = np.bincount(code).astype(float)
    residual = np.bincount(code, weights=score - score.mean())
    adjust = 1 / np.sqrt(1 - size / total)  # A_g only stretches the direction of the ones
    variance = float(np.sum((adjust * residual / total) ** 2))
    length, along = size * adjust**2 / total**2, size * adjust / total
    diagonal = length - along**2 / total
    others = (np.sum(along**2) ** 2 - np.sum(along**4)) / total**2
    return variance, float(diagonal.sum() ** 2 / (np.sum(diagonal**2) + others))


def cells(score: Any, person: Any, question: Any) -> float:
    """Variance clustered by participant and question together, N_c / (N_c - 1)."""
    _, code = np.unique(np.stack([person, question]), axis=1, return_inverse=True)
    sums = np.bincount(code.reshape(-1), weights=score - score.mean())
    return float(len(sums) / (len(sums) - 1) * np.sum(sums**2) / len(score) ** 2)


def on_logit(rate: float, variance: float, df: float, level: float) -> tuple[float, float, float]:
    """Interval and p-value against one half, Student's t on the logit scale."""
    centre, error = math.log(rate / (1 - rate)), math.sqrt(variance) / (rate * (1 - rate))
    reach = stats.t.ppf((1 + level) / 2, df) * error
    low, high = (1 / (1 + math.exp(-(centre + sign * reach))) for sign in (-1, 1))
    return low, high, float(2 * stats.t.sf(abs(centre / error), df))


def exact(rate: float, people: int, level: float) -> tuple[float, float, float | None]:
    """Clopper-Pearson on participants, where there is no variance between them."""
    won, tail = rate * people, (1 - level) / 2
    low = 0.0 if won <= 0 else float(stats.beta.ppf(tail, won, people - won + 1))
    high = 1.0 if won >= people else float(stats.beta.ppf(1 - tail, won + 1, people - won))
    p = 2 * 0.5**people if rate in (0.0, 1.0) else 1.0 if rate == 0.5 else None
    return low, high, p


def estimate(score: Any, person: Any, question: Any, level: float, two_way: bool) -> dict[str, Any]:
    """Every rebuilt column of a row with judgments."""
    people, rate = len(np.unique(person)), float(score.mean())
    wins, losses = int((score == 1).sum()), int((score == 0).sum())
    found: dict[str, Any] = {
        "n_participants": people, "n_judgments": len(score), "n_questions": len(np.unique(question)),
        "wins": wins, "ties": len(score) - wins - losses, "losses": losses, "win_rate": rate,
        "win_rate_decisive": wins / (wins + losses) if wins + losses else None,
    }  # fmt: skip
    if people < 2:
        return found
    variance, df = sandwich(score, person)
    found["df"] = df
    _, code = np.unique(person, return_inverse=True)
    means = np.bincount(code, weights=score) / np.bincount(code)
    if np.ptp(means) < 1e-12:
        low, high, p = exact(float(means[0]), people, level)
        return {**found, "se_cr2": 0.0, "ci_low": low, "ci_high": high, "p_value": p}
    low, high, p = on_logit(rate, variance, df, level)
    found |= {"se_cr2": math.sqrt(variance), "ci_low": low, "ci_high": high, "p_value": p}
    asked = np.unique(np.stack([person, question]), axis=1)[1]
    if two_way and (np.unique(asked, return_counts=True)[1] >= 2).sum() >= SHARED:
        by_question, other_df = sandwich(score, question)
        both = max(variance + by_question - cells(score, person, question), variance, by_question)
        low, high, p = on_logit(rate, both, min(df, other_df), level)
        found |= {"ci_twoway_low": low, "ci_twoway_high": high, "p_twoway": p}
    return found


def holm(ps: dict[int, float | None]) -> dict[int, float]:
    """Step-down adjusted p-values; a missing one is not in the family."""
    ranked = sorted((p, key) for key, p in ps.items() if p is not None)
    adjusted, highest = {}, 0.0
    for rank, (p, key) in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * p))
        adjusted[key] = highest
    return adjusted


# --- the table --------------------------------------------------------------------------------------------------------
def scored(rows: Iterable[dict[str, Any]]) -> dict[tuple[Any, ...], list[tuple[float, str, str]]]:
    """(score, participant, question) of the main judgments by (simulated, treatment, baseline, domain)."""
    found: dict[tuple[Any, ...], list[tuple[float, str, str]]] = {}
    for row in rows:
        if row["kind"] != "arms":
            continue
        score = 0.5 if row["choice"] == "tie" else float((row["choice"] == "first") == row["a_is_first"])
        key = (row["simulated"], row["arm_a"], row["arm_b"], row["domain"])
        found.setdefault(key, []).append((score, row["participant"], row["question"]))
    return found


def rebuilt(folder: Path, manifest: dict[str, Any], wanted: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The wanted rows, from the data files."""
    judged = scored(rows_of(folder, manifest, "judgments"))
    planned: Counter[tuple[Any, ...]] = Counter()
    void: Counter[tuple[Any, ...]] = Counter()
    for row in rows_of(folder, manifest, "comparisons"):
        if row["kind"] == "arms":
            key = (row["simulated"], row["arm_a"], row["arm_b"], row["domain"])
            planned[key] += 1
            void[key] += row["state"] == "void"
    tables = []
    for row in wanted:
        here = (SETS[row["analysis_set"]], row["focal"], row["baseline"])
        fits = [k for k in planned if k[:3] == here and (row["scope"] == "all" or k[3] == row["scope_value"])]
        counts = {"n_planned": sum(planned[k] for k in fits), "n_void": sum(void[k] for k in fits)}
        parts = [judgment for k in fits for judgment in judged.get(k, [])]
        if not parts:
            tables.append(dict.fromkeys(COUNTS[:6], 0) | counts)
            continue
        columns = [np.array(part) for part in zip(*parts, strict=True)]
        codes = [np.unique(part, return_inverse=True)[1] for part in columns[1:]]
        two_way = manifest["analysis"]["interval"] == "two_way"
        found = estimate(columns[0], codes[0], codes[1], float(row["ci_level"]), two_way)
        least = manifest["analysis"].get("min_df")
        if row["scope"] != "all" or (least is not None and found.get("df", least) < least):
            found |= {"p_value": None, "p_twoway": None}
        tables.append(found | counts)
    _adjust(tables, wanted, manifest["analysis"]["primary"])
    return tables


def _adjust(tables: list[dict[str, Any]], wanted: list[dict[str, str]], primary: list[str]) -> None:
    for group in SETS:
        family = {
            number: tables[number].get("p_twoway", tables[number].get("p_value"))
            for number, row in enumerate(wanted)
            if row["analysis_set"] == group and row["scope"] == "all" and f"{row['focal']}>{row['baseline']}" in primary
        }
        for number, p in holm(family).items():
            tables[number]["p_holm"] = p


def differences(row: dict[str, str], found: dict[str, Any]) -> list[str]:
    """What the release says otherwise than its data."""
    wrong = []
    for name in (*COUNTS, *NUMBERS):
        said, value = row[name], found.get(name)
        if said == "NA" or value is None:
            same = said == "NA" and value is None
        else:
            same = abs(float(said) - value) <= TOLERANCE
        if not same:
            wrong.append(f"{name} is {said}, the data give {value}")
    return wrong


def main(folder: Path) -> int:
    """Print the table; 1 where a number differs."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    if manifest["blinded"]:
        print("This release is blinded: there is no table of win rates yet.")
        return 0
    wanted, failed = published(folder), 0
    for row, found in zip(wanted, rebuilt(folder, manifest, wanted), strict=True):
        name = f"{row['analysis_set']}: {row['focal']} > {row['baseline']}"
        name += "" if row["scope"] == "all" else f", {row['scope']} {row['scope_value']}"
        rate = found.get("win_rate")
        low = found.get("ci_twoway_low", found.get("ci_low"))
        high = found.get("ci_twoway_high", found.get("ci_high"))
        shown = "no data" if rate is None else f"{rate:.4f}"
        shown += "" if low is None else f" [{low:.4f}, {high:.4f}]"
        print(f"{name}: {shown}, {found['n_participants']} people, {found['n_judgments']} judgments")
        for line in differences(row, found):
            failed = 1
            print(f"  DIFFERS: {line}")
    print("The table differs from the data." if failed else f"All {len(wanted)} rows agree with the data.")
    return failed


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent))
