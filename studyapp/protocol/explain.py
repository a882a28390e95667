"""pydantic's errors in the protocol's own words: dotted key, what is wrong, what would be right."""

from __future__ import annotations

import datetime
import difflib
import re
import types
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from studyapp.protocol.problem import Problem

SECRET = re.compile(r"api_?key|base_?url|token$|secret|password|passwd|credential|authorization|endpoint", re.I)
FORBIDDEN = {
    "trust_remote_code": (
        "is never allowed: code that comes with a model is not run",
        "remove it and use a model that transformers knows by itself",
    ),
}
_TYPES = {
    "string_type": ("text", 'put it in quotes, like "text"'),
    "int_type": ("a whole number", "write it without quotes or point, like 8"),
    "int_from_float": ("a whole number", "write it without a point, like 8"),
    "float_type": ("a number", "write it without quotes, like 0.7"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "tuple_type": ("a list", "put it in square brackets"),
    "list_type": ("a list", "put it in square brackets"),
    "dict_type": ("a table", "write it as [table] with keys below"),
    "model_type": ("a table", "write it as [table] with keys below"),
    "model_attributes_type": ("a table", "write it as [table] with keys below"),
}
_BOUNDS = {
    "greater_than": ("gt", "over"), "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "under"), "less_than_equal": ("le", "at most"),
}
_PATTERNS = {
    "slug": ("small letters, digits and hyphens, at most 50", '"my-study"'),
    "currency": ("a currency code of three capital letters", '"GBP"'),
    "id": ("letters, digits, and . _ : -, beginning with a letter or digit, at most 100", '"q1"'),
    "question": ("letters, digits, and . _ : -, beginning with a letter or digit, at most 100", '"q1"'),
}
_NAME = ("a letter, then letters, digits, _ or -, at most 40", '"fspo"')


def dotted(location: Sequence[str | int]) -> str:
    """A pydantic location as a dotted key: comparisons[1].items, counted from 1 as people count."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part + 1}]"
        elif part != "[key]":
            text += f".{_short(part)}" if text else _short(part)
    return text


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)[1:-1] if isinstance(value, str) else repr(value)
    return text if len(text) <= limit else text[:limit] + "..."


def kind_of(value: Any) -> str:
    """A value as a person would call it: "the number 3", "a date"."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {_number(value)}"
    if isinstance(value, str):
        return f'the text "{_short(value, 40)}"'
    if isinstance(value, datetime.date | datetime.time):
        return "a date or time"
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list | tuple) else "something else"


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) >= 10**18:
        return "far too large" if value > 0 else "far too small"
    return str(value)


def tables_in(annotation: Any) -> Iterable[type[BaseModel]]:
    """The models that an annotation is made of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) in (Annotated, Union, types.UnionType, dict, tuple, list):
        for part in get_args(annotation):
            yield from tables_in(part)


def table_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel] | None:
    """The model whose keys stand at a location."""
    current: type[BaseModel] = model
    for part in location:
        if isinstance(part, str) and part in current.model_fields:
            inner = next(iter(tables_in(current.model_fields[part].annotation)), None)
            if inner is None:
                return None
            current = inner
    return current


def _unknown(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, str]:
    name = str(location[-1])
    if name in FORBIDDEN:
        return FORBIDDEN[name]
    if SECRET.search(name):
        return (
            "may not stand in a protocol: keys and base URLs come from the environment",
            "remove it and set it in the environment of the workers",
        )
    table = table_at(model, location[:-1])
    known = list(table.model_fields) if table else []
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return "is not a known key", f"did you mean {close[0]}?"
    return "is not a known key", f"remove it, or use one of {', '.join(known)}"


def _choice(error: ErrorDetails) -> tuple[str, str]:
    expected = str(error.get("ctx", {}).get("expected", "")).replace("'", '"')
    value = error["input"]
    options = re.findall(r'"([^"]+)"', expected)
    close = difflib.get_close_matches(value, options, n=1, cutoff=0.6) if isinstance(value, str) else []
    remedy = f'did you mean "{close[0]}"? It can be {expected}' if close else f"write {expected}"
    return f"cannot be {kind_of(value)}", remedy


def _missing(model: type[BaseModel], location: Sequence[str | int]) -> tuple[str, str]:
    table = table_at(model, location[:-1])
    field = table.model_fields.get(str(location[-1])) if table else None
    about = f" ({field.description.rstrip('.')})" if field and field.description else ""
    return "is missing", f"add {location[-1]}{about}"


def _pattern(location: Sequence[str | int], value: Any) -> tuple[str, str]:
    last = next((str(p) for p in reversed(location) if isinstance(p, str) and p != "[key]"), "")
    rule, example = _PATTERNS.get(last, _NAME) if location[-1] != "[key]" else _NAME
    return f"cannot be {kind_of(value)}", f"write {rule}, like {example}"


def _bound(error: ErrorDetails) -> tuple[str, str]:
    limit, word = _BOUNDS[error["type"]]
    return f"is {_number(error['input'])}, out of range", f"write a number {word} {error.get('ctx', {}).get(limit)}"


def _length(error: ErrorDetails) -> tuple[str, str]:
    context = error.get("ctx", {})
    if error["type"] == "string_too_long":
        return "is too long", f"use at most {context.get('max_length')} characters"
    low, high = context.get("min_length"), context.get("max_length")
    return "has the wrong number of entries", f"give at least {low}" if low else f"give at most {high}"


def _plain(error: ErrorDetails) -> tuple[str, str]:
    kind = error["type"]
    if kind in ("too_short", "too_long", "string_too_long"):
        return _length(error)
    if kind in _TYPES:
        wanted, remedy = _TYPES[kind]
        return f"must be {wanted}, not {kind_of(error['input'])}", remedy
    if kind == "string_unicode":
        return "holds half a character (a lone surrogate)", "type the text again"
    if kind == "finite_number":
        return "must be a finite number, not NaN or infinity", "write a number"
    if kind in ("int_parsing_size", "int_parsing"):
        return "is a number that no program can use", "write a smaller number"
    return f"is not right ({error['msg']})", "see docs/protocol.md"


def _explain(model: type[BaseModel], error: ErrorDetails) -> tuple[str, str]:
    kind, location = error["type"], error["loc"]
    if kind == "protocol":
        context = error.get("ctx", {})
        return str(context["what"]), str(context["remedy"])
    if kind == "missing":
        if isinstance(location[-1], int):
            return "is missing", "give two whole numbers, [smallest, largest]"
        return _missing(model, location)
    if kind == "extra_forbidden":
        return _unknown(model, location)
    if kind == "literal_error":
        return _choice(error)
    if kind == "string_pattern_mismatch":
        return _pattern(location, error["input"])
    if kind in _BOUNDS:
        return _bound(error)
    return _plain(error)


def explain(model: type[BaseModel], error: ValidationError, file: str, prefix: str = "") -> list[Problem]:
    """A validation error as problems in the order of the file's keys, each place and fault once."""
    problems: dict[tuple[str, str], Problem] = {}
    errors = error.errors(include_url=False)
    for details in errors:
        location = details["loc"]
        if details["type"] == "too_short" and any(e["loc"][:-1][: len(location)] == location for e in errors):
            continue  # an entry is there, but broken: its own fault is told
        what, remedy = _explain(model, details)
        where = dotted(details["loc"])
        where = f"{prefix}: {where}" if prefix and where else prefix or where
        problems.setdefault((where, what), Problem(file, where, what, remedy))
    return list(problems.values())
