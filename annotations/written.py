"""Queries of every choice, whose SQL Django writes once a process: writing it takes ten times as long as running it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Generic, TypeVar

from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, QuerySet

M = TypeVar("M", bound=Model)
# Stands for the value in the SQL as written; no id and no code is like it.
PLACE = -1


def _ordered(model: type[Model], names: set[str]) -> list[str]:
    """Column names in the order of the model's fields, as `Model.from_db` wants them."""
    return [field.attname for field in model._meta.concrete_fields if field.attname in names]


class Written(Generic[M]):
    """The query set `rows(value)` for one value after another.

    Its objects are those of `select_related` and `only`: `fields` are loaded, others when somebody asks for them.
    """

    def __init__(self, rows: Callable[[Any], QuerySet[M]], *fields: str) -> None:
        self.model = rows(PLACE).model
        self.rows = rows
        related: dict[str, set[str]] = {}
        for relation, _, name in (field.rpartition("__") for field in fields if "__" in field):
            related.setdefault(relation, {"id"}).add(name)
        own = {"id", *(field for field in fields if "__" not in field), *(f"{relation}_id" for relation in related)}
        self.own = _ordered(self.model, own)
        self.models = {relation: self._related_model(relation) for relation in related}
        self.related = {relation: _ordered(self.models[relation], names) for relation, names in related.items()}

    def all(self, value: int | str) -> list[M]:
        """The rows for `value`."""
        sql, parameters = self._sql
        return self._run(sql, self._values(parameters, value))

    def beside(self, writes: str, given: Sequence[Any], value: int | str) -> list[M]:
        """The rows for `value` as they were before `writes`, in the same statement; none when nothing was written.

        `writes` is SQL from WITH to its last common table; its table `written` has a row when something was.
        """
        sql, parameters = self._sql
        whole = f"{writes} SELECT found.* FROM ({sql}) AS found WHERE EXISTS (SELECT FROM written)"
        return self._run(whole, [*given, *self._values(parameters, value)])

    def first(self, value: int | str) -> M | None:
        """The first row for `value`; None when there is none."""
        return next(iter(self.all(value)), None)

    def _run(self, sql: str, values: Sequence[Any]) -> list[M]:
        with connection.cursor() as cursor:
            cursor.execute(sql, values)
            return [self._object(row) for row in cursor.fetchall()]

    @staticmethod
    def _values(parameters: Sequence[Any], value: int | str) -> list[Any]:
        return [value if str(given) == str(PLACE) else given for given in parameters]

    @cached_property
    def _sql(self) -> tuple[str, tuple[Any, ...]]:
        names = [f"{relation}__{name}" for relation, columns in self.related.items() for name in columns]
        return self.rows(PLACE).values_list(*self.own, *names).query.sql_with_params()

    def _related_model(self, relation: str) -> Any:
        return self.model._meta.get_field(relation).related_model

    def _object(self, row: Sequence[Any]) -> M:
        at = len(self.own)
        found = self.model.from_db(DEFAULT_DB_ALIAS, self.own, row[:at])
        for relation, columns in self.related.items():
            values, at = row[at : at + len(columns)], at + len(columns)
            is_there = getattr(found, f"{relation}_id") is not None
            other = self.models[relation].from_db(DEFAULT_DB_ALIAS, columns, values) if is_there else None
            setattr(found, relation, other)
        return found
