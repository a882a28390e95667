"""Few-shot examples: shots sampled from a user, a held-out preference of the same user, and the serving prompt.

A user is a task: some of their labelled preferences are context, another one is what the model must write or prefer.
Prompts come from `inference.prompts`, the functions that serve.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from transformers import PreTrainedTokenizerBase

from inference.contracts import Shot
from inference.prompts import description_target, fspo_prompt, fspo_target
from inference.training.preferences import Labelled

Kind = Literal["answer", "describe", "described"]
"""What is asked: an answer; a description and then the answer (RAT's two steps, and the description is where the first
ends); an answer given the description (second step, oracle)."""

IGNORED = -100


class TooLongError(ValueError):
    """An example does not fit the model even without shots; the message says how long it is."""


@dataclass(frozen=True, slots=True)
class Example:
    """An exact serving prompt, what a user prefers after it, and (where there is one) what they prefer it to."""

    prompt: str
    chosen: str
    rejected: str
    shots: int


def draw_example(user: Labelled, kind: Kind, shots: int, rng: random.Random, fits: Callable[[str], bool]) -> Example:
    """An example of a user with `shots` shots (fewer where the user has fewer) and one other preference.

    Shots come from one set, in random order, and the other preference from another set where there is one. When the
    prompt with its longer answer does not fit, whole shots are dropped, oldest first. Raises TooLongError when nothing
    is left to drop.
    """
    context, asked = _draw(user, shots, rng)
    for dropped in range(len(context) + 1):
        example = _example(user, kind, context[dropped:], asked)
        longest = max(example.chosen, example.rejected, key=len)
        if fits(example.prompt + longest):
            return example
        if kind == "describe" and len(context) - dropped <= 1:
            break
    raise TooLongError(
        f"a preference of user {user.user!r} does not fit the model's context even without shots "
        f"(question {asked.question[:60]!r}): shorten its texts or take a model with a longer context"
    )


def _draw(user: Labelled, shots: int, rng: random.Random) -> tuple[list[Shot], Shot]:
    if len(user.sets) > 1 and any(len(one) > 1 for one in user.sets):
        source, other = rng.sample(user.sets, 2)
        decided = [shot for shot in other if shot not in user.undecided]
        return rng.sample(source, min(shots, len(source))), rng.choice(decided or other)
    every = [shot for one in user.sets for shot in one]
    chosen = rng.sample(every, min(shots + 1, len(every)))
    return chosen[:-1], chosen[-1]


def _example(user: Labelled, kind: Kind, shots: Sequence[Shot], asked: Shot) -> Example:
    if kind == "describe":
        prompt = fspo_prompt(asked.question, shots, rationale=True)
        return Example(prompt, description_target(user.description) + fspo_target(asked.preferred), "", len(shots))
    # In training as in serving, RAT's second step asks with the rationale's task line; without shots it is the oracle.
    described = kind == "described"
    prompt = fspo_prompt(
        asked.question, shots, rationale=described and bool(shots), description=user.description if described else None
    )
    return Example(prompt, fspo_target(asked.preferred), fspo_target(asked.dispreferred), len(shots))


def encode(prompt: str, target: str, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """Token ids of prompt, target and end; labels are ignored but on the target and the end. No token in front."""
    before: list[int] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after: list[int] = tokenizer(target, add_special_tokens=False)["input_ids"]
    after = [*after, int(tokenizer.eos_token_id)]
    return {"input_ids": [*before, *after], "labels": [IGNORED] * len(before) + after}
