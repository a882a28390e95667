"""Measure a checkpoint on held-out people, questions and subjects by the exact judge.

    python -m inference.demoworld.measure MODELDIR [--people 200] [--shots 0 1 2 4 8] [--temperature 0.7] [--seed 1]

Each person answers nothing here: they are drawn with a taste and labelled pairs on held-out subjects, and judge three
texts for one more held-out question: after their own shots, after another person's (a donor drawn uniformly, own kind
included), and after none (base). A win counts one, a tie half.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from inference.contracts import Shot
from inference.demoworld import Taste, draw_question, draw_shot, names_subject, reads, score
from inference.prompts import PREFERRED_HEADING, fspo_prompt

BATCH = 100
MAX_NEW_TOKENS = 120


@dataclass(frozen=True, slots=True)
class Person:
    """A held-out person: taste, labelled pairs, and a question to be answered."""

    taste: Taste
    shots: tuple[Shot, ...]
    question: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Shares of 1 over `n` people: own and donor's win rate against base (ties half), fluency, subject, traits."""

    shots: int
    n: int
    own: float
    donor: float
    readable: float
    on_subject: float
    traits: float


def draw_people(count: int, shots: int, seed: int, *, held_out: bool = True) -> list[Person]:
    """People with `shots` labelled pairs each; the order of the list is random in taste."""
    people = []
    for index in range(count):
        rng = random.Random(f"{seed}/person/{index}")
        taste = Taste.draw(rng)
        pairs = tuple(draw_shot(draw_question(rng, held_out=held_out), taste, rng) for _ in range(shots))
        people.append(Person(taste, pairs, draw_question(rng, held_out=held_out).text))
    return people


def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], *, temperature: float
) -> list[str]:
    """One sampled answer a prompt, heading stripped. Prompts are batched by length, answers come in their order."""
    answers = [""] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        batch = tokenizer(
            [prompts[index] for index in chosen], add_special_tokens=False, padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            output = model.generate(  # type: ignore[operator]
                **batch, do_sample=True, temperature=temperature, max_new_tokens=MAX_NEW_TOKENS
            )
        for index, tokens in zip(chosen, output, strict=True):
            text = str(tokenizer.decode(tokens[batch["input_ids"].shape[1] :], skip_special_tokens=True))
            answers[index] = text.removeprefix(PREFERRED_HEADING).strip()
    return answers


def half_credit(texts: Sequence[str], base: Sequence[str], people: Sequence[Person]) -> float:
    """Share of people whose judge scores `texts` above `base`, ties half."""
    wins = 0.0
    for text, other, person in zip(texts, base, people, strict=True):
        difference = score(text, person.taste) - score(other, person.taste)
        wins += 0.5 if difference == 0 else float(difference > 0)
    return wins / len(people)


def measure(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    people: Sequence[Person],
    *,
    temperature: float,
    seed: int,
) -> Figures:
    """Own, donor's and no shots for the same people, questions and base texts."""
    set_seed(seed)
    rng = random.Random(f"{seed}/donors")
    donors = [rng.choice(people) for _ in people]

    def ask(shots: Sequence[Sequence[Shot]]) -> list[str]:
        prompts = [fspo_prompt(p.question, s) for p, s in zip(people, shots, strict=True)]
        return generate(model, tokenizer, prompts, temperature=temperature)

    own, donor, base = ask([p.shots for p in people]), ask([p.shots for p in donors]), ask([() for _ in people])
    n = len(people)
    return Figures(
        shots=len(people[0].shots),
        n=n,
        own=half_credit(own, base, people),
        donor=half_credit(donor, base, people),
        readable=sum(map(reads, own)) / n,
        on_subject=sum(names_subject(text, p.question) for text, p in zip(own, people, strict=True)) / n,
        traits=sum(score(text, p.taste) for text, p in zip(own, people, strict=True)) / (4 * n),
    )


def table(rows: Sequence[Figures]) -> str:
    """The figures as a Markdown table, in per cent."""
    head = (
        "| shots | people | own shots beat base | a donor's beat base | traits right | readable | names the subject |"
    )
    lines = [head, "|---" * 7 + "|"]
    for f in rows:
        shares = (f.own, f.donor, f.traits, f.readable, f.on_subject)
        lines.append(f"| {f.shots} | {f.n} | " + " | ".join(f"{100 * share:.1f}" for share in shares) + " |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Parse, measure, print the table, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.demoworld.measure", description="Measure a checkpoint.")
    parser.add_argument("model", type=Path, help="folder of a checkpoint, such as inference/bundled/palate-1")
    parser.add_argument("--people", type=int, default=200, help="held-out people for each number of shots")
    parser.add_argument("--shots", type=int, nargs="+", default=[0, 1, 2, 4, 8])
    parser.add_argument("--temperature", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seen", action="store_true", help="ask about subjects seen in training instead")
    options = parser.parse_args(arguments)
    if options.people < 1 or min(options.shots) < 0 or options.temperature <= 0:
        parser.error("--people must be at least 1, --shots at least 0, --temperature over 0")
    if not (options.model / "config.json").is_file():
        print(f"{options.model}: no checkpoint here (config.json is missing)", file=sys.stderr)
        return 1
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model)
    rows = []
    for shots in options.shots:
        people = draw_people(options.people, shots, options.seed, held_out=not options.seen)
        rows.append(measure(model, tokenizer, people, temperature=options.temperature, seed=options.seed))
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
