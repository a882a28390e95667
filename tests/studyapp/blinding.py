"""What a judge's browser gets of a pair, byte for byte, and the ways in which the same two texts can have come."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any

from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from annotations.models import Comparison
from inference.models import Generation
from studyapp.models import Candidate
from tests.studyapp.walk import Walker

HTMX = {"HX-Request": "true"}
FIRST, SECOND = "The first text, and a short one.", "A second text. It is a good deal longer than the other, says more."
# Masked afresh in every response, or a clock: nothing else is allowed to differ.
_KEY = re.compile(rb'name="csrfmiddlewaretoken" value="\w{64}"')
_CLOCK_OR_KEY = re.compile(r"expires=[^;]+|(?<=^csrftoken=)\w+")
_CLOCKS = ("Expires", "Date")


@dataclass(frozen=True)
class Answer:
    """One response, reduced by nothing but the CSRF key and clocks; `queries` is how much work it took."""

    status: int
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...]
    body: bytes
    queries: int


def answers(walker: Walker) -> list[Answer]:
    """Everything a browser can ask about the pair whose turn it is: page, fragment, head, two forms sent without a
    choice, the neighbours' addresses."""
    client, judge = walker.client, walker.url("judge")
    key = {"csrfmiddlewaretoken": client.cookies["csrftoken"].value}
    asked: list[Callable[[], Any]] = [
        lambda: client.get(judge),
        lambda: client.get(judge, headers=HTMX),
        lambda: client.head(judge),
        lambda: client.post(judge, {**key, "reason": "So."}),
        lambda: client.post(judge, {**key, "reason": "So."}, headers=HTMX),
        lambda: client.post(judge, {**key, "pair": current(walker).opaque_id, "choice": "third"}),
        lambda: client.get(walker.url("wait"), headers=HTMX),
        lambda: client.get(walker.url("wait")),
        lambda: client.get(walker.url("stop")),
    ]
    return [_answer(ask) for ask in asked]


def _answer(ask: Callable[[], Any]) -> Answer:
    with CaptureQueriesContext(connection) as queries:
        response = ask()
    return Answer(
        response.status_code,
        tuple(sorted((name, value) for name, value in response.headers.items() if name not in _CLOCKS)),
        tuple(sorted(_CLOCK_OR_KEY.sub("", morsel.OutputString()) for morsel in response.cookies.values())),
        _KEY.sub(b"", response.content),
        len(queries),
    )


def swapped(found: Answer) -> Answer:
    """The same answer with its two texts in each other's place."""
    body = found.body.replace(FIRST.encode(), b"\0").replace(SECOND.encode(), FIRST.encode())
    return Answer(found.status, found.headers, found.cookies, body.replace(b"\0", SECOND.encode()), found.queries)


def current(walker: Walker) -> Comparison:
    """The row of the pair whose turn it is."""
    row = (
        Comparison.objects.filter(participant=walker.person, state__in=["planned", "ready"])
        .order_by("position")
        .first()
    )
    assert row is not None
    return row


def told_apart(row: Comparison) -> Comparison:
    """Give the pair two texts of known words, by rows of their own, whatever made them; the row afresh."""
    first, second = ("a", "b") if row.a_is_first else ("b", "a")
    for side, text in ((first, FIRST), (second, SECOND)):
        if getattr(row, f"candidate_{side}_id"):
            Candidate.objects.filter(pk=getattr(row, f"candidate_{side}_id")).update(text=text)
        else:
            setattr(row, f"generation_{side}", _copy(getattr(row, f"generation_{side}"), text=text))
    row.save()
    return Comparison.objects.get(pk=row.pk)


def _copy(generation: Generation, **changes: Any) -> Generation:
    """Another row of the ledger like `generation` but for `changes`."""
    copy = Generation.objects.get(pk=generation.pk)
    copy.pk, copy._state.adding, copy.replicate = None, True, 5000 + Generation.objects.count()
    for name, value in changes.items():
        setattr(copy, name, value)
    copy.save()
    return copy


def exchange(row: Comparison) -> None:
    """Exchange all that a and b are: arms, replicates, generations, ready-made texts."""
    for name in ("arm", "replicate", "generation", "candidate"):
        a, b = getattr(row, f"{name}_a"), getattr(row, f"{name}_b")
        setattr(row, f"{name}_a", b)
        setattr(row, f"{name}_b", a)


def sides_and_arms(row: Comparison) -> None:
    """Treatment and baseline have changed places, the two texts have not."""
    exchange(row)
    row.a_is_first = not row.a_is_first


def arm_names(row: Comparison) -> None:
    """Other arms with longer names."""
    row.arm_a, row.arm_b = "a-much-longer-name-of-an-arm", "z"


def every_fact_of_a(row: Comparison) -> None:
    """a's text has another history: made for one person, long ago, by another model, in many tries, with flags."""
    if row.generation_a:
        row.generation_a = _copy(
            row.generation_a, owner=None if row.generation_a.owner else row.participant, arm="other", words=9999,
            flags=["leak", "outside the window"], tries=6, seed=2**62, model_key="another-model", engine="vllm",
            prompt="P" * 5000, raw_text="R" * 9000, finish_reason="length", prompt_tokens=7999, completion_tokens=1,
            queued_at=row.generation_a.queued_at - timedelta(days=9), finished_at=row.generation_a.queued_at,
            device="another card", versions={"python": "2"}, error="an old error",
        )  # fmt: skip


def generation_ids(row: Comparison) -> None:
    """b's text was stored before a's."""
    if row.generation_a and row.generation_b:
        row.generation_b, row.generation_a = _copy(row.generation_b), _copy(row.generation_a)


def ready_made_b(row: Comparison) -> None:
    """b's text was written by a person and is no generation at all."""
    if row.generation_b:
        text, question = row.generation_b.text, row.question
        row.candidate_b = Candidate.objects.create(question=question, key=f"made-{row.pk}", text=text, rank=9)
        row.generation_b = None


def plan(row: Comparison) -> None:
    """Another kind of pair, of other replicates, in a dyad, ready since long."""
    row.kind = Comparison.Kind.IDENTICAL if row.kind != Comparison.Kind.IDENTICAL else Comparison.Kind.ARMS
    row.replicate_a, row.replicate_b, row.dyad = 77, 78, "dyad-4"
    row.ready_at = row.ready_at - timedelta(days=3) if row.ready_at else None


ARRANGEMENTS: tuple[Callable[[Comparison], None], ...] = (
    sides_and_arms, arm_names, every_fact_of_a, generation_ids, ready_made_b, plan,
)  # fmt: skip


@contextmanager
def arranged(row: Comparison, arrange: Callable[[Comparison], None]) -> Iterator[None]:
    """The pair rearranged while the block runs."""
    before = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    changed = Comparison.objects.get(pk=row.pk)
    arrange(changed)
    changed.save()
    now = Comparison.objects.values(*before).get(pk=row.pk)
    assert now != before or not (row.generation_a_id or row.generation_b_id), f"{arrange.__name__} changed nothing"
    try:
        yield
    finally:
        Comparison.objects.filter(pk=row.pk).update(**before)


def assert_same(expected: list[Answer], found: list[Answer], message: str) -> None:
    """Every answer equal in every part; else what differs in which answer."""
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        for part in fields(Answer):
            a, b = getattr(one, part.name), getattr(other, part.name)
            assert a == b, f"{message}: {part.name} of answer {number}"


def assert_blind(walker: Walker) -> None:
    """The pair whose turn it is tells its judge nothing but two texts: the promise of the whole platform."""
    row = told_apart(current(walker))
    answers(walker)  # the first showing stamps a time
    before = answers(walker)
    assert FIRST.encode() in before[0].body
    assert before[0].body.index(FIRST.encode()) < before[0].body.index(SECOND.encode())
    for arrange in ARRANGEMENTS:
        with arranged(row, arrange):
            assert_same(before, answers(walker), f"{arrange.__name__} can be told")
    Comparison.objects.filter(pk=row.pk).update(a_is_first=~F("a_is_first"))
    assert_same([swapped(answer) for answer in before], answers(walker), "places tell more than the texts")
    Comparison.objects.filter(pk=row.pk).update(a_is_first=row.a_is_first)
