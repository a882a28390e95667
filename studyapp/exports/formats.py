"""Columns to bytes: CSV for spreadsheets and R, JSONL for programs, Parquet for both. The same data, the same bytes.

Every writer takes a file's columns and the batches of `Table.batches`, holds one batch at a time (Parquet a row group)
and returns the number of rows.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from django.db.models import Func

from studyapp.exports.columns import Batch, Column, IsoTime, Kind, Microseconds

MISSING = "NA"
# A spreadsheet runs a cell that starts so as a formula (OWASP, CSV injection).
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
ARROW: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "whole number": pa.int64(),
    "number": pa.float64(),
    "true/false": pa.bool_(),
    "time": pa.timestamp("us", tz="UTC"),
    "list": pa.string(),
    "object": pa.string(),
}
GROUP_ROWS, GROUP_BYTES = 32_768, 8 * 1024**2


@dataclass(frozen=True, slots=True)
class Format:
    """A format: the end of its files' names, how it wants times, and its writer."""

    name: str
    time: type[Func]
    write: Callable[[Path, Sequence[Column], Iterable[Batch]], int]


def cell(value: str) -> str:
    """A text as a CSV cell: a formula, or a text that reads like a missing value, is defused by a quote."""
    return f"'{value}" if value.startswith(FORMULA_STARTS) or value == MISSING else value


def _text_cells(values: Sequence[Any]) -> list[Any]:
    return [MISSING if value is None else cell(value) for value in values]


def _flag_cells(values: Sequence[Any]) -> list[Any]:
    return [MISSING if value is None else "true" if value else "false" for value in values]


def _plain_cells(values: Sequence[Any]) -> list[Any]:
    return [MISSING if value is None else value for value in values]


CELLS: dict[Kind, Callable[[Sequence[Any]], list[Any]]] = {
    "text": _text_cells, "true/false": _flag_cells, "whole number": _plain_cells, "number": _plain_cells,
    "time": _plain_cells, "list": _text_cells, "object": _text_cells,
}  # fmt: skip


def write_csv(path: Path, columns: Sequence[Column], batches: Iterable[Batch]) -> int:
    """CSV (RFC 4180) with a header line: NA for missing, true and false, JSON for lists and objects."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\r\n")  # also makes the writer quote a bare CR
        writer.writerow([column.name for column in columns])
        for batch in batches:
            cells = [CELLS[column.kind](values) for column, values in zip(columns, batch, strict=True)]
            writer.writerows(zip(*cells, strict=True))
            count += len(batch[0])
    return count


def write_jsonl(path: Path, columns: Sequence[Column], batches: Iterable[Batch]) -> int:
    """One JSON object a line with every column; lists and objects stand nested."""
    names, count = [column.name for column in columns], 0
    nested = [number for number, column in enumerate(columns) if column.kind in ("list", "object")]
    encode = json.JSONEncoder(ensure_ascii=False).encode
    with path.open("w", encoding="utf-8", newline="\n") as out:
        for batch in batches:
            for number in nested:
                batch[number] = [None if value is None else json.loads(value) for value in batch[number]]
            out.writelines(encode(dict(zip(names, row, strict=True))) + "\n" for row in zip(*batch, strict=True))
            count += len(batch[0])
    return count


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """The Arrow types of a file; lists and objects are JSON text. A column's meaning travels with it."""
    return pa.schema([pa.field(c.name, ARROW[c.kind], metadata={"description": c.meaning}) for c in columns])


def write_parquet(path: Path, columns: Sequence[Column], batches: Iterable[Batch]) -> int:
    """Typed Parquet in row groups of about 32,768 rows or 8 MiB."""
    schema, count = schema_of(columns), 0
    held: list[pa.RecordBatch] = []
    with _plain_memory(), pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in batches:
            arrays = [_array(values, kind) for values, kind in zip(batch, schema.types, strict=True)]
            held.append(pa.record_batch(arrays, schema=schema))
            count += len(batch[0])
            if sum(part.num_rows for part in held) >= GROUP_ROWS or sum(part.nbytes for part in held) >= GROUP_BYTES:
                _flush(writer, held, schema)
        if held:
            _flush(writer, held, schema)
    return count


@contextmanager
def _plain_memory() -> Iterator[None]:
    """Arrow's own allocators keep what was freed: 20 MiB of the 300 that an export may take."""
    before = pa.default_memory_pool()
    pa.set_memory_pool(pa.system_memory_pool())
    try:
        yield
    finally:
        pa.set_memory_pool(before)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_timestamp(kind):
        return pa.array(values, pa.int64()).cast(kind)
    return pa.array(values, kind)


def _flush(writer: pq.ParquetWriter, held: list[pa.RecordBatch], schema: pa.Schema) -> None:
    table = pa.Table.from_batches(held, schema)
    writer.write_table(table, row_group_size=table.num_rows)
    held.clear()


FORMATS = {
    "csv": Format("csv", IsoTime, write_csv),
    "jsonl": Format("jsonl", IsoTime, write_jsonl),
    "parquet": Format("parquet", Microseconds, write_parquet),
}
