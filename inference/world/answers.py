"""Answers of the world, pairs of them, and the shots of a person: whatever is labelled in it.

A *plan* is what an answer says, idea by idea; `write` puts it into words. Candidates come about as in the method's own
data: by steering (the answer of a random somebody, who does not quite keep to their manner) in reviews and
explanations, by view-conditioning (list the viewpoints, answer once for each) in open-ended questions.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence

from inference.contracts import Shot
from inference.world.forms import EXPLANATIONS, FORMS, OPEN, REVIEWS, Idea, aspects_of
from inference.world.subjects import Question, Subject
from inference.world.users import LEVELS, User

Plan = tuple[Idea, ...]
Writer = Callable[[Question, Plan, random.Random], str]
"""Puts a plan into words."""
Contrast = tuple[str | int, ...]
"""In what two candidates differ: names of respects, or a pair of levels."""
SHORT, LONG = (1, 2), (4, 5, 6)  # sentences of a short and of a long review
STRAY = 0.25  # a steered sentence of a review has the other value
SHIFTS = (-1, 0, 0, 1)  # how far a steered sentence of an explanation is from its level
SHOTS = 8
TIE = 1e-9  # likings closer than this are equal


def write(question: Question, plan: Sequence[Idea], rng: random.Random) -> str:
    """The plan in words, one sentence an idea: 1 to 6 sentences."""
    return " ".join(_sentence(question, idea, rng) for idea in plan)


def _sentence(question: Question, idea: Idea, rng: random.Random) -> str:
    forms = FORMS[idea.domain][idea.aspect]
    opening = rng.choice(forms.openings).replace("{s}", question.subject.name)
    return f"{opening} {rng.choice(forms.predicates[idea.value])}"


def write_alike(rng: random.Random) -> Writer:
    """A writer that puts every plan into the same words, but for what the plans say: common random numbers.

    Two answers to one question then differ in their ideas alone.
    """
    seed = rng.getrandbits(64)

    def put(question: Question, plan: Plan, _: random.Random) -> str:
        return " ".join(_sentence(question, idea, random.Random(f"{seed}/{idea.aspect}")) for idea in plan)

    return put


def viewpoints() -> list[Plan]:
    """The sixteen viewpoints from which an open-ended question can be answered."""
    return [views_plan(views) for views in itertools.product((1, -1), repeat=len(aspects_of(OPEN)))]


def views_plan(views: Sequence[int]) -> Plan:
    """An open-ended answer that takes these views, one an aspect."""
    return tuple(Idea(OPEN, aspect, view) for aspect, view in zip(aspects_of(OPEN), views, strict=True))


def review_plan(valence: int, sentences: int, rng: random.Random, *, stray: float = STRAY) -> Plan:
    """A review of so many sentences; each but for chance `stray` of the wanted value. The verdict comes first."""
    verdict, *others = aspects_of(REVIEWS)
    chosen = {verdict, *rng.sample(others, sentences - 1)}
    return tuple(
        Idea(REVIEWS, aspect, -valence if rng.random() < stray else valence)
        for aspect in aspects_of(REVIEWS)
        if aspect in chosen
    )


def level_plan(level: int, rng: random.Random, *, shifts: Sequence[int] = SHIFTS) -> Plan:
    """An explanation around a level, every sentence shifted by one of `shifts`, within the five levels.

    It says what the subject is, and then two things of three.
    """
    what, *others = aspects_of(EXPLANATIONS)
    chosen = {what, *rng.sample(others, len(others) - 1)}
    return tuple(
        Idea(EXPLANATIONS, aspect, min(LEVELS[-1], max(LEVELS[0], level + rng.choice(shifts))))
        for aspect in aspects_of(EXPLANATIONS)
        if aspect in chosen
    )


def draw_plan(domain: str, rng: random.Random) -> Plan:
    """A candidate's plan, drawn without a look at whoever will judge it."""
    if domain == REVIEWS:
        return review_plan(rng.choice((1, -1)), rng.choice(rng.choice((SHORT, LONG))), rng)
    if domain == EXPLANATIONS:
        return level_plan(rng.choice(LEVELS), rng)
    return rng.choice(viewpoints())


def questionnaire(domain: str, rng: random.Random) -> list[Contrast]:
    """The contrasts of eight pairs, in random order: enough to tell the users of a domain apart, the same for
    everybody.

    Reviews: three pairs differ in valence, three in length, two in both. Explanations: the four pairs of neighbouring
    levels and four others. Open-ended: every view alone once, two views alone again, and two pairs that differ in two
    to four views.
    """
    if domain == REVIEWS:
        drawn: list[Contrast] = [("valence",)] * 3 + [("length",)] * 3 + [("valence", "length")] * 2
    elif domain == EXPLANATIONS:
        pairs = list(itertools.combinations(LEVELS, 2))
        drawn = [pair for pair in pairs if pair[1] - pair[0] == 1]
        drawn += rng.sample([pair for pair in pairs if pair[1] - pair[0] > 1], SHOTS - len(drawn))
    else:
        views = aspects_of(OPEN)
        drawn = [(view,) for view in (*views, *rng.sample(views, 2))]
        drawn += [tuple(rng.sample(views, rng.randint(2, len(views)))) for _ in range(SHOTS - len(drawn))]
    rng.shuffle(drawn)
    return drawn


def draw_pair(domain: str, contrast: Contrast, rng: random.Random) -> tuple[Plan, Plan]:
    """Two candidates' plans that differ as `contrast` says, in random order. Nobody's taste has a say."""
    pair = {REVIEWS: _review_pair, EXPLANATIONS: _level_pair, OPEN: _view_pair}[domain](contrast, rng)
    return pair if rng.random() < 0.5 else (pair[1], pair[0])


def _review_pair(contrast: Contrast, rng: random.Random) -> tuple[Plan, Plan]:
    valence, sizes = rng.choice((1, -1)), [SHORT, LONG]
    rng.shuffle(sizes)
    count = rng.choice(sizes[0])
    other = rng.choice(sizes[1]) if "length" in contrast else count
    return review_plan(valence, count, rng), review_plan(-valence if "valence" in contrast else valence, other, rng)


def _level_pair(contrast: Contrast, rng: random.Random) -> tuple[Plan, Plan]:
    low, high = (int(level) for level in contrast)
    return level_plan(low, rng), level_plan(high, rng)


def _view_pair(contrast: Contrast, rng: random.Random) -> tuple[Plan, Plan]:
    views = [rng.choice((1, -1)) for _ in aspects_of(OPEN)]
    other = [-view if aspect in contrast else view for aspect, view in zip(aspects_of(OPEN), views, strict=True)]
    return views_plan(views), views_plan(other)


def prefers_first(user: User, first: Plan, second: Plan, subject: Subject | None, rng: random.Random) -> bool:
    """Whether the user prefers the first of two answers; a coin when both are liked alike."""
    difference = user.likes(first, subject) - user.likes(second, subject)
    return rng.random() < 0.5 if abs(difference) < TIE else difference > 0


def draw_shots(user: User, asked: Sequence[Question], rng: random.Random, put: Writer = write) -> list[Shot]:
    """The labelled preferences of a user, one a question, over one questionnaire of eight contrasts after another.

    `put` puts a plan into words.
    """
    contrasts: list[Contrast] = []
    while len(contrasts) < len(asked):
        contrasts += questionnaire(user.domain, rng)
    return [draw_shot(user, question, contrast, rng, put) for question, contrast in zip(asked, contrasts, strict=False)]


def draw_shot(user: User, question: Question, contrast: Contrast, rng: random.Random, put: Writer = write) -> Shot:
    """One labelled preference between two answers to a question, written before anybody looks at them."""
    first, second = draw_pair(user.domain, contrast, rng)
    texts = put(question, first, rng), put(question, second, rng)
    preferred, dispreferred = texts if prefers_first(user, first, second, question.subject, rng) else texts[::-1]
    return Shot(question.text, preferred, dispreferred)
