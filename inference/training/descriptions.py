"""RAT's first step as preference pairs: of several descriptions sampled for one user, the one closest to the gold one
is preferred to the one farthest from it.

Both are followed by the answer that the user preferred: a model whose examples ended with their descriptions would end
there too, and never come to the second step.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence

from inference.prompts import DESCRIPTION_HEADING, PREFERRED_HEADING, description_target
from inference.training.fewshot import Example

MAX_TOKENS = 64
TEMPERATURE = 1.0
STOPS = (f"\n{PREFERRED_HEADING.strip()}",)

Sampler = Callable[[Sequence[str], int], list[str]]
"""Prompts and how many continuations to sample of each -> all of them, in the prompts' order."""


def closeness(text: str, gold: str) -> float:
    """Dice coefficient of the words and word pairs of two texts, 0 to 1 (2 |A and B| / (|A| + |B|), as multisets)."""
    one, other = _grams(text), _grams(gold)
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


def pairs(examples: Sequence[Example], sampler: Sampler, samples: int) -> list[Example]:
    """For each example of kind `describe` (its `chosen` begins with the gold description), the closest sampled one
    against the farthest. Examples whose samples are all equally close are left out: nothing is preferred.
    """
    texts = sampler([example.prompt for example in examples], samples)
    found = []
    for number, example in enumerate(examples):
        said = {_body(text) for text in texts[number * samples : (number + 1) * samples]}
        gold = _body(example.chosen)
        ranked = sorted(said - {""}, key=lambda text: (closeness(text, gold), text))
        if len(ranked) > 1 and closeness(ranked[0], gold) < closeness(ranked[-1], gold):
            answer = PREFERRED_HEADING + example.chosen.partition(PREFERRED_HEADING)[2]
            closest, farthest = (description_target(text) + answer for text in (ranked[-1], ranked[0]))
            found.append(Example(example.prompt, closest, farthest, example.shots))
    return found


def _body(text: str) -> str:
    """A description without its heading and whatever follows it."""
    return text.removeprefix(DESCRIPTION_HEADING).partition("\n#")[0].strip()


def _grams(text: str) -> Counter[tuple[str, ...]]:
    words = text.lower().replace(",", " ").replace(".", " ").split()
    return Counter([(word,) for word in words] + list(itertools.pairwise(words)))
