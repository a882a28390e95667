"""Answers of the world: one sentence a trait, in the style of a taste; and pairs of them, labelled by a person."""

from __future__ import annotations

import random

from inference.contracts import Shot
from inference.demoworld.forms import BODIES, LARGE, LEADS, SMALL, WHO, stop_of
from inference.demoworld.subjects import Question
from inference.demoworld.tastes import Taste


def write(question: Question, style: Taste, rng: random.Random) -> str:
    """An answer to `question` that shows every trait of `style`: four sentences, about 30 to 50 words."""
    return " ".join(sentence(question, pole, rng) for pole in style.poles.values())


def sentence(question: Question, pole: str, rng: random.Random) -> str:
    """One sentence on the question's subject that shows `pole`."""
    body = rng.choice(BODIES[question.domain][pole])
    filled = body.format(s=question.subject.name, who=rng.choice(WHO), n=rng.choice(SMALL), m=rng.choice(LARGE))
    return f"{rng.choice(LEADS[pole])} {filled}{stop_of(pole)}"


def draw_styles(taste: Taste, rng: random.Random, *, forced: bool) -> tuple[Taste, Taste]:
    """The styles of a pair's preferred and dispreferred answer for a person of `taste`.

    In a `forced` pair the preferred answer is in the person's own style, so that one pair says nearly everything, and
    the other in the opposite style or, half the time, in any other. The rest are any two styles, of which the person
    prefers the one that shares more traits, and tosses a coin when they share equally many.
    """
    if forced:
        other = taste.opposite if rng.random() < 0.5 else Taste.draw(rng)
        return taste, taste.opposite if other == taste else other
    first, second = Taste.draw(rng), Taste.draw(rng)
    while first == second:
        second = Taste.draw(rng)
    if taste.likes(first) == taste.likes(second):
        return (first, second) if rng.random() < 0.5 else (second, first)
    return (first, second) if taste.likes(first) > taste.likes(second) else (second, first)


def draw_shot(question: Question, taste: Taste, rng: random.Random, *, forced: bool = False) -> Shot:
    """A labelled preference of a person of `taste` between two answers to `question`."""
    preferred, dispreferred = draw_styles(taste, rng, forced=forced)
    return Shot(question.text, write(question, preferred, rng), write(question, dispreferred, rng))
