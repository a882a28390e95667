"""Preferences of the exact world: every row a function of seed, group, user and questionnaire number alone."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import inference.world
from inference import prompts
from inference.training.synthesis import records
from inference.training.synthesis.config import FIELD_USERS, SPLITS, Config, HeldOut, WorldSource
from inference.training.synthesis.records import SET_SIZE, Preference, Questionnaire
from inference.world import Question, User, describe, liking, questionnaire, questions, users
from inference.world.answers import TIE, draw_shot, write, write_alike
from inference.world.users import Group, field_users

GROUPS: tuple[Group, ...] = ("train", "held_out")


@dataclass(frozen=True, slots=True)
class Slice:
    """Questionnaires `start` to `stop` of the users of a kind in a group, counted in turns over the users."""

    users: str
    group: Group
    start: int
    stop: int


def users_of(kind: str, group: Group) -> Sequence[User]:
    """The users of a part: of a domain, or of the harder split of explanations."""
    return field_users(group) if kind == FIELD_USERS else users(kind, group)


class World:
    """The world as a source of shards."""

    def __init__(self, config: Config, source: WorldSource) -> None:
        """Plan the shards; nothing is drawn yet."""
        self.config, self.source = config, source
        self.shards = self._plan()

    @property
    def rows(self) -> int:
        """How many rows there will be."""
        return sum((shard.stop - shard.start) * SET_SIZE for shard in self.shards.values())

    def questionnaires(self, name: str, counts: Counter[str]) -> Iterator[Questionnaire]:
        """The rows of a shard; counts `undecided` ones."""
        shard = self.shards[name]
        everybody = users_of(shard.users, shard.group)
        for index in range(shard.start, shard.stop):
            number, who = divmod(index, len(everybody))
            made = self.questionnaire(everybody[who], shard.group, number)
            counts["undecided"] += sum(not row.decided for row in made.rows)
            yield made

    def questionnaire(self, user: User, group: Group, number: int) -> Questionnaire:
        """One questionnaire with the shots of its neighbour: 0 and 1 are neighbours, 2 and 3, and so on."""
        rows = draw_rows(self.config.seed, user, group, number, self.source)
        if not self.config.shots:
            return Questionnaire(rows)
        other = draw_rows(self.config.seed, user, group, number ^ 1, self.source)
        return Questionnaire(rows, tuple(row.shot for row in other[: self.config.shots]))

    def _plan(self) -> dict[str, Slice]:
        found, step = {}, max(1, self.config.shard_rows // SET_SIZE)
        for part in self.source.parts:
            for group, rows in zip(GROUPS, (part.train, part.held_out), strict=True):
                last = rows // SET_SIZE
                for number, start in enumerate(range(0, last, step)):
                    name = f"{group}-{part.users}-{number:05}"
                    found[name] = Slice(part.users, group, start, min(start + step, last))
        return found


def draw_rows(seed: int, user: User, group: Group, number: int, source: WorldSource) -> tuple[Preference, ...]:
    """The eight preferences of a user's questionnaire of this number."""
    rng = random.Random(f"{seed}/{group}/{user.code}/{number}")
    in_words = random.Random(f"{seed}/{group}/{user.code}/{number}/words")
    alike = in_words.random() < source.alike
    asked = ask(seed, user, group, number, source.held_out)
    contrasts = questionnaire(user.domain, rng)
    description = describe(user)
    rows = []
    for question, contrast in zip(asked, contrasts, strict=True):
        shot = draw_shot(user, question, contrast, rng, write_alike(in_words) if alike else write)
        likings = [liking(text, user, question.subject) for text in (shot.preferred, shot.dispreferred)]
        rows.append(
            Preference(
                user=user.code,
                group=group,
                domain=user.domain,
                topic=question.subject.name,
                question=question.text,
                split=question.split,
                preferred=shot.preferred,
                dispreferred=shot.dispreferred,
                description=description,
                shot_set=number,
                contrast="+".join(map(str, contrast)),
                decided=likings[0] - likings[1] >= TIE,
            )
        )
    return tuple(rows)


def ask(seed: int, user: User, group: Group, number: int, held_out: HeldOut) -> list[Question]:
    """The eight questions of a questionnaire. It and its neighbour ask about sixteen different subjects."""
    rng = random.Random(f"{seed}/{group}/{user.code}/questions/{number // 2}")
    weights = (1, 0, 0) if group == "train" else (held_out.train, held_out.questions, held_out.subjects)
    asked: list[Question] = []
    subjects: set[str] = set()
    for split in rng.choices(SPLITS, weights, k=2 * SET_SIZE):
        while (question := rng.choice(questions(split, user.domain))).subject.name in subjects:
            pass
        subjects.add(question.subject.name)
        asked.append(question)
    return asked[:SET_SIZE] if number % 2 == 0 else asked[SET_SIZE:]


def code_digest() -> str:
    """SHA-256 of what decides the rows beside the configuration: world, prompts, columns, this module."""
    world = sorted(Path(inference.world.__file__).parent.glob("*.py"))
    found = hashlib.sha256()
    for path in [*world, Path(prompts.__file__), Path(__file__), Path(records.__file__)]:
        found.update(path.read_bytes())
    return found.hexdigest()
