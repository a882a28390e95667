"""Rows that grow the inference of taste in a model that starts from nothing.

A small model learns to read a taste off its shots when every pair forces the sign: the preferred answer is wholly in
the user's style and the other wholly against it. `forced` is annealed to pairs as a questionnaire asks them. It learns
it within a hundred steps, and not at all in ten times as many otherwise, from answers in shorthand: one phrase an idea
and no names, so that little in them is chance. `brief` is annealed to whole sentences. To set the dispreferred answer
against the preferred one, and not to read the preferred one alone, it learns from pairs that share more and more:
`turned` is annealed from every respect to one. Half of the subjects have made-up names, so that naming the subject is
copying and not remembering.

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
    Writer,
    draw_shots,
    level_plan,
    review_plan,
    views_plan,
    write,
)
from inference.world.forms import DOMAINS, FORMS, Idea
from inference.world.names import made_up
from inference.world.subjects import ASKED, Question, draw_question
from inference.world.users import LEVELS, LevelUser, Persona, ReviewUser, User, describe, users

BRIEF = "It"  # begins an answer in shorthand, so that its first phrase is a token like the others
MADE_UP = 0.5  # share of questions about a made-up subject


@dataclass(frozen=True, slots=True)
class Ease:
    """How easily a row's shots tell the taste, as chances from 0 to 1.

    `forced`: a shot forces the sign, instead of being a pair of a questionnaire; `turned`: such a pair differs in a
    further respect, one being sure; `brief`: the row's answers are in shorthand.
    """

    forced: float = 0.0
    turned: float = 1.0
    brief: float = 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One training row: an exact serving prompt and what the model must write after it."""

    prompt: str
    target: str


def draw_row(kind: str, shots: int, ease: Ease, rng: random.Random) -> Row:
    """A row of a fresh user of any domain, after `shots` shots.

    `kind` says what is to be written, as in `fewshot.Kind`. Answers are wholly in the user's style.
    """
    user = rng.choice(users(rng.choice(DOMAINS), "train"))
    asked = [ask(user.domain, rng) for _ in range(shots + 1)]
    put = rng.choice((shorthand, plainest)) if rng.random() < ease.brief else write
    context = [
        _forced_shot(user, question, ease.turned, rng, put) if rng.random() < ease.forced else shot
        for question, shot in zip(asked, draw_shots(user, asked[:-1], rng, put), strict=False)
    ]
    return _row(kind, user, context, asked[-1], rng, put)


def shorthand(question: Question, plan: Plan, rng: random.Random) -> str:
    """The plan without what opens its sentences: a predicate an idea."""
    return " ".join([BRIEF, *(rng.choice(_predicates(idea)) for idea in plan)])


def plainest(question: Question, plan: Plan, rng: random.Random) -> str:
    """Shorthand that puts an idea always in the same words."""
    return " ".join([BRIEF, *(_predicates(idea)[0] for idea in plan)])


def _predicates(idea: Idea) -> Sequence[str]:
    return FORMS[idea.domain][idea.aspect].predicates[idea.value]


def _row(kind: str, user: User, context: Sequence[Shot], question: Question, rng: random.Random, put: Writer) -> Row:
    if kind == "describe":
        return Row(fspo_prompt(question.text, context, rationale=True), description_target(describe(user)))
    described = kind == "described"
    prompt = fspo_prompt(
        question.text, context, rationale=described and bool(context), description=describe(user) if described else None
    )
    return Row(prompt, fspo_target(put(question, style_of(user, rng), rng)))


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


def _opposed(user: User, turned: float, rng: random.Random) -> tuple[Plan, Plan]:
    """A plan to a user's liking and one against it, alike in what the user does not care about.

    A persona's two differ in one respect at least and share the others, each with chance 1 - `turned`.
    """
    match user:
        case Persona():
            return _turned_views(user, turned, rng)
        case LevelUser():
            far = [level for level in LEVELS if abs(level - user.level) > 1]
            return style_of(user, rng), level_plan(rng.choice(far), rng, shifts=(0,))
        case ReviewUser(valence, length):
            own = style_of(user, rng)
            return own, _review(-valence, -length, rng) if length else review_plan(-valence, len(own), rng, stray=0)
    raise TypeError(f"no style is known for {type(user).__name__}")


def _turned_views(user: Persona, turned: float, rng: random.Random) -> tuple[Plan, Plan]:
    sure = rng.randrange(len(user.views))
    differs = [number == sure or rng.random() < turned for number in range(len(user.views))]
    shared = [rng.choice((1, -1)) for _ in user.views]
    own = [view if differ else other for view, differ, other in zip(user.views, differs, shared, strict=True)]
    against = [-view if differ else other for view, differ, other in zip(user.views, differs, shared, strict=True)]
    return views_plan(own), views_plan(against)


def _review(valence: int, length: int, rng: random.Random) -> Plan:
    sizes = {1: LONG[-1:], -1: SHORT[:1]}.get(length, (*SHORT, *LONG))
    return review_plan(valence or rng.choice((1, -1)), rng.choice(sizes), rng, stray=0 if valence else STRAY)


def _forced_shot(user: User, question: Question, turned: float, rng: random.Random, put: Writer) -> Shot:
    own, against = _opposed(user, turned, rng)
    return Shot(question.text, put(question, own, rng), put(question, against, rng))
