"""What synthetic people like: in reviews, in explanations and in answers to open-ended questions.

A user likes something in one domain; a `Taste` is a whole person, who likes something in each. Users are finite and
enumerated, and for each domain those that training meets and those that it never does are apart.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

from inference.world.forms import EXPLANATIONS, OPEN, REVIEWS, Idea, aspects_of
from inference.world.forms_users import LEVEL_CLAUSES, OPENING, REVIEW_CLAUSES, VIEW_CLAUSES
from inference.world.subjects import FIELDS, Subject

LEVELS = (1, 2, 3, 4, 5)
IMPORTANCES = (1, 2, 3, 4)
VIEWS = aspects_of(OPEN)
MOST_SENTENCES = len(aspects_of(REVIEWS))
PERSONAS_EACH = 1500  # of the open-ended personas: trained on, and as many others held out
FIELD_USERS = 550  # of the hard split of explanations, held-out ones included
Group = Literal["train", "held_out"]


class User(Protocol):
    """Somebody with a taste in one domain."""

    @property
    def domain(self) -> str:
        """Where the taste applies."""

    @property
    def code(self) -> str:
        """A stable name."""

    def likes(self, ideas: Sequence[Idea], subject: Subject | None = None) -> float:
        """How much the user likes an answer that says `ideas`, from 0 to 1. `subject` is what it is about, if known."""

    def clauses(self) -> list[str]:
        """What there is to say about the user, the most important first."""


def describe(user: User) -> str:
    """The gold description of a user: one sentence."""
    *most, last = user.clauses()
    said = f"{', '.join(most)} and {last}" if most else last
    return f"{OPENING} {said}."


@dataclass(frozen=True, slots=True)
class ReviewUser:
    """Likes praise (`valence` 1) or blame (-1), long (`length` 1) or short (-1) reviews; 0 does not care."""

    valence: int
    length: int
    domain = REVIEWS

    @property
    def code(self) -> str:
        """For example ``positive+concise``."""
        names = [{1: "positive", -1: "negative"}.get(self.valence), {1: "verbose", -1: "concise"}.get(self.length)]
        return "+".join(name for name in names if name)

    @property
    def is_interpolated(self) -> bool:
        """Likes two things, each of which some other user likes alone."""
        return bool(self.valence and self.length)

    def likes(self, ideas: Sequence[Idea], subject: Subject | None = None) -> float:
        """Mean of what is cared for: the share of sentences of the right kind; how long or short the review is."""
        if not ideas:
            return 0.0
        parts = []
        if self.valence:
            parts.append(sum(idea.value == self.valence for idea in ideas) / len(ideas))
        if self.length:
            long = (len({idea.aspect for idea in ideas}) - 1) / (MOST_SENTENCES - 1)
            parts.append(long if self.length > 0 else 1 - long)
        return sum(parts) / len(parts)

    def clauses(self) -> list[str]:
        """One clause, or two for an interpolated user."""
        cared = (("valence", self.valence), ("length", self.length))
        return [REVIEW_CLAUSES[trait] for trait in cared if trait[1]]


@dataclass(frozen=True, slots=True)
class LevelUser:
    """Likes explanations at one of five levels, whatever the subject."""

    level: int
    domain = EXPLANATIONS

    @property
    def code(self) -> str:
        """For example ``level-3``."""
        return f"level-{self.level}"

    def likes(self, ideas: Sequence[Idea], subject: Subject | None = None) -> float:
        """One less a quarter of the mean distance of the sentences from the level."""
        return nearness(ideas, self.level)

    def clauses(self) -> list[str]:
        """One clause."""
        return [LEVEL_CLAUSES[self.level]]


@dataclass(frozen=True, slots=True)
class FieldUser:
    """Likes explanations at a level that depends on the field of the subject: the harder split."""

    levels: tuple[int, ...]
    domain = EXPLANATIONS

    @property
    def code(self) -> str:
        """For example ``levels-113425``: one digit a field, in the order of `FIELDS`."""
        return "levels-" + "".join(map(str, self.levels))

    def level_in(self, field: str) -> int:
        """The level for subjects of `field`."""
        return self.levels[list(FIELDS).index(field)]

    def likes(self, ideas: Sequence[Idea], subject: Subject | None = None) -> float:
        """As LevelUser, at the level of the subject's field; 0 for a subject without a field."""
        return nearness(ideas, self.level_in(subject.field)) if subject is not None and subject.field else 0.0

    def clauses(self) -> list[str]:
        """One clause a field."""
        return [f"{LEVEL_CLAUSES[self.level_in(field)]} when it is about {field}" for field in FIELDS]


@dataclass(frozen=True, slots=True)
class Persona:
    """Has a view on each aspect of an open-ended answer, and each view matters more or less to them (1 to 4)."""

    views: tuple[int, ...]
    importances: tuple[int, ...]
    domain = OPEN

    @property
    def code(self) -> str:
        """For example ``+3-1+4+2``: the view on each aspect with its importance."""
        return "".join(f"{'+' if v > 0 else '-'}{i}" for v, i in zip(self.views, self.importances, strict=True))

    def likes(self, ideas: Sequence[Idea], subject: Subject | None = None) -> float:
        """Importance of the aspects on which the answer takes this view and no other, as a share of all importance."""
        shared = 0
        for aspect, view, importance in zip(VIEWS, self.views, self.importances, strict=True):
            shared += importance * ({idea.value for idea in ideas if idea.aspect == aspect} == {view})
        return shared / sum(self.importances)

    def clauses(self) -> list[str]:
        """One clause a view, from the most important one on; the others in the order of an answer, and round."""
        first = self.importances.index(max(self.importances))
        order = [*range(first, len(VIEWS)), *range(first)]
        return [VIEW_CLAUSES[VIEWS[i], self.views[i]] for i in order]


def nearness(ideas: Sequence[Idea], level: int) -> float:
    """1 when every sentence is at `level`, 0 when all are four levels off or there are none."""
    if not ideas:
        return 0.0
    return 1 - sum(abs(idea.value - level) for idea in ideas) / (len(ideas) * (LEVELS[-1] - LEVELS[0]))


@cache
def review_users(group: Group) -> tuple[ReviewUser, ...]:
    """The four of training, who like one thing; the four interpolated ones, who like two, are held out."""
    if group == "train":
        return (ReviewUser(1, 0), ReviewUser(-1, 0), ReviewUser(0, -1), ReviewUser(0, 1))
    return tuple(ReviewUser(valence, length) for valence in (1, -1) for length in (-1, 1))


@cache
def level_users(group: Group) -> tuple[LevelUser, ...]:
    """The five levels. There are no others to hold out: held out are their pairs and questions."""
    return tuple(map(LevelUser, LEVELS))


@cache
def personas(group: Group) -> tuple[Persona, ...]:
    """1,500 personas: no combination of views and importances is in both groups."""
    return _shuffled_personas()[: 2 * PERSONAS_EACH][
        slice(None, PERSONAS_EACH) if group == "train" else slice(PERSONAS_EACH, None)
    ]


@cache
def field_users(group: Group) -> tuple[FieldUser, ...]:
    """The harder split: 275 users with a level for each field, and 275 others held out."""
    every = list(itertools.product(LEVELS, repeat=len(FIELDS)))
    chosen = random.Random("field users").sample(every, FIELD_USERS)
    half = FIELD_USERS // 2
    return tuple(map(FieldUser, chosen[:half] if group == "train" else chosen[half:]))


@cache
def _shuffled_personas() -> tuple[Persona, ...]:
    signs = itertools.product((1, -1), repeat=len(VIEWS))
    weights = list(itertools.product(IMPORTANCES, repeat=len(VIEWS)))
    every = [Persona(views, importances) for views in signs for importances in weights]
    random.Random("personas").shuffle(every)
    return tuple(every)


def users(domain: str, group: Group) -> Sequence[User]:
    """The users of a domain in a group; raises ValueError for a domain there is not."""
    if domain == REVIEWS:
        return review_users(group)
    if domain == EXPLANATIONS:
        return level_users(group)
    if domain == OPEN:
        return personas(group)
    raise ValueError(f"domain must be one of {(REVIEWS, EXPLANATIONS, OPEN)}, not {domain!r}")


@dataclass(frozen=True, slots=True)
class Taste:
    """A whole person: one user of each domain."""

    review: ReviewUser
    level: LevelUser
    persona: Persona

    @classmethod
    def draw(cls, rng: random.Random, group: Group = "held_out") -> Taste:
        """One user of each domain, drawn independently and uniformly."""
        return cls(rng.choice(review_users(group)), rng.choice(level_users(group)), rng.choice(personas(group)))

    @property
    def code(self) -> str:
        """The three codes."""
        return f"{self.review.code}/{self.level.code}/{self.persona.code}"

    def user(self, domain: str) -> User:
        """The person's part in one domain; raises KeyError for a domain there is not."""
        parts: dict[str, User] = {REVIEWS: self.review, EXPLANATIONS: self.level, OPEN: self.persona}
        return parts[domain]
