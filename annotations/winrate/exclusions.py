"""Exclusion rules: who is left out of an analysis set, by what was measured of them. No arm and no outcome is read."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

COMPARED: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    ">": operator.gt,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A participant is left out where `metric op value` holds. post_hoc: added after unblinding."""

    id: str
    metric: str
    op: str
    value: float
    post_hoc: bool = False

    def __str__(self) -> str:
        return f"{self.metric} {self.op} {self.value:g}"

    def hits(self, measured: float | None) -> bool:
        """Whether somebody with this measurement is left out; what was not measured leaves nobody out."""
        return measured is not None and COMPARED[self.op](measured, self.value)


@dataclass(frozen=True, slots=True)
class Hit:
    """One participant left out by one rule, and the measurement that did it."""

    participant: str
    rule: Rule
    measured: float


def applied(rules: Iterable[Rule], measured: Mapping[str, Mapping[str, float | None]]) -> list[Hit]:
    """Who is left out by which rule; measured: participant -> metric -> value. Sorted by rule, then participant."""
    return [
        Hit(person, rule, float(value))
        for rule in rules
        for person in sorted(measured)
        if (value := measured[person].get(rule.metric)) is not None and rule.hits(value)
    ]
