"""What a run on a language model has cost, and what it may still cost: a progress bar over calls, and sums."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tqdm import tqdm

from inference.training.synthesis.config import Limits
from inference.training.synthesis.ledger import Ledger

REFRESH_S = 0.5


@dataclass(frozen=True, slots=True)
class Planned:
    """Calls of a step at most, and tokens of each at most: what it may cost before there is anything to go by."""

    calls: int
    prompt_tokens: int
    completion_tokens: int


class Meter:
    """Watches a ledger against the plan. Use as a context manager around the run."""

    def __init__(self, planned: dict[str, Planned], ledger: Ledger, limits: Limits) -> None:
        """`planned` is by step; `limits` hold the prices."""
        self.planned, self.ledger, self.limits = planned, ledger, limits
        self.most = sum(each.calls for each in planned.values())
        self._told_at = 0.0

    def __enter__(self) -> Meter:
        """Say what is planned and start the bar."""
        before = self.ledger.spent
        steps = ", ".join(f"{step} {each.calls:,}" for step, each in self.planned.items())
        print(f"at most {self.most:,} calls, retries aside: {steps}")
        print(
            f"answered before {before.calls:,} for {before.total:.4g}; to go at most {self.to_go():.4g}, in your prices"
        )
        if before.lost:
            print(f"{before.lost} calls were in flight at a kill: asked again, counted as {before.lost_cost:.4g} spent")
        self.bar = tqdm(total=self.most, initial=before.calls, unit=" calls")
        return self

    def __exit__(self, *_: object) -> None:
        """Close the bar."""
        self.update(now=True)
        self.bar.close()

    def update(self, *, now: bool = False) -> None:
        """Show how far the ledger is, twice a second at most unless `now`."""
        if now or time.monotonic() - self._told_at > REFRESH_S:
            self._told_at = time.monotonic()
            spent = self.ledger.spent
            self.bar.n = spent.calls
            self.bar.set_postfix_str(f"cost {spent.total:.4g}, to go at most {self.to_go():.4g}")

    def to_go(self) -> float:
        """What the calls that are left cost at most: by the mean of their step so far, else by the plan."""
        left = 0.0
        for step, planned in self.planned.items():
            done, paid = self.ledger.steps.get(step, (0, 0.0))
            each = paid / done if done else self.limits.cost(planned.prompt_tokens, planned.completion_tokens)
            left += max(0, planned.calls - done) * each
        return left

    def how_to_go_on(self) -> str:
        """What was done, and how to continue."""
        spent = self.ledger.spent
        steps = self.ledger.steps
        done = ", ".join(f"{step} {steps.get(step, (0,))[0]:,}/{each.calls:,}" for step, each in self.planned.items())
        return (
            f"Spent {spent.total:.4g} on {spent.calls:,} calls ({done}); to go at most {self.to_go():.4g}. Raise "
            "[limits] budget if that was the reason and run the same command again: nothing that was answered is "
            "asked twice."
        )

    def summary(self) -> dict[str, object]:
        """For summary.json."""
        spent = self.ledger.spent
        return {
            "answered": spent.calls,
            "by step": {step: calls for step, (calls, _) in self.ledger.steps.items()},
            "prompt tokens": spent.prompt_tokens,
            "completion tokens": spent.completion_tokens,
            "model seconds": round(spent.seconds, 3),
            "cost": spent.cost,
            "in flight at a kill": spent.lost,
            "cost of those at most": spent.lost_cost,
        }
