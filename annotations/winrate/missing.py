"""What void comparisons could do at most: the win rate with all of them lost, and with all of them won."""

from __future__ import annotations


def bounds(credit: float, judgments: int, void: int) -> tuple[float, float] | None:
    """(low, high) for `credit` = W + T/2 over `judgments`, with `void` more unjudged; None without judgments."""
    if not judgments:
        return None
    return credit / (judgments + void), (credit + void) / (judgments + void)
