"""Pages that are nearly the same every time: their template is rendered once, and then only its values change.

A person sees twenty pairs, and rendering one took a third of its request. A frame is the template's own output for
values that occur nowhere else, cut at these values; `test_frames.py` holds both ways of rendering together.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

from django.template.loader import render_to_string
from django.utils.safestring import SafeString, mark_safe

from studyapp.text import paragraphs

FRAMED = frozenset({"shots", "judge"})
# What is the same for every pair of a study. `strengths` and `max_reason` are constants of the page.
FIXED = ("study_title", "slug", "action", "prompt", "scale", "reason")
# Numbers that no study has, so that they survive every filter of the template.
NUMBERS = {"number": 919_191_901, "total": 919_191_902, "done": 919_191_903, "minutes": 919_191_904}
TEXTS = {name: f"palate{name}here" for name in ("question", "first", "second", "csrf", "id")}
PARAGRAPHS = ("question", "first", "second")
MARKS = {str(number): name for name, number in NUMBERS.items()} | {
    f"<p>{text}</p>" if name in PARAGRAPHS else text: name for name, text in TEXTS.items()
}
_MARK = re.compile("|".join(map(re.escape, MARKS)))


def may_frame(name: str, values: Mapping[str, Any]) -> bool:
    """Whether `frame` renders this page: a fragment with a pair, as it is shown before anybody answered."""
    plain = not values.get("errors") and not values.get("given") and values["title"] != values["study_title"]
    return name in FRAMED and bool(values["fragment"]) and plain


def frame(name: str, values: Mapping[str, Any]) -> SafeString:
    """What `participant/<name>.html` renders to with these values, for a page that `may_frame`."""
    progress, pair = values["progress"], values["pair"]
    one_minute = progress.minutes_left == 1
    fixed = tuple((key, values[key]) for key in FIXED if key in values)
    constant = tuple((key, values[key]) for key in ("strengths", "max_reason") if key in values)
    filled = {
        "number": str(values["number"]),
        "total": str(progress.total),
        "done": str(progress.done),
        "minutes": str(progress.minutes_left),
        "question": paragraphs(pair.question),
        "first": paragraphs(pair.first),
        "second": paragraphs(pair.second),
        "csrf": str(values["csrf_token"]),
        "id": pair.id,
    }
    parts = _parts(name, fixed, constant, one_minute)
    return mark_safe("".join(filled[part] if place % 2 else part for place, part in enumerate(parts)))


@lru_cache(maxsize=256)
def _parts(name: str, fixed: tuple[Any, ...], constant: tuple[Any, ...], one_minute: bool) -> tuple[str, ...]:
    """The template's output in turn with the names of the values that stand between."""
    progress = SimpleNamespace(
        total=NUMBERS["total"], done=NUMBERS["done"], minutes_left=1 if one_minute else NUMBERS["minutes"]
    )
    values = {
        **dict(fixed),
        **dict(constant),
        "fragment": True,
        "may_stop": True,
        "title": f"Pair {NUMBERS['number']} of {NUMBERS['total']}",
        "number": NUMBERS["number"],
        "progress": progress,
        "pair": {key: TEXTS[key] for key in (*PARAGRAPHS, "id")},
        "csrf_token": TEXTS["csrf"],
    }
    rendered = render_to_string(f"participant/{name}.html", values)
    parts, place = [], 0
    for mark in _MARK.finditer(rendered):
        parts += [rendered[place : mark.start()], MARKS[mark.group()]]
        place = mark.end()
    return (*parts, rendered[place:])
