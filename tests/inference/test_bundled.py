"""The shipped model does what its card says: fluent, on the subject, and in the style of the shots it was given."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from inference.contracts import Shot
from inference.demoworld import Taste, names_subject, reads, score, style_of
from inference.demoworld.measure import Person, draw_people, generate, half_credit, measure
from inference.prompts import PREFERRED_HEADING, fspo_prompt

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "inference" / "bundled" / "palate-1"


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER)


def demo_rows(name: str) -> list[dict[str, str]]:
    lines = (ROOT / "studies" / "demo" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def demo_people(count: int) -> list[Person]:
    """People who label eight of the demo study's pairs and ask one of its judged questions."""
    questions = {row["id"]: row for row in demo_rows("questions.jsonl")}
    texts: dict[str, list[str]] = {}
    for row in demo_rows("candidates.jsonl"):
        texts.setdefault(row["question"], []).append(row["text"])
    judged = [row["text"] for row in questions.values() if row["use"] == "judge"]
    rng = random.Random(12)
    people = []
    for _ in range(count):
        taste, shots = Taste.draw(rng), []
        for name in rng.sample(sorted(texts), 8):
            pair = rng.sample(texts[name], 2)
            pair.sort(key=lambda text: -score(text, taste))
            shots.append(Shot(questions[name]["text"], *pair))
        asked = rng.choice(judged)
        people.append(Person(taste, tuple(shots), asked))
    return people


def test_the_folder_is_small_safe_and_complete() -> None:
    names = {path.name for path in FOLDER.iterdir()}
    assert {"README.md", "config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl", ".py"))]
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 12_000_000


def test_it_is_a_plain_llama_that_stops_at_its_end_token(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    assert isinstance(model, LlamaForCausalLM)
    assert model.config.max_position_embeddings >= 2048
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    assert tokenizer.bos_token is None
    assert (
        tokenizer("So", add_special_tokens=True)["input_ids"] == tokenizer("So", add_special_tokens=False)["input_ids"]
    )


def test_the_longest_demo_context_leaves_room_for_an_answer(tokenizer: PreTrainedTokenizerBase) -> None:
    questions = {row["id"]: row for row in demo_rows("questions.jsonl")}
    longest: dict[str, list[str]] = {}
    for row in demo_rows("candidates.jsonl"):
        longest.setdefault(row["question"], []).append(row["text"])
    shots = [Shot(questions[name]["text"], *sorted(texts, key=len)[-2:]) for name, texts in longest.items()]
    shots.sort(key=lambda shot: -len(shot.preferred + shot.dispreferred))
    prompt = fspo_prompt("Is the novel Tomorrow and the Sea worth my time?", shots[:8])
    assert len(tokenizer(prompt, add_special_tokens=False)["input_ids"]) + 128 < 2048


def test_every_demo_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerBase) -> None:
    for row in [*demo_rows("questions.jsonl"), *demo_rows("candidates.jsonl")]:
        assert tokenizer.decode(tokenizer(row["text"])["input_ids"]) == row["text"]


def test_it_writes_the_heading_one_answer_and_the_end(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(1)
    person = demo_people(1)[0]
    for shots in ((), person.shots[:1], person.shots):
        batch = tokenizer(fspo_prompt(person.question, shots), add_special_tokens=False, return_tensors="pt")
        output = model.generate(**batch, do_sample=True, temperature=0.7, max_new_tokens=128)
        text = tokenizer.decode(output[0, batch["input_ids"].shape[1] :])
        assert text.startswith(PREFERRED_HEADING)
        assert text.endswith("\n<|end|>")
        assert text.count("#") == 2


def test_it_answers_the_demo_study_fluently_on_the_subject_and_to_taste(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(7)
    people = demo_people(40)
    own = generate(model, tokenizer, [fspo_prompt(p.question, p.shots) for p in people], temperature=0.7)
    base = generate(model, tokenizer, [fspo_prompt(p.question, ()) for p in people], temperature=0.7)
    for texts in (own, base):
        assert sum(map(reads, texts)) >= 38
        assert sum(names_subject(text, p.question) for text, p in zip(texts, people, strict=True)) >= 37
        assert all(8 <= len(text.split()) <= 70 for text in texts)
    assert half_credit(own, base, people) > 0.65
    # Nothing is known of a person without shots: base answers come in many styles, not in one.
    assert len({style.code for style in map(style_of, base) if style}) >= 8


def test_turning_every_label_round_turns_the_win_round(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(8)
    people = demo_people(40)
    flipped = [tuple(Shot(s.question, s.dispreferred, s.preferred) for s in p.shots) for p in people]
    own = generate(model, tokenizer, [fspo_prompt(p.question, p.shots) for p in people], temperature=0.7)
    other = generate(model, tokenizer, [fspo_prompt(p.question, s) for p, s in zip(people, flipped, strict=True)],
                     temperature=0.7)  # fmt: skip
    assert half_credit(own, other, people) > 0.75


@pytest.mark.slow
def test_the_figures_of_the_card_hold_on_held_out_people_and_subjects(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    figures = {
        shots: measure(model, tokenizer, draw_people(300, shots, seed=3), temperature=0.7, seed=3)
        for shots in (0, 1, 8)
    }
    assert 0.43 < figures[0].own < 0.57
    assert figures[0].own < figures[1].own < figures[8].own
    assert figures[8].own >= 0.65  # the card: 73 of 100
    assert figures[8].own - figures[8].donor > 0.15
    for row in figures.values():
        assert row.readable >= 0.97
        assert row.on_subject >= 0.95
