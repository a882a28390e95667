"""A language model as the judge: a question, two anonymous outputs and a description of the user.

In the manner of AlpacaEval, with the user in its place of an instruction giver: length is to be ignored, every pair is
asked twice with the order turned round, and a pair whose verdict follows the order is dropped and counted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.contracts import EngineRequest, Layout, Prompt, Sampling
from inference.engines import Engine
from inference.training.evaluation.judgments import Judgment
from inference.training.evaluation.people import Person
from inference.training.evaluation.store import make, seed_of
from inference.world import describe

INSTRUCTION = (
    "You compare two outputs for one particular person. You are told who the person is, what they asked, and two "
    "outputs. Decide which output this person would prefer. Let neither the length of the outputs nor their order "
    "decide. Reply with the name of the preferred output and nothing else: Output (1) or Output (2)."
)
VERDICT = re.compile(r"^\W*(?:the\s+preferred\s+output\s+is\s+)?(?:output\s*)?\(?([12])\)?(?!\w)", re.IGNORECASE)
GREEDY = Sampling(temperature=0.0, top_p=1.0, max_tokens=16)


@dataclass(frozen=True, slots=True)
class Pair:
    """An answer of an arm and the base answer, for a person."""

    person: Person
    text: str
    base: str


@dataclass(frozen=True, slots=True)
class Verdicts:
    """One score a pair, None where dropped; how many were dropped for order and for replies without a verdict."""

    scores: tuple[float | None, ...]
    order_sensitive: int
    unreadable: int


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the language model says of a treatment, beside what the exact judge says of the same pairs."""

    treatment: str
    verdicts: Verdicts
    exact: tuple[Judgment, ...]

    def judgments(self) -> Iterator[Judgment]:
        """One judgment a pair that was not dropped."""
        for score, row in zip(self.verdicts.scores, self.exact, strict=True):
            if score is not None:
                yield replace(row, score=score)

    def agreement(self) -> tuple[int, int]:
        """On how many pairs both judges prefer the same text, of how many on which both prefer one."""
        both = [(a, b.score) for a, b in zip(self.verdicts.scores, self.exact, strict=True) if a in (0, 1)]
        decided = [(a, b) for a, b in both if b != 0.5]
        return sum(a == b for a, b in decided), len(decided)


def judge_prompt(person: Person, first: str, second: str, layout: str = "chat") -> Prompt:
    """What the judge reads; `layout` "chat" for a chat model, "text" for one that completes."""
    asked = (
        f"# The person\n{describe(person.user)}\n\n# Question\n{person.asked.text}\n\n"
        f"# Output (1)\n{first}\n\n# Output (2)\n{second}\n\n# Which output would this person prefer?\n"
    )
    if layout == "text":
        return Prompt(f"{INSTRUCTION}\n\n{asked}Output (", None, ("\n",), 0, 0)
    return Prompt(None, ({"role": "system", "content": INSTRUCTION}, {"role": "user", "content": asked}), (), 0, 0)


def verdict_of(reply: str) -> int | None:
    """1 or 2, as the reply begins; None when it names neither."""
    found = VERDICT.match(reply.strip())
    return int(found[1]) if found else None


def language_verdicts(
    engine: Engine, pairs: Sequence[Pair], path: Path, title: str, *, seed: int, layout: Layout | str = "chat"
) -> Verdicts:
    """Ask about every pair in both orders; replies are kept in `path`. EvaluationError when the engine fails."""
    requests = []
    for pair in pairs:
        for order, (first, second) in enumerate(((pair.text, pair.base), (pair.base, pair.text)), start=1):
            name = f"{title}/{pair.person.domain}/{pair.person.number}/{order}"
            prompt = judge_prompt(pair.person, first, second, layout)
            requests.append(EngineRequest(name, prompt, GREEDY, seed_of(seed, name)))
    replies = [verdict_of(text.text) for text in make(engine, requests, path, title)]
    return settle(list(zip(replies[::2], replies[1::2], strict=True)))


def settle(replies: Sequence[tuple[int | None, int | None]]) -> Verdicts:
    """Scores from (verdict with the arm's text first, verdict with it second)."""
    scores: list[float | None] = []
    order_sensitive = unreadable = 0
    for one, other in replies:
        if one is None or other is None:
            unreadable += 1
            scores.append(None)
        elif one == other:  # the same place both times: another text each time
            order_sensitive += 1
            scores.append(None)
        else:
            scores.append(float(one == 1))
    return Verdicts(tuple(scores), order_sensitive, unreadable)
