"""Who is asked what: people of a group with labelled pairs and a question, each a function of the seed and a number.

Nothing of a held-out person was in training: they themselves are not (but for the five levels, of which there are no
others), neither are the subjects of their shots, of their donor's shots and of their question. Where the question is
about a seen subject, in `SEEN` and `KEPT`, the shots stay the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from inference.contracts import Shot
from inference.training.evaluation.config import Config
from inference.world import DOMAINS, EXPLANATIONS, REVIEWS, Question, User, draw_question, draw_shots, questions, users
from inference.world.subjects import Split
from inference.world.users import field_users

MAIN, KEPT, SEEN, TRAINED, FIELDS = "held-out", "kept-questions", "seen-questions", "trained", "by-field"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the evaluation: a group of users in some domains, asked questions of one split."""

    name: str
    group: str
    split: Split
    domains: tuple[str, ...]
    says: str


PARTS = {
    part.name: part
    for part in (
        Part(MAIN, "held-out", "subjects", DOMAINS, "held-out users on held-out subjects"),
        Part(KEPT, "held-out", "questions", DOMAINS, "the same on held-out questions about subjects of training"),
        Part(SEEN, "held-out", "train", DOMAINS, "the same on questions of training"),
        Part(TRAINED, "trained", "subjects", (REVIEWS,), "users of training on held-out subjects"),
        Part(
            FIELDS, "by-field", "subjects", (EXPLANATIONS,), "users with a level for each field, on held-out subjects"
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Person:
    """One user with one shot set and one question.

    `donor` are the shots of another, drawn uniformly from the group, own type included.

    `number` is from 0 within part, domain and `shot_set` (from 1).
    """

    part: str
    shot_set: int
    number: int
    user: User
    asked: Question
    shots: tuple[Shot, ...]
    donor: tuple[Shot, ...]

    @property
    def domain(self) -> str:
        """The domain of the user and of all texts."""
        return self.user.domain

    @property
    def place(self) -> tuple[int, str, int]:
        """What tells a person from the others, the same in every part that asks the same people."""
        return self.shot_set, self.domain, self.number


def members(group: str, domain: str) -> Sequence[User]:
    """The users of a group in a domain; raises ValueError for a group there is not."""
    if group == "by-field":
        return field_users("held_out")
    if group in ("held-out", "trained"):
        return users(domain, "train" if group == "trained" else "held_out")
    raise ValueError(f"no group {group!r}")


def draw_person(part: Part, domain: str, number: int, shot_set: int, *, seed: int, shots: int) -> Person:
    """Person `number`: users take turns, so that every user answers before one does again."""
    group = members(part.group, domain)
    user = group[number % len(group)]
    rng = random.Random(f"{seed}/{part.group}/{domain}/{shot_set}/{number}")
    asked = draw_question(rng, "subjects", domain)
    own = _shots(user, asked, shots, rng)
    donor = _shots(rng.choice(group), asked, shots, rng)
    if part.split != "subjects":
        asked = draw_question(rng, part.split, domain)
    return Person(part.name, shot_set, number, user, asked, own, donor)


def _shots(user: User, asked: Question, count: int, rng: random.Random) -> tuple[Shot, ...]:
    about_others = [q for q in questions("subjects", asked.domain) if q.subject != asked.subject]
    return tuple(draw_shots(user, rng.sample(about_others, count), rng))


def draw_people(part: Part, config: Config, shot_sets: int) -> list[Person]:
    """Everybody of a part, by shot set, domain and number."""
    return [
        draw_person(part, domain, number, shot_set, seed=config.seed, shots=config.shots.number)
        for shot_set in range(1, shot_sets + 1)
        for domain in part.domains
        for number in range(size(part, domain, config))
    ]


def size(part: Part, domain: str, config: Config) -> int:
    """How many people of a domain a part asks, for each shot set."""
    people = config.people
    if part.name in (KEPT, SEEN):
        return min(people.splits, people.of(domain))
    return {TRAINED: people.trained, FIELDS: people.fields}.get(part.name) or people.of(domain)
