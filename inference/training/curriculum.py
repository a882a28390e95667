"""Rows that grow the inference of taste in a model that starts from nothing.

A small model learns to read a taste off its shots when every pair forces the sign: the preferred answer is wholly in
the user's style and the other wholly against it. `forced` is annealed to pairs as a questionnaire asks them. Half of
the subjects have made-up names, so that naming the subject is copying and not remembering.

A row is a function of its random stream alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from inference.contracts import Shot
from inference.prompts import description_target, fspo_prompt, fspo_target
from inference.world.answers import (
    LONG,
    SHORT,
    STRAY,
    Plan,
    draw_shots,
    level_plan,
    review_plan,
    views_plan,
    write,
)
from inference.world.forms import DOMAINS
from inference.world.names import made_up
from inference.world.subjects import ASKED, Question, draw_question
from inference.world.users import LEVELS, LevelUser, Persona, ReviewUser, User, describe, users

MADE_UP = 0.5  # share of questions about a made-up subject


@dataclass(frozen=True, slots=True)
class Row:
    """One training row: an exact serving prompt and what the model must write after it."""

    prompt: str
    target: str


def draw_row(kind: str, shots: int, forced: float, rng: random.Random) -> Row:
    """A row of a fresh user of any domain, after `shots` shots each of which forces the sign with chance `forced`.

    `kind` says what is to be written, as in `fewshot.Kind`. Answers are wholly in the user's style.
    """
    user = rng.choice(users(rng.choice(DOMAINS), "train"))
    asked = [ask(user.domain, rng) for _ in range(shots + 1)]
    context = [
        _forced_shot(user, question, rng) if rng.random() < forced else shot
        for question, shot in zip(asked, draw_shots(user, asked[:-1], rng), strict=False)
    ]
    return _row(kind, user, context, asked[-1], rng)


def _row(kind: str, user: User, context: Sequence[Shot], question: Question, rng: random.Random) -> Row:
    if kind == "describe":
        return Row(fspo_prompt(question.text, context, rationale=True), description_target(describe(user)))
    described = kind == "described"
    prompt = fspo_prompt(
        question.text, context, rationale=described and bool(context), description=describe(user) if described else None
    )
    return Row(prompt, fspo_target(write(question, style_of(user, rng), rng)))


def ask(domain: str, rng: random.Random) -> Question:
    """A question of training, half the time about a subject whose name is made up."""
    question = draw_question(rng, "train", domain)
    if rng.random() >= MADE_UP:
        return question
    subject = made_up(question.subject, rng)
    return Question(subject, rng.choice(ASKED[subject.kind]).format(s=subject.name), "train")


def style_of(user: User, rng: random.Random) -> Plan:
    """An answer's plan wholly to a user's liking; what the user does not care about is drawn."""
    match user:
        case Persona():
            return views_plan(user.views)
        case LevelUser():
            return level_plan(user.level, rng, shifts=(0,))
        case ReviewUser():
            return _review(user.valence, user.length, rng)
    raise TypeError(f"no style is known for {type(user).__name__}")


def _against(user: User, own: Plan, rng: random.Random) -> Plan:
    """A plan wholly against a user's liking, and like `own` in what the user does not care about."""
    match user:
        case Persona():
            return views_plan([-view for view in user.views])
        case LevelUser():
            far = [level for level in LEVELS if abs(level - user.level) > 1]
            return level_plan(rng.choice(far), rng, shifts=(0,))
        case ReviewUser(valence, length):
            if not length:
                return review_plan(-valence, len(own), rng, stray=0)
            return _review(-valence, -length, rng)
    raise TypeError(f"no style is known for {type(user).__name__}")


def _review(valence: int, length: int, rng: random.Random) -> Plan:
    sizes = {1: LONG[-1:], -1: SHORT[:1]}.get(length, (*SHORT, *LONG))
    return review_plan(valence or rng.choice((1, -1)), rng.choice(sizes), rng, stray=0 if valence else STRAY)


def _forced_shot(user: User, question: Question, rng: random.Random) -> Shot:
    own = style_of(user, rng)
    return Shot(question.text, write(question, own, rng), write(question, _against(user, own, rng), rng))
