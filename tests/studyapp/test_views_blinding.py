"""Blind by construction: swapping the arms changes nothing of a page but the places of its two texts."""

from __future__ import annotations

import re
from typing import Any

import pytest

from annotations.models import Comparison
from inference.models import Generation
from studyapp.models import Study
from studyapp.views import judge
from studyapp.views import pages as pages_module
from tests import factory
from tests.studyapp.walk import Walker

TEXTS = {"fspo": "A short answer.", "base": "An answer that is a good deal longer.\n\nIt has two paragraphs."}
VARYING = (
    re.compile(r'name="csrfmiddlewaretoken" value="\w+"'),  # masked afresh in every response
    re.compile(r"(?i)expires[=:][^;\n]+"),
)


@pytest.fixture
def walker(db: None) -> Walker:
    """Somebody at a pair of the two arms, whose texts differ in every way that could tell."""
    study = factory.open_study(max_enrolled=2)
    walker = Walker(study).to_shots().answer_all()
    for arm, text in TEXTS.items():
        rows = Generation.objects.filter(study=study, arm=arm)
        factory.finish_texts(study, arm=arm)
        rows.update(text=text, words=len(text.split()))
    walker.get("wait")
    assert _current(walker).kind == "arms"
    return walker


def _current(walker: Walker) -> Comparison:
    row = Comparison.objects.filter(participant=walker.person, state="ready").order_by("position").first()
    assert row is not None
    return row


def _swap(row: Comparison) -> None:
    """The same pair with its arms exchanged, sides and all that is shown of it else left alone."""
    fields = ("arm", "replicate", "generation", "candidate")
    for name in fields:
        a, b = f"{name}_a", f"{name}_b"
        old = getattr(row, a)
        setattr(row, a, getattr(row, b))
        setattr(row, b, old)
    row.save()


def _seen(walker: Walker, **headers: str) -> str:
    """All that reaches the browser of the judge page, its two texts reduced to their places."""
    response: Any = walker.client.get(walker.url("judge"), headers=headers)
    assert response.status_code == 200
    html = response.content.decode()
    shown = re.findall(r'<div class="answer" dir="auto">(.*?)</div>', html, flags=re.DOTALL)
    assert len(set(shown)) == 2
    for text in shown:
        html = html.replace(text, "TEXT", 1)
    cookies = "\n".join(morsel.OutputString() for morsel in response.cookies.values())
    head = "\n".join(f"{k}: {v}" for k, v in sorted(response.headers.items()))
    everything = f"{response.status_code}\n{head}\n{cookies}\n{html}"
    for pattern in VARYING:
        everything = pattern.sub("", everything)
    return everything


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "fragment"])
def test_swapping_the_arms_changes_only_the_places_of_the_texts(walker: Walker, headers: dict[str, str]) -> None:
    before = _seen(walker, **headers)
    order = [node.text() for node in walker.get("judge").page.css(".answer")]
    _swap(_current(walker))
    assert _seen(walker, **headers) == before
    assert [node.text() for node in walker.get("judge").page.css(".answer")] == order[::-1]


def test_the_test_sees_an_arm_printed_on_purpose(walker: Walker, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = judge.context

    def leaking(request: Any, participant: Any, place: Any) -> dict[str, Any]:
        row = place.comparison
        first = row.arm_a if row.a_is_first else row.arm_b
        return {**honest(request, participant, place), "prompt": f"Which one? ({first})"}

    monkeypatch.setitem(pages_module._BUILDERS, "judge", leaking)
    before = _seen(walker)
    _swap(_current(walker))
    assert _seen(walker) != before


def test_no_page_names_an_arm_a_model_or_a_row(walker: Walker, study_words: set[str]) -> None:
    row = _current(walker)
    html = _seen(walker).partition("<!doctype html>")[2]
    assert len(html) > 2000
    for word in study_words | {row.generation_a.context_hash, row.generation_b.context_hash}:  # type: ignore[union-attr]
        assert word not in html


@pytest.fixture
def study_words(walker: Walker) -> set[str]:
    study: Study = walker.study
    keys = set(Generation.objects.filter(study=study).values_list("model_key", flat=True))
    return keys | {"fspo", "base", "scripted", "own_shots", "replicate", "a_is_first"}
