"""Who a simulated participant is: what they like, how sure they are, how they handle a browser."""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum

from inference.world import Taste, score


class Habit(StrEnum):
    """How somebody behaves. Every crowd has all of them, steady people most."""

    STEADY = "steady"
    NOISY = "noisy"
    ALWAYS_FIRST = "always_first"
    DOUBLE_CLICKER = "double_clicker"
    BACK_BUTTON = "back_button"
    TWO_TABS = "two_tabs"
    DROP_OUT = "drop_out"
    STOPPER = "stopper"


# In ten people: six who answer as they are, four of the other habits in turn.
TURNS = (
    Habit.STEADY, Habit.NOISY, Habit.DOUBLE_CLICKER, Habit.STEADY, Habit.BACK_BUTTON,
    Habit.STEADY, Habit.TWO_TABS, Habit.STEADY, Habit.ALWAYS_FIRST, Habit.STEADY,
    Habit.STEADY, Habit.NOISY, Habit.DOUBLE_CLICKER, Habit.STEADY, Habit.DROP_OUT,
    Habit.STEADY, Habit.BACK_BUTTON, Habit.STEADY, Habit.STOPPER, Habit.STEADY,
)  # fmt: skip
NOISE = {Habit.NOISY: 0.35}
STEADY_NOISE = 0.05


@dataclass(frozen=True, slots=True)
class Mind:
    """A planted taste with a habit; every decision comes from its own random stream."""

    taste: Taste
    habit: Habit
    rng: random.Random

    @classmethod
    def of(cls, number: int, seed: int) -> Mind:
        """The mind of person `number` (from 0) of a crowd: the same seed gives the same people."""
        rng = random.Random(f"{seed}/{number}")
        return cls(Taste.draw(rng), TURNS[number % len(TURNS)], rng)

    def decide(self, first: str, second: str) -> tuple[str, int]:
        """The choice (first or second) and its strength (1 to 5) by the world's exact score, with noise."""
        difference = score(first, self.taste) - score(second, self.taste)
        strength = min(5, 1 + round(4 * abs(difference)))
        if self.habit is Habit.ALWAYS_FIRST:
            return "first", strength
        if difference == 0 or self.rng.random() < NOISE.get(self.habit, STEADY_NOISE):
            return self.rng.choice(("first", "second")), strength
        return ("first" if difference > 0 else "second"), strength

    def think_s(self, mean: float) -> float:
        """A think time, exponential with the mean in seconds; 0 for no think time."""
        return self.rng.expovariate(1 / mean) if mean > 0 else 0.0
