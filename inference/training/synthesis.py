"""Few-shot rows from the world: a person's shots in the serving prompt, and an answer in that person's style.

A row is a function of the seed, the stage and its number alone, so that a run can be repeated and its rows inspected.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from inference.prompts import fspo_prompt, fspo_target
from inference.world import Question, Taste, draw_question, draw_shot, write

HELD_OUT_SHARE = 0.2  # of rows without shots: the share of held-out subjects among all

@dataclass(frozen=True, slots=True)
class Mix:
    """One kind of row.

    `shots` are the numbers of shots to draw from; `forced` the share of sign-forcing pairs at the first and at the last
    row, annealed linearly.
    """

    shots: Sequence[int]
    forced: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One training example: an exact serving prompt and what the model must write after it."""

    prompt: str
    target: str
    shots: int


def draw_row(mix: Mix, *, shots: int, forced: float, rng: random.Random) -> Row:
    """A row of a fresh person: `shots` labelled pairs, and an answer in the person's style to another question.

    `forced` is the probability that the row's pairs are sign-forcing. Without shots nothing is known of the person, so
    that over many rows the model learns to answer in any style.
    """
    taste = Taste.draw(rng)
    is_forced = rng.random() < forced
    pairs = [draw_shot(draw_question(rng, held_out=False), taste, rng, forced=is_forced) for _ in range(shots)]
    question = draw_question(rng, held_out=False) if shots else plain_question(rng)
    return Row(fspo_prompt(question.text, pairs), fspo_target(write(question, taste, rng)), shots)


def plain_question(rng: random.Random) -> Question:
    """A question of a row without shots: on any subject, so that the names of held-out ones can be written too."""
    return draw_question(rng, held_out=rng.random() < HELD_OUT_SHARE)
