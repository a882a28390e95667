"""What the ideal observer answers: the ceiling beside every arm.

After k shots it writes the answer that wins most often in expectation over its posterior; with the user known, the one
that wins most often with that user. It is a ceiling up to the base texts: it maximises against answers drawn as the
world draws them, and is judged, like every arm, against the base checkpoint's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from inference.contracts import Shot
from inference.training.evaluation.arms import Arm
from inference.training.evaluation.people import Person
from inference.world import User, subject_of, write
from inference.world.answers import Plan
from inference.world.observer import observer
from inference.world.users import FieldUser, LevelUser

IDEAL = "ideal"


def ceiling_of(arm: Arm, shots: int) -> str:
    """The treatment that bounds an arm: the ideal observer with what the arm was given."""
    if arm.context == "gold":
        return f"{IDEAL}@known"
    return f"{IDEAL}@{shots if arm.takes_shots else 0}"


def ideal_text(person: Person, count: int, seed: int) -> str:
    """The observer's answer after the person's first `count` shots, in words."""
    return _written(person, _best(person, count), f"{seed}/{IDEAL}@{count}")


def known_text(person: Person, seed: int) -> str:
    """The best answer for whoever knows the user, in words."""
    watching, user = observer(person.domain), _in_field(person)
    plan = max(watching.plans, key=lambda plan: watching.expected(user, plan))
    return _written(person, plan, f"{seed}/{IDEAL}@known")


def _best(person: Person, count: int) -> Plan:
    return observer(person.domain).answer(_telling(person, person.shots[:count]))


def _telling(person: Person, shots: Sequence[Shot]) -> list[Shot]:
    """The shots that say something for this question.

    Levels in different fields are independent, so of a user by field only shots of the question's field do, and there
    the user is one of the five levels.
    """
    if not isinstance(person.user, FieldUser):
        return list(shots)
    return [shot for shot in shots if _field(shot.question) == person.asked.subject.field]


def _field(question: str) -> str | None:
    subject = subject_of(question)
    return subject.field if subject else None


def _in_field(person: Person) -> User:
    if isinstance(person.user, FieldUser):
        return LevelUser(person.user.level_in(person.asked.subject.field))
    return person.user


def _written(person: Person, plan: Plan, name: str) -> str:
    rng = random.Random(f"{name}/{person.part}/{'/'.join(map(str, person.place))}")
    return write(person.asked, plan, rng)
