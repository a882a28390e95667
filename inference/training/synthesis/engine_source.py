"""Preferences asked of a language model: personas, questions, viewpoints, answers and labels."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from inference.training.synthesis.answers import Asked, Candidate, ask_about, candidates, topics
from inference.training.synthesis.calls import Caller, converse
from inference.training.synthesis.coherence import PAIRS, Labels
from inference.training.synthesis.config import SPLITS, Config, EngineSource
from inference.training.synthesis.diversity import diversity
from inference.training.synthesis.labels import Labelled, Pair, Verdict, judge, label
from inference.training.synthesis.measures import Measures, Panel
from inference.training.synthesis.meter import Planned
from inference.training.synthesis.personas import Persona, plan, write_out
from inference.training.synthesis.records import SET_SIZE, Preference, Questionnaire
from inference.world.subjects import Split

INSTRUCTION_TOKENS = 200  # an instruction with its question; texts of the model come on top
SIGNS = {Verdict.FIRST: 1, Verdict.SECOND: -1, Verdict.UNREADABLE: 0}


class Users:
    """Whom there will be rows of: the planned personas, in shards of `users_per_shard` of one group."""

    def __init__(self, source: EngineSource, seed: int) -> None:
        """Plan; nothing is asked yet."""
        self.planned = plan(source.personas, seed)
        self.shards: dict[str, list[Persona]] = {}
        for group in ("train", "held_out"):
            members = [persona for persona in self.planned if persona.group == group]
            for number, start in enumerate(range(0, len(members), source.users_per_shard)):
                self.shards[f"{group}-{number:05}"] = members[start : start + source.users_per_shard]


class Model:
    """A language model as a source of rows."""

    def __init__(self, config: Config, source: EngineSource, users: Users, caller: Caller) -> None:
        """Nothing is asked yet."""
        self.config, self.source, self.users, self.caller = config, source, users, caller
        self.counts: Counter[str] = Counter()
        self.personas: dict[str, Persona] = {}
        self.answers: dict[Asked, list[Candidate]] = {}

    def prepare(self) -> None:
        """Ask for personas, questions, viewpoints and answers; what was answered before comes from the ledger."""
        seed, source = self.config.seed, self.source
        written: list[Persona | None] = list(self.users.planned)
        if source.personas.traits and source.personas.write:
            talks = [write_out(persona, source.writing.sampling, seed) for persona in self.users.planned]
            written = converse(talks, self.caller.ask)
        self.personas = {persona.code: persona for persona in written if persona}
        self.counts["personas unwritten"] += len(written) - len(self.personas)
        lists = converse([ask_about(topic, source, seed) for topic in topics(source)], self.caller.ask)
        self.counts["topics without questions"] += sum(not found for found in lists)
        asked = list(dict.fromkeys(question for found in lists for question in found))
        steering = [persona for persona in self.personas.values() if persona.group == "train"]
        made = [candidates(question, steering, source, seed, self.counts) for question in asked]
        self.answers = dict(zip(asked, converse(made, self.caller.ask), strict=True))

    def questionnaires(self, name: str, counts: Counter[str]) -> Iterator[Questionnaire]:
        """The rows of a shard, by user; counts what was dropped and why."""
        people = [self.personas[p.code] for p in self.users.shards[name] if p.code in self.personas]
        pairs = {persona.code: self.pairs_of(persona) for persona in people}
        talks = [label(p, pairs[p.code], self.source, self.config.seed, counts) for p in people]
        for persona, labelled in zip(people, converse(talks, self.caller.ask), strict=True):
            yield from self._questionnaires(persona, pairs[persona.code], labelled, counts)

    def pairs_of(self, persona: Persona) -> list[Pair]:
        """The pairs a user judges: different ones, of the splits that the user's group may see."""
        rng = random.Random(f"{self.config.seed}/pairs/{persona.code}")
        weights = {"train": 1.0} if persona.group == "train" else self.source.held_out.model_dump()
        pools = {split: self._pool(split, rng) for split in SPLITS if weights.get(split)}
        drawn: list[Pair] = []
        while len(drawn) < self.source.pairs and (left := [split for split in pools if pools[split]]):
            split = rng.choices(left, [weights[each] for each in left])[0]
            drawn.append(pools[split].pop())
        return drawn

    def _pool(self, split: Split, rng: random.Random) -> list[Pair]:
        pool = [
            Pair(asked, *rng.sample(pair, 2))
            for asked, found in self.answers.items()
            if asked.split == split
            for pair in itertools.combinations(found, 2)
        ]
        rng.shuffle(pool)
        return pool

    def _questionnaires(
        self, persona: Persona, pairs: Sequence[Pair], labelled: Labelled, counts: Counter[str]
    ) -> Iterator[Questionnaire]:
        rng = random.Random(f"{self.config.seed}/coins/{persona.code}")
        rows: list[Preference] = []
        for pair, verdict in zip(pairs, labelled.verdicts, strict=True):
            if verdict in (Verdict.ORDER, Verdict.UNREADABLE):
                counts[f"pairs {verdict.value}"] += 1
                continue
            counts["undecided"] += verdict is Verdict.UNDECIDED
            first = verdict is Verdict.FIRST if verdict is not Verdict.UNDECIDED else rng.random() < 0.5
            rows.append(_row(persona, labelled.description, pair, first, len(rows), verdict is not Verdict.UNDECIDED))
        sets = [tuple(rows[start : start + SET_SIZE]) for start in range(0, len(rows), SET_SIZE)]
        counts["short questionnaires"] += sum(len(each) < SET_SIZE for each in sets)
        for number, each in enumerate(sets):
            # The last of an odd number has no neighbour: the one before serves.
            other = sets[number ^ 1] if number ^ 1 < len(sets) else sets[number - 1] if number else ()
            yield Questionnaire(each, tuple(row.shot for row in other[: self.config.shots]))

    def measure(self) -> Measures:
        """Diversity of the answers to each question, and a panel of users of training over the same pairs."""
        found = Measures()
        made = "by view" if self.source.view_conditioning else "not by view"
        every = list(self.answers.values())
        own = [[c.text for c in each if not c.origin.startswith("persona")] for each in every]
        found.diversity[f"answers, {made}"] = diversity(own)
        if self.source.steered:
            found.diversity[f"answers, {made} and steered"] = diversity([[c.text for c in each] for each in every])
        people = [p for p in self.personas.values() if p.group == "train"][: self.config.measure.users]
        asked = [q for q, c in self.answers.items() if q.split == "train" and len(c) >= len(PAIRS)]
        asked = asked[: self.config.measure.questions]
        if people and asked:
            improved = "after improvement" if self.source.improvement.rounds else "without improvement"
            found.panels.append(Panel(improved, tuple(p.code for p in people), self._panel(people, asked)))
        return found

    def _panel(self, people: Sequence[Persona], asked: Sequence[Asked]) -> Labels:
        seed, times = self.config.seed, self.config.measure.times
        # Improved as for the rows: these answers are in the ledger.
        talks = [label(p, self.pairs_of(p), self.source, seed, Counter()) for p in people]
        described = [labelled.description for labelled in converse(talks, self.caller.ask)]
        pairs = [Pair(q, self.answers[q][a], self.answers[q][b]) for q in asked for a, b in PAIRS]
        looks = [judge(d, pairs, self.source, seed, step="measure", time=t) for d in described for t in range(times)]
        rng = random.Random(f"{seed}/panel")
        signs = [[_sign(v, rng) for v in verdicts] for verdicts in converse(looks, self.caller.ask)]
        shape = (len(people), times, len(asked), len(PAIRS))
        return np.moveaxis(np.array(signs, dtype=np.int8).reshape(shape), 1, -1)


def _sign(verdict: Verdict, rng: random.Random) -> int:
    # Whoever must give a label tosses a coin where the persona does not decide.
    return SIGNS[verdict] if verdict in SIGNS else rng.choice((1, -1))


def _row(persona: Persona, description: str, pair: Pair, first: bool, number: int, decided: bool) -> Preference:
    preferred, dispreferred = (pair.first, pair.second) if first else (pair.second, pair.first)
    return Preference(
        user=persona.code,
        group=persona.group,
        domain=pair.asked.domain,
        topic=pair.asked.topic,
        question=pair.asked.text,
        split=pair.asked.split,
        preferred=preferred.text,
        dispreferred=dispreferred.text,
        description=description,
        shot_set=number // SET_SIZE,
        contrast="+".join(sorted((preferred.origin, dispreferred.origin))),
        decided=decided,
    )


def planned_calls(source: EngineSource, config: Config) -> dict[str, Planned]:
    """Step -> calls at most, were every answer readable at the first try, and the tokens of each at most."""
    size, people = config.measure, source.personas
    count = people.train + people.held_out
    unasked = [topic for topic in topics(source) if not topic.asked]
    asked = sum(len(topic.asked) or source.questions for topic in topics(source))
    rounds = source.improvement.rounds
    panel = min(size.users, people.train) * min(size.questions, asked) * len(PAIRS) * 2 * size.times
    written, said = source.writing.max_tokens, source.judging.max_tokens
    steps = {
        "personas": Planned(count if people.traits and people.write else 0, INSTRUCTION_TOKENS, written),
        "questions": Planned(len(unasked), INSTRUCTION_TOKENS, written),
        "viewpoints": Planned(asked if source.view_conditioning else 0, INSTRUCTION_TOKENS, written),
        "answers": Planned(
            asked * (source.viewpoints + min(source.steered, people.train)), INSTRUCTION_TOKENS + written, written
        ),
        "labels": Planned(count * source.pairs * 2 * (1 + 2 * rounds), INSTRUCTION_TOKENS + 3 * written, said),
        "improvements": Planned(count * source.pairs * rounds, INSTRUCTION_TOKENS + 3 * written, written),
        "measure": Planned(panel, INSTRUCTION_TOKENS + 3 * written, said),
    }
    return {step: planned for step, planned in steps.items() if planned.calls}
