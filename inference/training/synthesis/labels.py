"""Labels from a language model: the judge asked twice in flipped order, and iterative persona improvement."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from inference.training.synthesis import instructions
from inference.training.synthesis.answers import Asked, Candidate
from inference.training.synthesis.calls import Answer, Call, Talk, seed_of
from inference.training.synthesis.config import EngineSource
from inference.training.synthesis.personas import Persona


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to a question, in the order in which they are first shown."""

    asked: Asked
    first: Candidate
    second: Candidate


class Verdict(Enum):
    """What two looks at a pair, in flipped order, come to."""

    FIRST = "first"
    SECOND = "second"
    UNDECIDED = "undecided"  # both times the judge says that the description does not decide
    ORDER = "order-sensitive"  # the two looks disagree
    UNREADABLE = "unreadable"  # no verdict could be read in as many tries as are allowed


OPEN_VERDICTS = (Verdict.UNDECIDED, Verdict.ORDER)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A user's pairs with verdicts, and the description that gave them."""

    description: str
    verdicts: tuple[Verdict, ...]


def label(
    persona: Persona, pairs: Sequence[Pair], source: EngineSource, seed: int, counts: Counter[str]
) -> Talk[Labelled]:
    """Label a user's pairs, improving the persona in up to `rounds` rounds before.

    A round: every pair that the description does not decide gets a side at random and a sentence that is added to the
    description, one after another; then all pairs are labelled anew.
    """
    text = persona.text
    verdicts = yield from judge(text, pairs, source, seed)
    for number in range(source.improvement.rounds):
        rng = random.Random(f"{seed}/sides/{persona.code}/{number}")
        sentences = yield from _improve(text, pairs, verdicts, source, seed, rng)
        if not sentences:
            break
        counts["sentences added"] += len(sentences)
        text = " ".join([text, *sentences])
        verdicts = yield from judge(text, pairs, source, seed)
    return Labelled(text, tuple(verdicts))


def _improve(
    text: str,
    pairs: Sequence[Pair],
    verdicts: Sequence[Verdict],
    source: EngineSource,
    seed: int,
    rng: random.Random,
) -> Talk[list[str]]:
    """The sentences to add to a description."""
    added: list[str] = []
    for pair, verdict in zip(pairs, verdicts, strict=True):
        if verdict not in OPEN_VERDICTS:
            continue
        described = " ".join([text, *added])
        if added:  # a sentence that was added for another pair may decide this one
            (verdict,) = yield from judge(described, [pair], source, seed)
            if verdict not in OPEN_VERDICTS:
                continue
        sides = (pair.first, pair.second)
        preferred, other = sides if rng.random() < 0.5 else sides[::-1]
        wanted = instructions.add_sentence(described, pair.asked.text, preferred.text, other.text)
        answers: list[Answer] = yield [
            Call("improvements", wanted, source.writing.sampling, seed_of(seed, "improvements"))
        ]
        sentence = instructions.read_sentence(answers[0].text or "")
        if sentence:
            added.append(sentence)
    return added


def judge(
    text: str, pairs: Sequence[Pair], source: EngineSource, seed: int, *, step: str = "labels", time: int = 0
) -> Talk[list[Verdict]]:
    """The verdicts of a persona described by `text`; `time` numbers repeated labellings of the same pairs."""
    looks: dict[tuple[int, bool], int | None] = {(n, flip): None for n in range(len(pairs)) for flip in (False, True)}
    for attempt in range(source.judging.tries):
        open_looks = [look for look, said in looks.items() if said is None]
        if not open_looks:
            break
        calls = [
            Call(step, _shown(text, pairs[n], flip), source.judging.sampling, seed_of(seed, "judge", time, attempt))
            for n, flip in open_looks
        ]
        answers: list[Answer] = yield calls
        for look, answer in zip(open_looks, answers, strict=True):
            looks[look] = instructions.read_verdict(answer.text or "")
    return [_verdict(looks[n, False], looks[n, True]) for n in range(len(pairs))]


def _shown(text: str, pair: Pair, flip: bool) -> str:
    first, second = (pair.second, pair.first) if flip else (pair.first, pair.second)
    return instructions.judge(text, pair.asked.text, first.text, second.text)


def _verdict(said: int | None, flipped: int | None) -> Verdict:
    if said is None or flipped is None:
        return Verdict.UNREADABLE
    back = {0: 0, 1: 2, 2: 1}[flipped]
    if said != back:
        return Verdict.ORDER
    return {0: Verdict.UNDECIDED, 1: Verdict.FIRST, 2: Verdict.SECOND}[said]
