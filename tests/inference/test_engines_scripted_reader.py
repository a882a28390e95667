"""The scripted engine plays its parts: it judges, lists and answers as the tagged sections of a prompt say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from inference.contracts import Completion, EngineRequest, GenerationRequest, ModelSpec, PermanentError, Sampling
from inference.engines import load_engine
from inference.engines.scripted_reader import THEMES, themes_of
from inference.prompts import build
from inference.training.synthesis import instructions

MONEY, FAMILY = THEMES["money"], THEMES["family"]
THRIFTY = "This reader cares about money. This reader cares about family."


def say(text: str, *, seed: int = 1, layout: Any = "chat", **options: Any) -> str:
    spec = ModelSpec("scripted", "none", options={"judge": "reader"} | options)
    prompt = build(GenerationRequest(spec, layout, text))
    (said,) = load_engine(spec, bundled_root=Path()).generate([EngineRequest("row", prompt, Sampling(), seed)])
    assert isinstance(said, Completion)
    return said.text


@pytest.mark.parametrize(
    ("reader", "first", "second", "verdict"),
    [
        (THRIFTY, MONEY, FAMILY, 1),
        (THRIFTY, FAMILY, MONEY, 2),
        (THRIFTY, f"{MONEY} {FAMILY}", MONEY, 1),
        (THRIFTY, MONEY, MONEY, 0),
        ("This reader is young.", MONEY, FAMILY, 0),
    ],
)
@pytest.mark.parametrize("layout", ["chat", "fspo"])
def test_the_judge_goes_by_the_first_thing_the_reader_cares_about(
    reader: str, first: str, second: str, verdict: int, layout: str
) -> None:
    said = say(instructions.judge(reader, "Why?", first, second), layout=layout)
    assert instructions.read_verdict(said) == verdict


def test_a_judge_with_a_bias_prefers_the_first_output_whatever_it_says() -> None:
    assert say(instructions.judge(THRIFTY, "Why?", FAMILY, MONEY), first_every=1) == "1"


def test_an_added_sentence_decides_the_pair_that_it_was_asked_for() -> None:
    reader = "This reader is young."
    sentence = say(instructions.add_sentence(reader, "Why?", FAMILY, MONEY))
    assert instructions.read_verdict(say(instructions.judge(f"{reader} {sentence}", "Why?", MONEY, FAMILY))) == 2


def test_lists_are_numbered_and_as_long_as_asked() -> None:
    questions = instructions.read_list(say(instructions.write_questions("bread", 5)), 5)
    viewpoints = instructions.read_list(say(instructions.write_viewpoints("Why bread?", 4)), 4)
    assert questions is not None
    assert len(questions) == 5
    assert all("bread" in question for question in questions)
    assert viewpoints is not None
    assert len({theme for viewpoint in viewpoints for theme in themes_of(viewpoint)}) == 4


def test_an_answer_keeps_to_its_viewpoint_or_reader_and_a_plain_one_to_its_habit() -> None:
    assert themes_of(say(instructions.answer_from("Why?", "as a matter of money"))) == ["money"]
    assert themes_of(say(instructions.answer_as("Why?", THRIFTY))) == ["money", "family"]
    plain = [say(instructions.answer_plainly("Why?"), seed=seed) for seed in (1, 2)]
    assert themes_of(plain[0]) == []
    assert plain[0] != plain[1]
    assert plain[0].split()[:20] == plain[1].split()[:20]


def test_a_persona_has_its_traits_and_cares_about_one_thing() -> None:
    persona = say(instructions.write_persona({"age": "old", "home": "a town"}))
    assert persona.startswith("This reader is old, a town.")
    assert len(themes_of(persona)) == 1


def test_an_unknown_judge_is_refused_and_without_one_no_part_is_played() -> None:
    with pytest.raises(PermanentError, match="judge 'coin' is unknown"):
        load_engine(ModelSpec("scripted", "none", options={"judge": "coin"}), bundled_root=Path())
    plain = load_engine(ModelSpec("scripted", "none"), bundled_root=Path())
    prompt = build(GenerationRequest(ModelSpec("scripted", "none"), "chat", instructions.judge("r", "q", "a", "b")))
    (said,) = plain.generate([EngineRequest("row", prompt, Sampling(), 1)])
    assert isinstance(said, Completion)
    assert len(said.text.split()) >= 60
