"""The exact judge: it reads a text alone and says which traits it shows.

A sentence shows a pole when it is, word for word, one of the world's surface forms of that pole in any domain; case and
white space do not matter. Everything else is unreadable to the judge.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from inference.demoworld.forms import BODIES, LEADS, WHO, stop_of
from inference.demoworld.subjects import subject_of
from inference.demoworld.tastes import TRAITS, Taste

_SLOTS = {
    r"\{s\}": r"[^.?!:]{2,60}?",
    r"\{who\}": "(?:" + "|".join(re.escape(who) for who in WHO) + ")",
    r"\{n\}": r"\d{1,2}",
    r"\{m\}": r"\d{1,3}",
}
_TRAIT_OF = {pole: trait for trait, poles in TRAITS.items() for pole in poles}


@dataclass(frozen=True, slots=True)
class Reading:
    """What the judge sees in a text: its sentences, how many of them it can read, and the poles each trait shows."""

    sentences: int
    read: int
    shown: dict[str, frozenset[str]]

    @property
    def share(self) -> float:
        """Share of the sentences that the judge can read; 0 for an empty text."""
        return self.read / self.sentences if self.sentences else 0.0


@cache
def _pattern(pole: str) -> re.Pattern[str]:
    bodies = [re.escape(body) for forms in BODIES.values() for body in forms[pole]]
    leads = "|".join(re.escape(lead) for lead in LEADS[pole])
    pattern = f"(?:{leads}) (?:{'|'.join(bodies)}){re.escape(stop_of(pole))}"
    for slot, expression in _SLOTS.items():
        pattern = pattern.replace(slot, expression)
    return re.compile(pattern, re.IGNORECASE)


@lru_cache(maxsize=50_000)
def pole_of(sentence: str) -> str | None:
    """The pole one sentence shows, or None when the judge cannot read it."""
    return next((pole for pole in LEADS if _pattern(pole).fullmatch(sentence)), None)


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, white space collapsed."""
    flat = " ".join(text.split())
    return [part for part in re.split(r"(?<=[.?!])\s+", flat) if part]


def read(text: str) -> Reading:
    """Read a text: plain paragraphs, as shown to a person."""
    sentences = sentences_of(text)
    poles = [pole for pole in map(pole_of, sentences) if pole is not None]
    shown = {trait: frozenset(pole for pole in poles if _TRAIT_OF[pole] == trait) for trait in TRAITS}
    return Reading(len(sentences), len(poles), shown)


def reads(text: str) -> bool:
    """Whether the judge can read every sentence of the text, and there is one."""
    return read(text).share == 1.0


def style_of(text: str) -> Taste | None:
    """The style of a text that shows exactly one pole of every trait, else None."""
    shown = read(text).shown
    if any(len(poles) != 1 for poles in shown.values()):
        return None
    return Taste(*(next(iter(shown[trait])) for trait in TRAITS))


def score(text: str, taste: Taste) -> float:
    """How many of the taste's traits the text shows, 0 to 4.

    A trait counts when the text shows the person's pole and not the other; the count is scaled by the share of
    sentences that can be read, so that babble around a good sentence is worth less than the sentence.
    """
    reading = read(text)
    matched = sum(reading.shown[trait] == {pole} for trait, pole in taste.poles.items())
    return matched * reading.share


def choose(first: str, second: str, taste: Taste, rng: random.Random, *, noise: float = 0.0) -> str:
    """The choice of a person of `taste`: ``first`` or ``second``, the better scored text, a coin when they score alike.

    With probability `noise` (0 to 1) the person does not look and tosses a coin.
    """
    difference = score(first, taste) - score(second, taste)
    if difference == 0 or rng.random() < noise:
        return rng.choice(("first", "second"))
    return "first" if difference > 0 else "second"


def names_subject(text: str, question: str) -> bool:
    """Whether the text names what the question is about; False when the world does not know the question's subject."""
    subject = subject_of(question)
    return subject is not None and subject.name.lower() in " ".join(text.split()).lower()
