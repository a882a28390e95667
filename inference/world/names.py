"""Made-up names of subjects, so that a model learns to copy a name and not to remember it."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

from inference.world.forms import REVIEWS
from inference.world.subjects import SUBJECTS, Subject

_ONSETS = (
    "b", "c", "d", "f", "g", "h", "j", "k", "l", "m", "n", "p", "r", "s", "t", "v", "w", "z", "br", "ch", "cl", "dr",
    "fl", "gr", "pl", "pr", "sh", "sl", "st", "th", "tr",
)  # fmt: skip
_VOWELS = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "oo", "ou", "y")
_CODAS = ("n", "r", "s", "t", "l", "m", "nd", "st", "ck", "ng", "th")
_LONGEST = 4  # words
_STRANGE = 0.15  # of the words belong to no language


def made_up(like: Subject, rng: random.Random) -> Subject:
    """A subject of the same kind with a name that nobody has: words of other names, newly put together, or of none."""
    count = max(1, min(_LONGEST, len(like.name.split()) - rng.choice((0, 0, 1))))
    name = ""
    while not name or name.lower() in _taken():
        words = [_word(rng) if rng.random() < _STRANGE else rng.choice(words_of_names()) for _ in range(count)]
        name = " ".join(word[:1].upper() + word[1:] if like.domain == REVIEWS else word.lower() for word in words)
    return replace(like, name=name)


def _word(rng: random.Random) -> str:
    """One to three syllables of no language."""
    syllables = (
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + (rng.choice(_CODAS) if rng.random() < 0.4 else "")
        for _ in range(rng.choice((1, 1, 2, 2, 3)))
    )
    return "".join(syllables)


@cache
def words_of_names() -> tuple[str, ...]:
    """The words that occur in names: of held-out subjects too, for it is their names that are held out."""
    return tuple(sorted({word for subject in SUBJECTS for word in subject.name.lower().split()}))


@cache
def _taken() -> frozenset[str]:
    return frozenset(subject.name.lower() for subject in SUBJECTS)
