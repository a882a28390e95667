"""The surface forms of the world: every sentence an answer can contain.

A sentence says one idea: an aspect of the subject and a value that the aspect is given. It is an opening, which belongs
to the aspect and says nothing of the value, and a predicate, which says both. `{s}` in the first opening of an answer
is the subject. Every opening of an aspect fits every predicate of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from inference.world.forms_explanations import EXPLANATION_FORMS
from inference.world.forms_open import OPEN_FORMS
from inference.world.forms_reviews import REVIEW_FORMS

REVIEWS, EXPLANATIONS, OPEN = "reviews", "explanations", "open-ended"
DOMAINS: tuple[str, ...] = (REVIEWS, EXPLANATIONS, OPEN)


@dataclass(frozen=True, slots=True)
class Idea:
    """What one sentence says: in which domain, about which aspect, with which value.

    Values are 1 and -1 (praise and blame) in reviews, the level 1 to 5 in explanations, and a view, 1 or -1, in
    open-ended questions.
    """

    domain: str
    aspect: str
    value: int


@dataclass(frozen=True, slots=True)
class Aspect:
    """The forms of one aspect: openings, and the predicates of each value."""

    openings: tuple[str, ...]
    predicates: Mapping[int, tuple[str, ...]]


FORMS: dict[str, dict[str, Aspect]] = {
    domain: {aspect: Aspect(openings, predicates) for aspect, (openings, predicates) in forms.items()}
    for domain, forms in ((REVIEWS, REVIEW_FORMS), (EXPLANATIONS, EXPLANATION_FORMS), (OPEN, OPEN_FORMS))
}
"""Domain -> aspect -> forms; the first aspect of a domain names the subject and opens every answer."""


def ideas() -> Iterator[Idea]:
    """Every idea of the world, in a fixed order."""
    for domain, aspects in FORMS.items():
        for aspect, forms in aspects.items():
            yield from (Idea(domain, aspect, value) for value in forms.predicates)


def aspects_of(domain: str) -> tuple[str, ...]:
    """The aspects of a domain in the order in which an answer speaks of them."""
    return tuple(FORMS[domain])
