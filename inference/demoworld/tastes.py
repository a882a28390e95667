"""A taste: what one synthetic person likes to read, the same in every domain.

A taste is four binary traits, so there are sixteen kinds of person. Each trait is one visible habit of an answer:
how it frames its subject, what it expects of it, what it leans on, and how it ends.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

TRAITS: dict[str, tuple[str, str]] = {
    "framing": ("picture", "terms"),
    "outlook": ("hopeful", "wary"),
    "support": ("story", "figures"),
    "ending": ("advice", "question"),
}
"""Trait name -> its two poles, in the order in which an answer shows the traits."""

DESCRIPTIONS: dict[str, str] = {
    "picture": "likes things put in everyday pictures",
    "terms": "likes exact, technical terms",
    "hopeful": "wants to hear the bright side",
    "wary": "wants to hear the risks and flaws",
    "story": "is persuaded by a small personal story",
    "figures": "is persuaded by numbers",
    "advice": "likes an answer to end with something to do",
    "question": "likes an answer to end with a question to think about",
}


@dataclass(frozen=True, slots=True)
class Taste:
    """One pole of each trait. Equal tastes are the same kind of person.

    Raises ValueError when a pole does not belong to its trait.
    """

    framing: str
    outlook: str
    support: str
    ending: str

    def __post_init__(self) -> None:
        for trait, poles in TRAITS.items():
            if getattr(self, trait) not in poles:
                raise ValueError(f"{trait} must be one of {poles}, not {getattr(self, trait)!r}")

    @property
    def poles(self) -> dict[str, str]:
        """Trait name -> the pole this person likes."""
        return {trait: getattr(self, trait) for trait in TRAITS}

    @property
    def code(self) -> str:
        """A stable name of the kind, such as ``picture-hopeful-story-advice``."""
        return "-".join(self.poles.values())

    @property
    def opposite(self) -> Taste:
        """The person who differs in every trait."""
        return Taste(*(_other(trait, pole) for trait, pole in self.poles.items()))

    @classmethod
    def parse(cls, code: str) -> Taste:
        """Rebuild a taste from its code; raises ValueError on anything else."""
        poles = code.split("-")
        if len(poles) != len(TRAITS):
            example = next(kinds()).code
            raise ValueError(f"a taste has {len(TRAITS)} traits joined by '-', for example {example}; got {code!r}")
        return cls(*poles)

    @classmethod
    def draw(cls, rng: random.Random) -> Taste:
        """A kind drawn uniformly."""
        return cls(*(rng.choice(poles) for poles in TRAITS.values()))

    def describe(self) -> str:
        """The gold description: one sentence a trait would be too many, so one sentence for all four."""
        first, second, third, fourth = (DESCRIPTIONS[pole] for pole in self.poles.values())
        return f"This reader {first}, {second}, {third}, and {fourth}."

    def likes(self, other: Taste) -> int:
        """In how many of the four traits `other` is to this person's liking."""
        return sum(getattr(self, trait) == getattr(other, trait) for trait in TRAITS)


def kinds() -> Iterator[Taste]:
    """All sixteen tastes, in a fixed order."""
    for poles in itertools.product(*TRAITS.values()):
        yield Taste(*poles)


def _other(trait: str, pole: str) -> str:
    first, second = TRAITS[trait]
    return second if pole == first else first
