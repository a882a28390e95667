"""The building blocks of the protocol's models: safe texts, names, numbers, and `key`, which documents each of them."""

from __future__ import annotations

import datetime
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
MAX_INT = 2**31 - 1


class Table(BaseModel):
    """A table of the protocol: frozen, and an unknown key in it is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


def key(default: Any, text: str, *, later: bool = False, built: tuple[str, ...] = (), **constraints: Any) -> Any:
    """A documented key. `default` is `...` where the key must be given.

    `later`: no value but the default can be used yet; `built`: only these values can be used yet.
    """
    extra: dict[str, Any] = {"later": later, "built": list(built)}
    return Field(default, description=text, json_schema_extra=extra, **constraints)


def fault(what: str, remedy: str) -> PydanticCustomError:
    """A validation error that carries its own remedy."""
    return PydanticCustomError("protocol", "{what}", {"what": what, "remedy": remedy})


def unsafe_characters(text: str) -> list[str]:
    """The code points of `text` that no shown text may hold: controls, surrogates, bidirectional overrides."""
    found = {c for c in text if (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t") or c in BIDI}
    return [f"U+{ord(c):04X}" for c in sorted(found)]


def _safe(text: str) -> str:
    text = text.replace("\r\n", "\n")
    if found := unsafe_characters(text):
        raise fault(
            f"holds invisible control characters ({', '.join(found[:5])})",
            "type the text again without control characters or bidirectional overrides",
        )
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise fault("runs over several lines or holds a tab", "write it on one line")
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise fault("is empty", "write the text")
    return text


def _window(words: tuple[int, int]) -> tuple[int, int]:
    low, high = words
    if low > high:
        raise fault(f"the smallest number of words ({low}) is over the largest ({high})", f"write [{high}, {low}]")
    return words


def _date_as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime.date) else value


def _iso_date(text: str) -> str:
    try:
        return datetime.date.fromisoformat(text).isoformat()
    except ValueError:
        raise fault(f"is not a date ({text[:40]})", "write year, month and day like 2027-01-31") from None


Count = Annotated[int, Field(strict=True, ge=0, le=MAX_INT)]
Positive = Annotated[int, Field(strict=True, ge=1, le=MAX_INT)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Flag = Annotated[bool, Field(strict=True)]
LongText = Annotated[str, Field(strict=True), AfterValidator(_safe), AfterValidator(_not_blank)]
OptionalText = Annotated[str, Field(strict=True), AfterValidator(_safe)]
Line = Annotated[str, Field(strict=True, max_length=500), AfterValidator(_safe), AfterValidator(_one_line)]
Title = Annotated[str, Field(strict=True, max_length=200), AfterValidator(_safe), AfterValidator(_one_line),
                  AfterValidator(_not_blank)]
Viewpoint = Annotated[str, Field(strict=True, max_length=200), AfterValidator(_safe), AfterValidator(_one_line)]
QuestionText = Annotated[str, Field(strict=True, max_length=2000), AfterValidator(_safe), AfterValidator(_not_blank)]
FullLine = Annotated[Line, AfterValidator(_not_blank)]
Label = Annotated[str, Field(strict=True, max_length=100), AfterValidator(_safe), AfterValidator(_one_line)]
FullLabel = Annotated[Label, AfterValidator(_not_blank)]
Slug = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?\z")]
Name = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,39}\z")]
RowId = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}\z")]
Words = Annotated[tuple[Positive, Positive], AfterValidator(_window)]
Date = Annotated[str, BeforeValidator(_date_as_text), Field(strict=True), AfterValidator(_iso_date)]
DateOrLine = Annotated[str, BeforeValidator(_date_as_text), Field(strict=True, max_length=500), AfterValidator(_safe)]
