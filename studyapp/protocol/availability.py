"""Which values of a protocol cannot be used yet."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from studyapp.protocol.loaded import Loaded
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem

TOML = "study.toml"
NOT_YET = "not available yet"


def availability(study: Protocol | Loaded) -> list[Problem]:
    """Values that are reserved but not built, one "not available yet" each; a `Loaded` has its questions checked too.

    `check` warns about them, `load` and `open` refuse them.
    """
    protocol = study.protocol if isinstance(study, Loaded) else study
    found = list(_in_table(protocol, "")) if protocol else []
    if isinstance(study, Loaded):
        found.extend(
            Problem("questions.jsonl", f"{row.id}: only_if", NOT_YET, "remove only_if")
            for row in study.questions
            if row.only_if is not None
        )
    return found


def _in_table(table: BaseModel, prefix: str) -> Iterator[Problem]:
    for name, field in type(table).model_fields.items():
        value, where = getattr(table, name), f"{prefix}{name}"
        problem = _verdict(field, value, where)
        if problem:
            yield problem
        else:
            yield from _inside(value, where)


def _inside(value: Any, where: str) -> Iterator[Problem]:
    if isinstance(value, BaseModel):
        yield from _in_table(value, f"{where}.")
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _inside(inner, f"{where}.{name}")
    elif isinstance(value, tuple):
        for number, inner in enumerate(value, start=1):
            yield from _inside(inner, f"{where}[{number}]")


def _verdict(field: FieldInfo, value: Any, where: str) -> Problem | None:
    extra = field.json_schema_extra
    marks: dict[str, Any] = dict(extra) if isinstance(extra, dict) else {}
    if value == field.get_default():
        return None
    if marks.get("later"):
        default = field.get_default()
        remedy = "remove it" if default in (None, ()) else f"remove it, or keep the default {as_toml(default)}"
        return Problem(TOML, where, NOT_YET, remedy)
    built = marks.get("built") or []
    if built and value not in built:
        return Problem(TOML, where, f'"{value}" is {NOT_YET}', f"use {' or '.join(as_toml(b) for b in built)}")
    return None


def as_toml(value: Any) -> str:
    """A plain value as it would stand in TOML."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(as_toml(v) for v in value)}]" if isinstance(value, tuple | list) else str(value)
