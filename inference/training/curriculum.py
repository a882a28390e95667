"""Rows that grow the inference of taste in a model that starts from nothing.

A small model does not find the inference in prompts as they are served: whole answers are mostly chance, what sets the
preferred one against the other cancels out while both are read alike, and a pair that tells everything teaches to read
the last pair alone. It finds it step by step, within minutes:

1. `sketch` rows: the sections of the shots without questions, an answer being one phrase an idea. A forced pair has the
   preferred answer wholly in the user's style and the other wholly against it; where one of the two speaks of something
   else (`alone`), the model must know which of the two it reads.
2. `noise` turns ideas of forced pairs round, so that all shots have to be read and not the nearest one.
3. Pairs as a questionnaire asks them (`forced` falls to 0), and then whole sentences.

Half of the questions are about any subject of their kind: names of held-out ones are learnt here, as words, and occur
in no labelled preference. A row is a function of its random stream alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inference.contracts import Shot
from inference.prompts import (
    DISPREFERRED_HEADING,
    PREFERRED_HEADING,
    description_target,
    fspo_prompt,
    fspo_target,
)
from inference.training.fewshot import Kind
from inference.world.answers import (
    LONG,
    SHIFTS,
    SHORT,
    STRAY,
    Contrast,
    Plan,
    Writer,
    draw_plan,
    draw_shot,
    level_plan,
    questionnaire,
    review_plan,
    views_plan,
    write,
)
from inference.world.forms import DOMAINS, EXPLANATIONS, FORMS, Idea
from inference.world.subjects import ASKED, SUBJECTS, Question, draw_question
from inference.world.users import LEVELS, LevelUser, Persona, ReviewUser, User, describe, users

FIRST_WORD = "It"  # of a sketched answer, so that its first phrase is a token like the others
RENAMED = 0.5  # share of questions about any subject of the kind, held-out ones included
Form = Literal["whole", "sketch"]
"""Prompts and answers as they are served, or bare sections of phrases."""


@dataclass(frozen=True, slots=True)
class Ease:
    """How easily a row's shots tell the taste, as chances from 0 to 1.

    `forced`: a shot forces the sign, instead of being a pair of a questionnaire. Of forced pairs, `turned`: the two
    differ in a further respect, one being sure; `alone`: one of the two speaks of another domain; `noise`: an idea says
    the opposite. Of the answer that is learnt, `stray`: an idea, or a review's length, is not to the user's liking.
    `mixed`: the shots are a whole person's, each of any domain. `aside`: a pair of a reader of reviews stays although
    it differs in something that this reader does not care about; else another one is asked.
    """

    forced: float = 0.0
    turned: float = 1.0
    alone: float = 0.0
    noise: float = 0.0
    stray: float = 0.0
    mixed: float = 0.0
    aside: float = 1.0


@dataclass(frozen=True, slots=True)
class Row:
    """One training row: an exact serving prompt and what the model must write after it; `name` is the subject's."""

    prompt: str
    target: str
    name: str = ""


def draw_row(kind: Kind, shots: int, ease: Ease, rng: random.Random, form: Form = "whole") -> Row:
    """A row of a fresh user of any domain, after `shots` shots. Answers are in the user's style, but for `ease.stray`.

    Without shots or a description nobody is written for: the answer is as the world's candidates are. A sketch is
    always an answer.
    """
    return draw_rows(kind, [shots], ease, rng, form)[0]


def draw_rows(kind: Kind, counts: Sequence[int], ease: Ease, rng: random.Random, form: Form = "whole") -> list[Row]:
    """As `draw_row`, a row after each of so many of the same user's shots, every one with a question of its own."""
    user, most = rng.choice(users(rng.choice(DOMAINS), "train")), max(counts)
    put = write if form == "whole" else sketch
    context = _mixed(user, most, ease, rng, put) if rng.random() < ease.mixed else _shots(user, most, ease, rng, put)
    return [_row_after(context[:count], kind, user, ease.stray, rng, form) for count in counts]


def _row_after(context: Sequence[Shot], kind: Kind, user: User, stray: float, rng: random.Random, form: Form) -> Row:
    asked = ask(user.domain, rng)
    if form == "whole":
        return _row(kind, user, context, asked, stray, rng)
    answer = sketch(asked, style_of(user, rng, stray), rng)
    return Row("".join(map(_sections, context)), fspo_target(answer))


def _shots(user: User, shots: int, ease: Ease, rng: random.Random, put: Writer) -> list[Shot]:
    contrasts: list[Contrast] = []
    while len(contrasts) < shots:
        every = questionnaire(user.domain, rng)
        contrasts += [one for one in every if _concerns(user, one) or rng.random() < ease.aside]
    return [
        _forced_shot(user, question, ease, rng, put)
        if rng.random() < ease.forced
        else draw_shot(user, question, contrast, rng, put)
        for question, contrast in ((ask(user.domain, rng), contrast) for contrast in contrasts[:shots])
    ]


def _concerns(user: User, contrast: Contrast) -> bool:
    """Whether a pair that differs so differs in nothing but what the user cares about."""
    return not isinstance(user, ReviewUser) or all(getattr(user, str(respect)) for respect in contrast)


def _mixed(user: User, shots: int, ease: Ease, rng: random.Random, put: Writer) -> list[Shot]:
    """Shots of a person who is `user` in one domain and somebody in each other."""
    domains = [rng.choice(DOMAINS) for _ in range(shots)]
    whole = {domain: user if domain == user.domain else rng.choice(users(domain, "train")) for domain in DOMAINS}
    by_domain = {domain: iter(_shots(whole[domain], domains.count(domain), ease, rng, put)) for domain in DOMAINS}
    return [next(by_domain[domain]) for domain in domains]


def sketch(question: Question, plan: Plan, rng: random.Random) -> str:
    """The plan without what opens its sentences: a phrase an idea."""
    return " ".join([FIRST_WORD, *(rng.choice(_predicates(idea)) for idea in plan)])


def _sections(shot: Shot) -> str:
    return f"{PREFERRED_HEADING}{shot.preferred}\n{DISPREFERRED_HEADING}{shot.dispreferred}\n"


def _predicates(idea: Idea) -> Sequence[str]:
    return FORMS[idea.domain][idea.aspect].predicates[idea.value]


def _row(kind: Kind, user: User, context: Sequence[Shot], question: Question, stray: float, rng: random.Random) -> Row:
    described = kind == "described"
    plan = style_of(user, rng, stray) if context or described else draw_plan(user.domain, rng)
    told = describe(user) if described else None
    prompt = fspo_prompt(question.text, context, rationale=kind != "answer" and bool(context), description=told)
    answer = fspo_target(write(question, plan, rng))
    target = description_target(describe(user)) + answer if kind == "describe" else answer
    return Row(prompt, target, question.subject.name)


def ask(domain: str, rng: random.Random) -> Question:
    """A question of training; half the time in any form and about any subject of its kind."""
    question = draw_question(rng, "train", domain)
    if rng.random() >= RENAMED:
        return question
    subject = rng.choice([subject for subject in SUBJECTS if subject.kind == question.subject.kind])
    return Question(subject, rng.choice(ASKED[subject.kind]).format(s=subject.name), "train")


def style_of(user: User, rng: random.Random, stray: float = 0.0) -> Plan:
    """An answer's plan to a user's liking; what the user does not care about is drawn.

    With chance `stray` an idea is not to their liking, as in the steered answers of the world.
    """
    match user:
        case Persona():
            return _noisy(views_plan(user.views), stray, rng)
        case LevelUser():
            return level_plan(user.level, rng, shifts=(0,) if rng.random() >= 2 * stray else SHIFTS)
        case ReviewUser():
            length = -user.length if rng.random() < stray else user.length
            return _noisy(_review(user.valence, length, rng), stray, rng)
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


def _forced_shot(user: User, question: Question, ease: Ease, rng: random.Random, put: Writer) -> Shot:
    plans = [_noisy(plan, ease.noise, rng) for plan in _opposed(user, ease.turned, rng)]
    if rng.random() < ease.alone:
        plans[rng.randrange(2)] = draw_plan(rng.choice([d for d in DOMAINS if d != user.domain]), rng)
    own, against = plans
    return Shot(question.text, put(question, own, rng), put(question, against, rng))


def _noisy(plan: Plan, noise: float, rng: random.Random) -> Plan:
    """The plan with some ideas turned round, where an idea has an opposite."""
    if not noise:
        return plan
    return tuple(
        replace(idea, value=-idea.value) if idea.domain != EXPLANATIONS and rng.random() < noise else idea
        for idea in plan
    )
