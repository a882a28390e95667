"""The exact judge: it reads a text alone and says how much a person likes it.

A sentence says an idea when it is, word for word, one of the world's surface forms; case and white space do not matter.
Everything else is unreadable to the judge.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache, lru_cache

from inference.world.answers import TIE
from inference.world.forms import FORMS, Idea
from inference.world.subjects import Subject, subject_of
from inference.world.users import Taste, User

_NAME = re.compile(r"[^.?!:]{2,60}")


@dataclass(frozen=True, slots=True)
class Reading:
    """What the judge sees in a text: how many sentences there are, and the idea of each that it can read."""

    sentences: int
    ideas: tuple[Idea, ...]

    @property
    def share(self) -> float:
        """Share of the sentences that the judge can read; 0 for an empty text."""
        return len(self.ideas) / self.sentences if self.sentences else 0.0

    @property
    def domain(self) -> str | None:
        """The domain most of the sentences belong to, None when none can be read."""
        return Counter(idea.domain for idea in self.ideas).most_common(1)[0][0] if self.ideas else None


@cache
def _predicates() -> dict[str, tuple[Idea, tuple[str, ...]]]:
    """Lowered predicate -> its idea, and the lowered openings of its aspect."""
    return {
        predicate.lower(): (Idea(domain, aspect, value), tuple(opening.lower() for opening in forms.openings))
        for domain, aspects in FORMS.items()
        for aspect, forms in aspects.items()
        for value, predicates in forms.predicates.items()
        for predicate in predicates
    }


@lru_cache(maxsize=100_000)
def idea_of(sentence: str) -> Idea | None:
    """The idea of one sentence, or None when the judge cannot read it."""
    lowered = sentence.lower()
    for predicate, (idea, openings) in _predicates().items():
        if lowered.endswith(f" {predicate}"):
            opening = lowered[: -len(predicate) - 1]
            return idea if any(_opens(opening, form) for form in openings) else None
    return None


def _opens(opening: str, form: str) -> bool:
    before, slot, _ = form.partition("{s}")
    if not slot:
        return opening == form
    return opening.startswith(before) and _NAME.fullmatch(opening[len(before) :]) is not None


def sentences_of(text: str) -> list[str]:
    """The sentences of a text, white space collapsed."""
    flat = " ".join(text.split())
    return [part for part in re.split(r"(?<=[.?!])\s+", flat) if part]


@lru_cache(maxsize=100_000)
def read(text: str) -> Reading:
    """Read a text: plain paragraphs, as shown to a person."""
    sentences = sentences_of(text)
    ideas = tuple(idea for idea in map(idea_of, sentences) if idea is not None)
    return Reading(len(sentences), ideas)


def reads(text: str) -> bool:
    """Whether the judge can read every sentence of the text, there is one, and all belong to one domain."""
    reading = read(text)
    return reading.share == 1.0 and len({idea.domain for idea in reading.ideas}) == 1


def liking(text: str, user: User, subject: Subject | None = None) -> float:
    """How much a user of one domain likes a text, 0 to 1.

    Scaled by the share of sentences that can be read and belong to the domain, so that babble around a good sentence is
    worth less than the sentence. `subject` is only asked for by users whose taste depends on it.
    """
    reading = read(text)
    own = [idea for idea in reading.ideas if idea.domain == user.domain]
    if not own:
        return 0.0
    return user.likes(own, subject) * len(own) / reading.sentences


def score(text: str, taste: Taste) -> float:
    """How much a whole person likes a text, 0 to 1: their taste in the text's own domain decides."""
    domain = read(text).domain
    return liking(text, taste.user(domain)) if domain is not None else 0.0


def choose(first: str, second: str, taste: Taste, rng: random.Random, *, noise: float = 0.0) -> str:
    """The choice of a person of `taste`: ``first`` or ``second``, the better liked text, a coin when both are liked
    alike.

    With probability `noise` (0 to 1) the person does not look and tosses a coin.
    """
    difference = score(first, taste) - score(second, taste)
    if abs(difference) < TIE or rng.random() < noise:
        return rng.choice(("first", "second"))
    return "first" if difference > 0 else "second"


def outcome(text: str, other: str, user: User, subject: Subject | None = None) -> float:
    """1 when the user likes `text` more than `other`, 0.5 when they like both alike, else 0."""
    difference = liking(text, user, subject) - liking(other, user, subject)
    return 0.5 if abs(difference) < TIE else float(difference > 0)


def names_subject(text: str, question: str) -> bool:
    """Whether the text names the subject of the question; False when the world does not know the subject."""
    subject = subject_of(question)
    return subject is not None and subject.name.lower() in " ".join(text.lower().split())
