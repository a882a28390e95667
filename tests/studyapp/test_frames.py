"""A page put together from a frame is byte for byte the page that its template renders."""

from __future__ import annotations

from typing import Any

import pytest
from django.template.loader import render_to_string

from annotations.blinding import BlindView
from annotations.selectors import Progress
from studyapp.views.frames import frame, may_frame
from studyapp.views.judge import STRENGTHS

HOSTILE = "A <b>bold</b> & \"quoted\" 'one'\n\nsecond \u202e paragraph {{ title }} {% now %}\nline"


def values(**changes: Any) -> dict[str, Any]:
    number, progress = changes.pop("number", 7), changes.pop("progress", Progress(6, 19, 4))
    return {
        "study_title": "Which <answer>?",
        "slug": "demo",
        "fragment": True,
        "contact": "",
        "csrf_token": "t0ken" * 10,
        "title": f"Pair {number} of {progress.total}",
        "pair": BlindView("q7Hs9", HOSTILE, "First " + HOSTILE, "Second\n\ntext"),
        "prompt": "Which & why?",
        "action": "/s/demo/judge/",
        "number": number,
        "progress": progress,
        "may_stop": True,
        "scale": "choice",
        "reason": "off",
        **changes,
    }


CASES = [
    ("shots", {}),
    ("shots", {"number": 1, "progress": Progress(0, 19, 1)}),
    ("shots", {"study_title": ""}),
    ("judge", {"scale": "choice+strength", "strengths": STRENGTHS, "reason": "optional", "max_reason": 2000}),
    ("judge", {"scale": "choice+tie", "strengths": STRENGTHS, "reason": "required", "max_reason": 2000}),
    ("judge", {"scale": "choice", "pair": BlindView("x", "", "", "1")}),
    ("judge", {"number": 19, "progress": Progress(18, 19, 1), "slug": "other", "action": "/s/other/judge/"}),
]


@pytest.mark.parametrize(("name", "changes"), CASES)
def test_a_frame_gives_what_the_template_gives(name: str, changes: dict[str, Any]) -> None:
    given = values(**changes)
    assert may_frame(name, given)
    for _ in range(2):
        assert frame(name, given) == render_to_string(f"participant/{name}.html", given)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("judge", {"fragment": False}),
        ("judge", {"errors": {"choice": "Choose one."}}),
        ("judge", {"given": {"choice": "first"}}),
        ("judge", {"study_title": "Pair 7 of 19"}),
        ("wait", {}),
    ],
)
def test_other_pages_are_rendered_whole(name: str, changes: dict[str, Any]) -> None:
    assert not may_frame(name, values(**changes))
