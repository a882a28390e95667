"""The shipped model does what its card says: fluent, on the subject, and in the style of the shots it was given."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from inference.contracts import Shot
from inference.normalise import normalise
from inference.prompts import DESCRIPTION_HEADING, PREFERRED_HEADING, fspo_prompt
from inference.training.descriptions import STOPS
from inference.training.sampling import sample
from inference.world import (
    DOMAINS,
    OPEN,
    Taste,
    describe,
    draw_question,
    draw_shots,
    names_subject,
    read,
    reads,
    score,
    users,
)

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "inference" / "bundled" / "palate-1"
# Win rates against base at eight shots; the card has the measured ones.
CARD = {"reviews": 0.8, "explanations": 0.82, OPEN: 0.88}


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    return AutoModelForCausalLM.from_pretrained(FOLDER)


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(FOLDER)


def demo_rows(name: str) -> list[dict[str, str]]:
    lines = (ROOT / "studies" / "demo" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@dataclass(frozen=True, slots=True)
class Person:
    """A whole taste, labelled pairs, and a question."""

    taste: Taste
    shots: tuple[Shot, ...]
    question: str


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


def answers(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, people: list[Person], shots: list[tuple[Shot, ...]]
) -> list[str]:
    prompts = [fspo_prompt(person.question, given) for person, given in zip(people, shots, strict=True)]
    return [normalise(t).shown for t in sample(model, tokenizer, prompts, temperature=0.7, max_tokens=128, batch=32)]


def test_continuations_of_one_prompt_are_those_of_the_prompt_asked_alone(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    prompts = [fspo_prompt(p.question, p.shots[:n], rationale=bool(n)) for n, p in enumerate(demo_people(5))]
    settings: dict[str, Any] = {"temperature": 1e-4, "max_tokens": 24, "stops": STOPS}  # as good as greedy
    alone = [sample(model, tokenizer, [prompt], **settings)[0] for prompt in prompts]
    assert len(set(alone)) > 3  # two people may be described alike
    assert sample(model, tokenizer, prompts, each=3, batch=7, **settings) == [t for t in alone for _ in range(3)]
    torch.manual_seed(1)
    assert len(set(sample(model, tokenizer, prompts[-1:], each=8, temperature=1.0, max_tokens=24))) > 1


def win_rate(own: list[str], other: list[str], people: list[Person]) -> float:
    gaps = [score(a, p.taste) - score(b, p.taste) for a, b, p in zip(own, other, people, strict=True)]
    return sum(0.5 + 0.5 * ((gap > 1e-9) - (gap < -1e-9)) for gap in gaps) / len(gaps)


def test_it_answers_the_demo_study_fluently_on_the_subject_and_to_taste(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(7)
    people = demo_people(48)
    own = answers(model, tokenizer, people, [p.shots for p in people])
    base = answers(model, tokenizer, people, [()] * len(people))
    flipped = [tuple(Shot(s.question, s.dispreferred, s.preferred) for s in p.shots) for p in people]
    against = answers(model, tokenizer, people, flipped)
    for texts in (own, base):
        assert sum(map(reads, texts)) >= 45
        assert sum(names_subject(text, p.question) for text, p in zip(texts, people, strict=True)) >= 43
        assert all(6 <= len(text.split()) <= 90 for text in texts)
    assert win_rate(own, base, people) > 0.6
    assert win_rate(own, against, people) > 0.7
    # Nothing is known of a person without shots: base answers take many sides, not one.
    assert len({read(text).ideas[0].value for text in base if read(text).ideas}) >= 4


@pytest.mark.slow
@pytest.mark.parametrize("domain", DOMAINS)
def test_the_figures_of_the_card_hold_on_held_out_people_and_subjects(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase, domain: str
) -> None:
    torch.manual_seed(3)
    rng = random.Random(f"card/{domain}")
    people = [held_out(domain, rng) for _ in range(240)]
    base = answers(model, tokenizer, people, [()] * len(people))
    rates = {
        shots: win_rate(answers(model, tokenizer, people, [p.shots[:shots] for p in people]), base, people)
        for shots in (1, 4, 8)
    }
    donors = [person.shots for person in rng.sample(people, len(people))]
    assert rates[1] < rates[4] < rates[8] + 0.02
    assert rates[8] > CARD[domain]
    assert rates[8] - win_rate(answers(model, tokenizer, people, donors), base, people) > 0.15
    assert sum(map(reads, base)) / len(base) >= 0.97


@pytest.mark.slow
def test_a_true_description_and_one_of_its_own_both_help(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    torch.manual_seed(4)
    rng = random.Random("card/descriptions")
    people = [held_out(OPEN, rng) for _ in range(160)]

    def written(prompts: list[str], stops: tuple[str, ...] = ()) -> list[str]:
        return sample(model, tokenizer, prompts, temperature=0.7, max_tokens=128, batch=32, stops=stops)

    base = answers(model, tokenizer, people, [()] * len(people))
    told = [fspo_prompt(p.question, (), description=describe(p.taste.persona)) for p in people]
    asked = [fspo_prompt(p.question, p.shots, rationale=True) for p in people]
    said = [text.partition("\n#")[0].removeprefix(DESCRIPTION_HEADING) for text in written(asked, STOPS)]
    both = [fspo_prompt(p.question, p.shots, rationale=True, description=d) for p, d in zip(people, said, strict=True)]
    oracle, rat = ([normalise(text).shown for text in written(prompts)] for prompts in (told, both))
    assert win_rate(oracle, base, people) > 0.92
    assert win_rate(rat, base, people) > 0.86
    assert sum(map(reads, [*oracle, *rat])) / (2 * len(people)) > 0.95


def held_out(domain: str, rng: random.Random) -> Person:
    """Somebody whom training never met, asked about subjects that it never met."""
    taste = Taste.draw(rng)
    user = rng.choice(users(domain, "held_out"))
    part = {"reviews": "review", "explanations": "level"}.get(domain, "persona")
    asked = [draw_question(rng, "subjects", domain) for _ in range(9)]
    shots = tuple(draw_shots(user, asked[:-1], rng))
    return Person(replace(taste, **{part: user}), shots, asked[-1].text)
