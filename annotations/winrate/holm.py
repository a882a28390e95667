"""Several primary contrasts: Holm's (1979) step-down adjustment, and a fixed sequence beside it."""

from __future__ import annotations

from collections.abc import Sequence


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values in the order given; a missing one stays None and does not count in the family."""
    ranked = sorted((p, index) for index, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for rank, (p, index) in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * p))
        adjusted[index] = highest
    return adjusted


def fixed_sequence(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p-values of a test in the order given, which stops at the first that fails: the highest so far.

    A missing one stops the sequence: it and all after it are None.
    """
    adjusted: list[float | None] = []
    highest = 0.0
    for place, p in enumerate(ps):
        if p is None:
            return adjusted + [None] * (len(ps) - place)
        highest = max(highest, p)
        adjusted.append(highest)
    return adjusted
