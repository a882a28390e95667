"""What the tables, figures and bars show, computed from the board of judgments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inference.training.evaluation.arms import ARMS
from inference.training.evaluation.ceiling import IDEAL, ceiling_of
from inference.training.evaluation.interval import Estimate, difference, mean_of, win_rate
from inference.training.evaluation.judgments import Board, Judgment
from inference.world import DOMAINS


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: a treatment in a part and a domain (None: the mean of the three)."""

    treatment: str
    rate: Estimate
    ideal: Estimate | None
    share: Estimate | None
    readable: float
    named: float
    words: float


class Measures:
    """Estimates from a board. None wherever a treatment was not judged."""

    def __init__(self, board: Board) -> None:
        self.board = board

    def rate(self, part: str, treatment: str, domain: str | None = None) -> Estimate | None:
        """The win rate in a domain; without one, the mean of the three domains (None unless all were judged)."""
        if domain is None:
            return _mean([self.rate(part, treatment, each) for each in DOMAINS])
        rows = self.board.rows(part, treatment, domain)
        return win_rate([row.score for row in rows], _users(rows))

    def gap(self, one: tuple[str, str], other: tuple[str, str], domain: str | None = None) -> Estimate | None:
        """Win rate of one (part, treatment) less that of the other, over the people that both have."""
        if domain is None:
            return _mean([self.gap(one, other, each) for each in DOMAINS], share=False)
        pairs = self._pairs(one, other, domain)
        return difference([a.score - b.score for a, b in pairs], _users([a for a, _ in pairs]))

    def share(self, part: str, treatment: str, domain: str | None = None) -> Estimate | None:
        """The gain over one half as a share of the ideal observer's gain on the same people.

        A ratio of means R = P / Q; its interval comes from the paired differences P - R Q, divided by Q. None where the
        observer's own gain is not clear of 0: nothing can be a share of it.
        """
        ceiling = ceiling_name(treatment)
        names = DOMAINS if domain is None else (domain,)
        pairs = [self._pairs((part, treatment), (part, ceiling), each) for each in names]
        if ceiling == treatment or not all(pairs):
            return None
        gain = _mean_gain([[a.score for a, _ in rows] for rows in pairs])
        most = _mean_gain([[b.score for _, b in rows] for rows in pairs])
        ceiling_rate = self.rate(part, ceiling, domain)
        if most <= 0 or ceiling_rate is None or (ceiling_rate.low or 0) <= 0.5:
            return None
        ratio = gain / most
        parts = [
            difference([(a.score - 0.5) - ratio * (b.score - 0.5) for a, b in rows], _users([a for a, _ in rows]))
            for rows in pairs
        ]
        spread = _mean(parts, share=False)
        if spread is None:
            return None
        low, high = (None if edge is None else ratio + edge / most for edge in (spread.low, spread.high))
        return Estimate(ratio, spread.n, spread.users, spread.variance / most**2, spread.df, low, high)

    def row(self, part: str, treatment: str, domain: str | None = None) -> Row | None:
        """A line of a table."""
        rate = self.rate(part, treatment, domain)
        if rate is None:
            return None
        rows = self.board.rows(part, treatment, domain)
        return Row(
            treatment,
            rate,
            self.rate(part, ceiling_name(treatment), domain),
            self.share(part, treatment, domain),
            sum(row.readable for row in rows) / len(rows),
            sum(row.named for row in rows) / len(rows),
            sum(row.words for row in rows) / len(rows),
        )

    def _pairs(self, one: tuple[str, str], other: tuple[str, str], domain: str) -> list[tuple[Judgment, Judgment]]:
        others = {row.person.place: row for row in self.board.rows(*other, domain)}
        return [(row, others[row.person.place]) for row in self.board.rows(*one, domain) if row.person.place in others]


def ceiling_name(treatment: str) -> str:
    """The ideal observer's treatment that bounds this one; itself for the observer's own."""
    name, _, shots = treatment.partition("@")
    return treatment if name == IDEAL else ceiling_of(ARMS[name], int(shots))


def _users(rows: Sequence[Judgment]) -> list[str]:
    return [row.person.user.code for row in rows]


def _mean(parts: Sequence[Estimate | None], *, share: bool = True) -> Estimate | None:
    there = [part for part in parts if part is not None]
    if len(there) < len(parts):
        return None
    return there[0] if len(there) == 1 else mean_of(there, share=share)


def _mean_gain(domains: Sequence[Sequence[float]]) -> float:
    return sum(sum(scores) / len(scores) - 0.5 for scores in domains) / len(domains)
