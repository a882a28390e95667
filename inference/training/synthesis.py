"""Few-shot rows from the world: a person's shots in the serving prompt, and an answer in that person's style.

A row is a function of the seed, the stage and its number alone, so that a run can be repeated and its rows inspected.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from inference.contracts import Shot
from inference.prompts import fspo_prompt, fspo_target
from inference.world import Question, Taste, draw_question, write
from inference.world.answers import draw_styles
from inference.world.forms import EXPLANATIONS, LEADS, OPEN, REVIEWS
from inference.world.subjects import Subject, questions_about

_SYLLABLES = (
    "ba", "cor", "den", "el", "fi", "gra", "hol", "im", "jo", "ka", "lun", "mor", "na", "os", "pel", "qui", "ra",
    "sol", "ti", "ur", "ven", "wo", "xi", "yar", "zen", "sta", "ble", "ch", "ing", "ght", "tre", "ous",
)  # fmt: skip
_WORDS = (
    "stone", "garden", "letter", "river", "engine", "window", "paper", "winter", "music", "market", "silver",
    "shadow", "bridge", "island", "mirror", "forest", "signal", "kitchen", "harbour", "copper", "thunder", "ladder",
    "valley", "feather", "circle", "morning", "pressure", "language", "neighbour", "bicycle", "weekend", "budget",
    "teacher", "evening", "language", "machine", "memory", "current", "cycle", "wave",
)  # fmt: skip
_VERBS = (
    "keeping", "buying", "selling", "learning", "sharing", "leaving", "building", "joining", "moving to", "giving up",
    "painting", "fixing", "starting", "writing", "visiting", "collecting",
)  # fmt: skip
_KINDS = {REVIEWS: ("film", "series", "novel"), EXPLANATIONS: ("topic",), OPEN: ("choice",)}


@dataclass(frozen=True, slots=True)
class Mix:
    """One kind of row.

    `shots` are the numbers of shots to draw from; `forced` the share of sign-forcing pairs at the first and at the last
    row, annealed linearly; `gists`, when not 0, cuts answers to their lead-ins and questions to their subject, with so
    many lead-ins a pole.
    """

    shots: Sequence[int]
    forced: tuple[float, float] = (0.0, 0.0)
    gists: int = 0


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
    pairs = [_pair(taste, is_forced, mix.gists, rng) for _ in range(shots)]
    question = draw_question(rng, held_out=False) if mix.gists else training_question(rng)
    asked = question.subject.name if mix.gists else question.text
    return Row(fspo_prompt(asked, pairs), fspo_target(_text(question, taste, mix.gists, rng)), shots)


def training_question(rng: random.Random) -> Question:
    """A question on a seen subject or, half the time, on a made-up one: names must be copied, not remembered."""
    seen = draw_question(rng, held_out=False)
    return seen if rng.random() < 0.5 else rng.choice(questions_about(_made_up(seen.domain, rng)))


def _pair(taste: Taste, forced: bool, gists: int, rng: random.Random) -> Shot:
    question = draw_question(rng, held_out=False) if gists else training_question(rng)
    preferred, dispreferred = draw_styles(taste, rng, forced=forced)
    if gists:
        # Shuffled, so that a lead-in cannot be found by the one before it: what block it stands in must be learnt.
        return Shot(
            question.subject.name, *(_gist(style, gists, rng, shuffled=True) for style in (preferred, dispreferred))
        )
    return Shot(question.text, write(question, preferred, rng), write(question, dispreferred, rng))


def _text(question: Question, style: Taste, gists: int, rng: random.Random) -> str:
    return _gist(style, gists, rng) if gists else write(question, style, rng)


def _gist(style: Taste, variety: int, rng: random.Random, *, shuffled: bool = False) -> str:
    leads = [rng.choice(LEADS[pole][:variety]) for pole in style.poles.values()]
    if shuffled:
        rng.shuffle(leads)
    return " ".join(leads)


def _made_up(domain: str, rng: random.Random) -> Subject:
    words = [_word(rng) for _ in range(rng.randint(1, 3))]
    if domain == REVIEWS:
        name = " ".join([*(["The"] if rng.random() < 0.5 else []), *(word.capitalize() for word in words)])
    elif domain == EXPLANATIONS:
        name = " ".join([*rng.choice([["the"], ["a"], []]), *words])
    else:
        name = " ".join([rng.choice(_VERBS), *words])
    return Subject(name, domain, rng.choice(_KINDS[domain]))


def _word(rng: random.Random) -> str:
    if rng.random() < 0.5:
        return rng.choice(_WORDS)
    return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3)))
