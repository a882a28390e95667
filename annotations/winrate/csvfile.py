"""Judgments collected elsewhere: a CSV file into columns, or every fault of it with its line. Nothing is coerced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from annotations.winrate.columns import Judgments, Labels, Plan
from annotations.winrate.csvfaults import Fault, faults_of
from annotations.winrate.csvrules import (
    KNOWN,
    MISSING,
    NUMBERS,
    OUTCOMES,
    TEXTS,
    TREATMENT,
    fault_in_header,
    sound_number,
    sound_text,
)
from annotations.winrate.sample import Codes, Floats, Mask

SHOWN = 20


class CsvError(ValueError):
    """A file that cannot be used. `faults`: each with its line, in order."""

    def __init__(self, path: Path, faults: Sequence[Fault]) -> None:
        lines = [f"{path}, {fault}" for fault in faults[:SHOWN]]
        if len(faults) > SHOWN:
            lines.append(f"and {len(faults) - SHOWN} more; mend these first")
        super().__init__("\n".join(lines))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a file holds: judgments, and the plan (with the void comparisons) where the column `void` is given."""

    judgments: Judgments
    plan: Plan | None

    @property
    def comparisons(self) -> tuple[str, ...]:
        """Every "treatment>baseline" of the file, in order of first appearance."""
        return self.judgments.comparisons.names


def read_csv(path: Path) -> Collected:
    """Read judgments from a UTF-8 CSV file with a header line.

    Columns: participant, question, baseline, outcome (win, tie, loss of the treatment); optional treatment, domain,
    treatment_first (0/1), position, strength, treatment_words, baseline_words, dyad, void (0/1). Optional values may
    be empty or NA. Raises `CsvError` with every fault: an unknown outcome, an empty or NaN value, a bad header or
    encoding, a row given twice (same participant, question, treatment, baseline and position).
    """
    fast = _fast(path)
    if fast is None:
        raise CsvError(path, faults_of(path))
    return fast


def _fast(path: Path) -> Collected | None:
    """The columns of a file without fault; None where any rule is broken. Every rule of `csvfaults` is here too."""
    try:
        table = pacsv.read_csv(
            path,
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in KNOWN},
                strings_can_be_null=False,
                null_values=[],
                quoted_strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, OSError):
        return None
    if fault_in_header(table.column_names) or not table.num_rows or _has_null_bytes(path):
        return None
    columns = {name: _labels(table.column(name)) for name in table.column_names}
    return _collected(columns, table.num_rows) if _sound(columns) else None


def _has_null_bytes(path: Path) -> bool:
    with path.open("rb") as file:
        return any(b"\0" in block for block in iter(lambda: file.read(1 << 20), b""))


def _labels(column: pa.ChunkedArray) -> Labels:
    merged = column.unify_dictionaries().combine_chunks()
    if isinstance(merged, pa.ChunkedArray):
        merged = merged.chunk(0)
    codes = merged.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    return Labels(codes, tuple(merged.dictionary.to_pylist()))


def _sound(columns: dict[str, Labels]) -> bool:
    texts = all(sound_text(name, value) for name in TEXTS if name in columns for value in columns[name].names)
    numbers = all(sound_number(name, value) for name in NUMBERS if name in columns for value in columns[name].names)
    return texts and numbers and _sound_outcomes(columns) and not _twice(columns) and not _against_itself(columns)


def _sound_outcomes(columns: dict[str, Labels]) -> bool:
    """Void rows have no outcome, all others a known one."""
    void, outcome = _void(columns), columns["outcome"]
    known = np.array([value in OUTCOMES for value in outcome.names], dtype=np.bool_)[outcome.codes]
    blank = np.array([value in MISSING for value in outcome.names], dtype=np.bool_)[outcome.codes]
    return bool(np.where(void, blank, known).all())


def _void(columns: dict[str, Labels]) -> Mask:
    if "void" not in columns:
        return np.zeros(len(columns["outcome"].codes), dtype=np.bool_)
    return np.array([value == "1" for value in columns["void"].names], dtype=np.bool_)[columns["void"].codes]


def _twice(columns: dict[str, Labels]) -> bool:
    """Whether a row with a position is given twice."""
    if "position" not in columns:
        return False
    placed = ~np.isnan(_numbers(columns["position"]))
    keys = [columns[n].codes[placed] for n in ("participant", "question", "treatment", "baseline") if n in columns]
    keys.append(_numbers(columns["position"])[placed].astype(np.int64))
    order = np.lexsort(keys)
    same = np.ones(max(len(order) - 1, 0), dtype=np.bool_)
    for key in keys:
        same &= key[order][1:] == key[order][:-1]
    return bool(same.any())


def _against_itself(columns: dict[str, Labels]) -> bool:
    return any(">" in name or focal == baseline for name, focal, baseline in _pairs(columns)[1])


def _pairs(columns: dict[str, Labels]) -> tuple[Codes, list[tuple[str, str, str]]]:
    """The comparison of every row (N,), and (arms joined, treatment, baseline) of every comparison."""
    baseline = columns["baseline"]
    focal = columns.get("treatment", Labels(np.zeros_like(baseline.codes), (TREATMENT,)))
    width = len(baseline.names)
    keys, first, codes = np.unique(focal.codes * width + baseline.codes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    named = [(focal.names[key // width], baseline.names[key % width]) for key in keys[order]]
    return place[codes], [(one + two, one, two) for one, two in named]


def _numbers(labels: Labels) -> Floats:
    values = [np.nan if value in MISSING else float(value) for value in labels.names]
    return np.array(values, dtype=np.float64)[labels.codes]


def _collected(columns: dict[str, Labels], size: int) -> Collected:
    nothing: Floats = np.full(size, np.nan)
    blank = Labels(np.zeros(size, dtype=np.int64), ("",))
    codes, pairs = _pairs(columns)
    void = _void(columns)
    comparisons = Labels(codes, tuple(f"{one}>{two}" for _, one, two in pairs))
    domains = _unnamed(columns.get("domain", blank))
    outcome = columns["outcome"]
    scores = np.array([OUTCOMES.get(value, np.nan) for value in outcome.names], dtype=np.float64)[outcome.codes]
    number = {name: _numbers(columns[name]) if name in columns else nothing for name in NUMBERS}
    judgments = Judgments(
        scores=scores,
        participants=columns["participant"],
        questions=columns["question"],
        comparisons=comparisons,
        domains=domains,
        dyads=_without_missing(columns["dyad"]) if "dyad" in columns else Labels(np.full(size, -1), ()),
        first=number["treatment_first"],
        position=number["position"],
        strength=number["strength"],
        treatment_words=number["treatment_words"],
        baseline_words=number["baseline_words"],
        wait_s=nothing,
        shots=nothing,
        identical=nothing,
    )
    plan = Plan(judgments.questions, comparisons, domains, void) if "void" in columns else None
    return Collected(judgments.where(~void) if void.any() else judgments, plan)


def _unnamed(domains: Labels) -> Labels:
    """A missing domain has the empty name."""
    names = tuple("" if value in MISSING else value for value in domains.names)
    merged = Labels.of(names)
    return Labels(merged.codes[domains.codes], merged.names)


def _without_missing(labels: Labels) -> Labels:
    gone = np.array([value in MISSING for value in labels.names], dtype=np.bool_)
    return Labels(np.where(gone[labels.codes], -1, labels.codes), labels.names)
