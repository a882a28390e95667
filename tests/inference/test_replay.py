"""A stored text can be made again, and a text that comes out another way is told from which token on."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from inference import queue
from inference.contracts import ModelSpec, Sampling, Window
from inference.engines import load_engine
from inference.models import Generation
from inference.replay import replay
from tests.inference.cast import REQUEST, a_study, orders
from tests.inference.drained import State, ask, drain, scripted, skip_back_off

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


def made(count: int = 3, **options: Any) -> list[Generation]:
    key, ids = ask(count, **options)
    drain(key)
    return list(Generation.objects.filter(pk__in=ids).order_by("pk"))


def replayed(rows: list[Generation], **options: Any) -> list[Any]:
    return list(replay(load_engine(scripted(**options), bundled_root=None), rows))  # type: ignore[arg-type]


def told(*arguments: Any) -> tuple[int, str]:
    out = StringIO()
    try:
        call_command("replay", *arguments, stdout=out)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_same_engine_makes_the_same_texts() -> None:
    rows = made(20)
    assert [one.verdict for one in replayed(rows)] == ["same"] * 20
    assert [one.generation_id for one in replayed(rows)] == [row.pk for row in rows]


def test_another_engine_is_told_with_the_first_token_that_differs() -> None:
    (row,) = made(1)
    words = row.raw_text.split(" ")
    Generation.objects.filter(pk=row.pk).update(
        raw_text=" ".join([*words[:7], "otherwise", *words[8:]]), model_digest="e" * 64
    )
    row.refresh_from_db()
    (found,) = replayed([row])
    assert found.verdict == "different"
    engine = load_engine(scripted(), bundled_root=None)  # type: ignore[arg-type]
    assert engine.pieces(row.raw_text)[found.token].strip() == "otherwise"
    assert found.was.startswith("otherwise")
    assert not found.now.startswith("otherwise")
    assert any(note.startswith(f"model digest was {'e' * 64}, is ") for note in found.notes)


def test_a_text_kept_from_an_earlier_try_is_made_again_from_that_try() -> None:
    model = scripted(words=[30, 60])
    request = replace(REQUEST, model=model, window=Window(1, 10, tries=3))
    (pk,) = queue.request_many(orders(a_study(), 1, request=request))
    for _ in range(3):
        drain(model.key)
        skip_back_off()
    row = Generation.objects.get(pk=pk)
    assert (row.state, row.flags[-1:]) == (State.READY, ["window_missed"])
    assert [one.verdict for one in replayed([row], words=[30, 60])] == ["same"]


def test_what_has_no_text_cannot_be_made_again() -> None:
    _, ids = ask(1)
    (found,) = replayed(list(Generation.objects.filter(pk__in=ids)))
    assert found.verdict == "impossible"
    assert "it is queued" in found.notes[0]


def test_a_prompt_that_is_built_differently_is_no_replay_even_when_the_text_is_the_same() -> None:
    (row,) = made(1)
    Generation.objects.filter(pk=row.pk).update(prompt=row.prompt + " ")
    row.refresh_from_db()
    (found,) = replayed([row])
    assert found.verdict == "different"
    assert "its prompt is built differently by this version" in found.notes


def test_the_command_says_same_and_ends_with_0() -> None:
    rows = made(3)
    status, said = told(*(str(row.pk) for row in rows))
    assert status == 0
    assert said.splitlines() == [*(f"{row.pk}: same" for row in rows), "3 same"]


def test_a_sample_of_a_study_is_drawn_by_its_seed() -> None:
    rows = made(6)
    slug = rows[0].study.slug
    status, said = told("--study", slug, "--sample", "4", "--json")
    assert status == 0
    first = [json.loads(line)["generation_id"] for line in said.splitlines()]
    assert len(first) == len(set(first)) == 4
    assert said == told("--study", slug, "--sample", "4", "--json")[1]
    assert len(told("--study", slug, "--sample", "99", "--alone")[1].splitlines()) == 7


def test_a_difference_ends_with_1_and_is_printed() -> None:
    (row,) = made(1)
    Generation.objects.filter(pk=row.pk).update(raw_text="Something else.")
    status, said = told(str(row.pk))
    assert status == 1
    assert "different from token 0 on: was 'Something else.'" in said
    assert said.endswith("1 different\n")


def test_a_model_that_does_not_load_makes_its_texts_impossible() -> None:
    (row,) = made(1)
    lost = {**row.request, "model": {"engine": "transformers", "source": "/nowhere", "revision": "", "options": {}}}
    Generation.objects.filter(pk=row.pk).update(request=lost)
    status, said = told(str(row.pk))
    assert status == 1
    assert "impossible" in said
    assert "/nowhere" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give the numbers"),
        (("1", "--study", "demo"), "give the numbers"),
        (("--study", "demo", "--sample", "0"), "give the numbers"),
        (("987654321",), "no generation 987654321"),
        (("--study", "nowhere"), "nowhere"),
    ],
)
def test_wrong_usage_is_told(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        call_command("replay", *arguments)
    assert caught.value.returncode == 2


def test_a_real_model_makes_the_same_texts_alone_and_in_a_batch() -> None:
    model = ModelSpec("transformers", "bundled:palate-1")
    question = "Is the film Snow over Lisbon worth an evening?"
    request = replace(REQUEST, model=model, question=question, shots=(), sampling=Sampling(max_tokens=96))
    ids = queue.request_many(orders(a_study(), 16, request=request))
    for _ in range(3):
        drain(model.key)
        skip_back_off()
    ready = Generation.objects.filter(pk__in=ids, state=State.READY)
    assert ready.count() >= 8
    asked = [str(row.pk) for row in ready]
    assert told(*asked)[0] == told(*asked, "--alone")[0] == 0
