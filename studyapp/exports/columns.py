"""What a table of an export is made of: named columns with a type, a meaning and a mask, read by one query.

A column leaves only because it is named in a table; masked columns stay, as missing values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Literal

from django.db.models import (
    BooleanField,
    Case,
    CharField,
    DateTimeField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    JSONField,
    Model,
    QuerySet,
    TextField,
    When,
)
from django.db.models.expressions import Combinable, F, Func, Value
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from studyapp.models import Study

CHUNK = 4000
Kind = Literal["text", "whole number", "number", "true/false", "time", "list", "object"]
Batch = list[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Options:
    """What an export may show: `blinded` hides arms; `text` includes prompts, texts and reasons; `pii` panel ids."""

    blinded: bool
    text: bool = False
    pii: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its type, what it means, where it comes from, and when it is masked.

    `unit` and `values` (the only ones allowed) are empty where there are none. `source`: an expression over the rows of
    the table's query; lists and objects come as JSON text, times as they are stored.
    """

    name: str
    kind: Kind
    meaning: str
    source: Combinable
    unit: str = ""
    values: tuple[str, ...] = ()
    arm: bool = False  # speaks of an arm, a model or a side: masked until unblinding
    text: bool = False  # free text or personal text: only when asked for by name
    shown: bool = False  # a judged text: where one text serves many people, seeing it twice would tell its arm
    pii: bool = False  # names a person to somebody: only when asked for by name

    @property
    def masks(self) -> str:
        """When the column is masked, in the words of the data dictionary; empty: never."""
        if self.shown:
            return "shown"
        held = {"blind": self.arm, "text": self.text, "pii": self.pii}
        return ", ".join(name for name, holds in held.items() if holds)

    @property
    def privacy(self) -> str:
        """pseudonymous, personal (free or personal text) or identifying."""
        return "identifying" if self.pii else "personal" if self.text else "pseudonymous"


def kind_of(stored: Field[Any, Any]) -> Kind:
    """The type of a column that shows a model's field as it is stored."""
    if isinstance(stored, JSONField):
        return "list" if stored.default is list else "object"
    if isinstance(stored, ForeignKey):
        return kind_of(stored.target_field)
    known: tuple[tuple[type, Kind], ...] = (
        (BooleanField, "true/false"), (DateTimeField, "time"), (IntegerField, "whole number"), (FloatField, "number"),
    )  # fmt: skip
    return next((kind for family, kind in known if isinstance(stored, family)), "text")


@dataclass(frozen=True, slots=True)
class Columns:
    """Makes the columns of one model's table: types, allowed values and meanings come from the model's fields."""

    model: type[Model]

    def __call__(self, name: str, path: str = "", meaning: str = "", *, unit: str = "", **masks: bool) -> Column:
        """A column read from a field path such as ``question__key``; None on the way gives None."""
        path = path or name
        stored = self.field(path)
        kind = kind_of(stored)
        source: Combinable = F(path)
        if kind in ("list", "object"):
            source = Cast(path, TextField())
        unit = unit or ("milliseconds" if name.endswith("_ms") else "")
        values = tuple(str(value) for value, _ in stored.flatchoices) if kind == "text" else ()
        said = meaning or str(stored.help_text)
        return Column(name, kind, said, source, unit, values, **masks)

    def field(self, path: str) -> Field[Any, Any]:
        """The model's field at the end of a path. Raises FieldDoesNotExist."""
        model: Any = self.model
        found: Any = None
        for step in path.split("__"):
            found = model._meta.get_field(step)
            model = found.related_model
        return found


def constant(value: str) -> Value:
    """A text as an expression; named, so that Postgres knows its type."""
    return Value(value, output_field=CharField())


def inside(path: str, key: str) -> Cast:
    """One key of a JSON field, as JSON text."""
    return Cast(KeyTransform(key, path), TextField())


def chosen(first: str, second: str) -> Case:
    """The value at `first` or `second`, as the row's `choice` says; missing while there is none."""
    return Case(When(choice="first", then=F(first)), When(choice="second", then=F(second)), default=None)


class IsoTime(Func):
    """A time as ISO 8601 in UTC with microseconds."""

    template = """to_char(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""
    output_field = TextField()


class Microseconds(Func):
    """A time as whole microseconds since 1970."""

    template = "(EXTRACT(EPOCH FROM %(expressions)s) * 1000000)::bigint"
    output_field = IntegerField()


@dataclass(frozen=True, slots=True)
class Table:
    """A named table: its columns in order, and its rows from one query.

    `about`: a sentence on what a row is. `personal`: the whole table leaves only with `pii`.
    `chunk`: rows held at a time, fewer where they are long.
    """

    name: str
    about: str
    columns: tuple[Column, ...]
    query: Callable[[Study], QuerySet[Any]]
    personal: bool = False
    chunk: int = CHUNK

    @property
    def header(self) -> list[str]:
        """Column names, always all of them, in fixed order."""
        return [column.name for column in self.columns]

    def hidden(self, study: Study, options: Options) -> set[str]:
        """Names of the columns that are masked."""
        shared = any(arm.samples == "shared" for arm in study.spec.arms.values())
        return {
            c.name
            for c in self.columns
            if (options.blinded and (c.arm or (c.shown and shared)))
            or (c.text and not options.text)
            or (c.pii and not options.pii)
        }

    def batches(self, study: Study, options: Options, time: type[Func] = IsoTime) -> Iterator[Batch]:
        """Stream the table from a server-side cursor, some thousand rows at a time, each batch a list of columns.

        `time` says how times come. Masked columns are not even asked for: they are all None.
        """
        hidden = self.hidden(study, options)
        shown = [column for column in self.columns if column.name not in hidden]
        # A constant stands first, so that a table with every column masked still has its rows.
        place = {column.name: number for number, column in enumerate(shown, start=1)}
        found = self._found(study, shown, time)
        while chunk := list(islice(found, self.chunk)):
            columns, missing = list(zip(*chunk, strict=True)), (None,) * len(chunk)
            yield [columns[place[name]] if name in place else missing for name in self.header]

    def _found(self, study: Study, shown: Sequence[Column], time: type[Func]) -> Iterator[tuple[Any, ...]]:
        """The rows, each a constant and then the shown columns."""
        asked = [time(column.source) if column.kind == "time" else column.source for column in shown]
        return iter(self.query(study).values_list(Value(1), *asked).iterator(chunk_size=self.chunk))


def iso(moment: datetime) -> str:
    """A time as ISO 8601 in UTC with microseconds, as `IsoTime` writes it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
