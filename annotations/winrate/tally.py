"""Wins, ties, losses and the two win rates: half credit for a tie (primary), and decisive judgments only."""

from __future__ import annotations

from dataclasses import dataclass

from annotations.winrate.sample import Floats


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of a set of judgments, from the focal arm's side."""

    wins: int
    ties: int
    losses: int

    @property
    def judgments(self) -> int:
        """N."""
        return self.wins + self.ties + self.losses

    @property
    def win_rate(self) -> float | None:
        """(W + T/2) / N; None without judgments."""
        return (self.wins + self.ties / 2) / self.judgments if self.judgments else None

    @property
    def decisive(self) -> float | None:
        """W / (W + L); None when everything is a tie."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None


def tally(scores: Floats) -> Tally:
    """Count the scores (N,)."""
    return Tally(int((scores == 1).sum()), int((scores == 0.5).sum()), int((scores == 0).sum()))
