"""A protocol as far as it holds: sound tables can be checked against each other while others are still broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from studyapp.protocol.explain import explain
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem

# Stand-ins for what must be given, so that the rest can be built; rules never look at a broken table.
_STAND_INS: dict[str, Any] = {
    "slug": "broken",
    "title": "broken",
    "models": {"broken": {"engine": "scripted"}},
    "arms": {"broken": {"model": "broken"}},
    "comparisons": [{"treatment": "broken", "baseline": "broken", "items": 1}],
}


@dataclass(frozen=True)
class Draft:
    """A protocol whose tables named in `broken` are stand-ins or defaults and mean nothing."""

    protocol: Protocol
    broken: frozenset[str]

    def has(self, *tables: str) -> bool:
        """Whether all these tables are as the author wrote them."""
        return not self.broken.intersection(tables)


def draft_of(values: dict[str, Any], file: str) -> tuple[Draft, list[Problem]]:
    """The draft and every problem of keys and values."""
    try:
        return Draft(Protocol.model_validate(values), frozenset()), []
    except ValidationError as error:
        broken = frozenset(str(details["loc"][0]) for details in error.errors(include_url=False))
        sound = {key: value for key, value in values.items() if key not in broken}
        stand_ins = {key: value for key, value in _STAND_INS.items() if key in broken}
        return Draft(Protocol.model_validate(sound | stand_ins), broken), explain(Protocol, error, file)
