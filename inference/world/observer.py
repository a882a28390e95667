"""The ideal observer: what anybody could make of the same shots.

The world is exact, so the posterior over its users given labelled pairs is too. The observer answers with the plan that
wins most often, in expectation over that posterior, against answers drawn as `draw_plan` draws them: the ceiling of
every model that sees the same shots.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from inference.contracts import Shot
from inference.world.answers import TIE, Plan, draw_plan, viewpoints
from inference.world.forms import EXPLANATIONS, OPEN, REVIEWS, Idea, aspects_of
from inference.world.judge import read
from inference.world.users import LEVELS, User, users

Floats = NDArray[np.float64]
RIVALS = 400  # drawn answers against which a plan is tried


class Observer:
    """Knows every user of one domain and how the answers of that domain come about."""

    def __init__(self, domain: str) -> None:
        self.domain = domain
        found: dict[str, User] = {u.code: u for group in ("train", "held_out") for u in users(domain, group)}
        self.users = list(found.values())
        self.plans = _plans(domain)
        self._liked: dict[Plan, Floats] = {}
        rng = random.Random(f"rivals/{domain}")
        rivals = Counter(draw_plan(domain, rng) for _ in range(RIVALS))
        own = np.stack([self._likings(plan) for plan in self.plans], axis=1)  # users x plans
        other = np.stack([self._likings(rival) for rival in rivals], axis=1)  # users x different rivals
        difference = own[:, :, None] - other[:, None, :]
        won = (difference > TIE) + 0.5 * (np.abs(difference) <= TIE)
        self.wins: Floats = won @ np.array([*rivals.values()]) / RIVALS  # users x plans

    def _likings(self, plan: Plan) -> Floats:
        """How much each user likes a plan (users,). Kept: the same few plans are met again and again."""
        if plan not in self._liked:
            self._liked[plan] = np.array([user.likes(plan) for user in self.users])
        return self._liked[plan]

    def posterior(self, shots: Sequence[Shot]) -> Floats:
        """Probability of each of `users` given labelled pairs, from a uniform prior; a tie says nothing."""
        weights = np.ones(len(self.users))
        for shot in shots:
            preferred, dispreferred = (read(text).ideas for text in (shot.preferred, shot.dispreferred))
            difference = self._likings(preferred) - self._likings(dispreferred)
            weights *= np.where(np.abs(difference) <= TIE, 0.5, difference > 0)
        total = weights.sum()
        # Labels that no user could give (flipped ones, say) leave the prior.
        return weights / total if total else np.full(len(self.users), 1 / len(self.users))

    def answer(self, shots: Sequence[Shot]) -> Plan:
        """The plan with the highest expected win rate after these shots."""
        return self.plans[int(np.argmax(self.posterior(shots) @ self.wins))]

    def expected(self, user: User, plan: Plan) -> float:
        """The exact win rate of a plan with a user against the drawn rivals."""
        return float(self.wins[self._index()[user.code], self.plans.index(plan)])

    @cache  # noqa: B019 (one observer a domain lives as long as the program)
    def _index(self) -> dict[str, int]:
        return {user.code: number for number, user in enumerate(self.users)}


@cache
def observer(domain: str) -> Observer:
    """The observer of a domain."""
    return Observer(domain)


def _plans(domain: str) -> list[Plan]:
    """The answers worth giving: every consistent one."""
    if domain == OPEN:
        return viewpoints()
    if domain == EXPLANATIONS:
        return [tuple(Idea(domain, aspect, level) for aspect in aspects_of(domain)) for level in LEVELS]
    if domain == REVIEWS:
        sizes = range(1, len(aspects_of(REVIEWS)) + 1)
        return [
            tuple(Idea(domain, a, v) for a in aspects_of(REVIEWS)[:n]) for v, n in itertools.product((1, -1), sizes)
        ]
    raise ValueError(f"no domain {domain!r}")
