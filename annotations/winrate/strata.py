"""The win rate in parts of the judgments of one comparison, each with an interval of its own. Descriptive."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from annotations.winrate.columns import Judgments
from annotations.winrate.measures import Measure, rate

PARTS = 4
FEWEST = 8  # judgments of a part


@dataclass(frozen=True, slots=True)
class Stratum:
    """One part. at: its place on the axis (side 0 or 1, words, shots); measure: its win rate."""

    name: str
    at: float
    measure: Measure


def sides(part: Judgments, subject: str, level: float) -> list[Stratum]:
    """The win rate where the treatment stood first (at 0) and second (at 1)."""
    named = (("treatment first", 0.0, 1.0), ("treatment second", 1.0, 0.0))
    return [
        Stratum(name, at, rate("win_rate_" + name.split()[1], subject, part.where(part.first == side).sample(), level))
        for name, at, side in named
    ]


def lengths(part: Judgments, subject: str, level: float) -> list[Stratum]:
    """Up to four parts of about equal size by words(treatment) - words(baseline), at their medians; fewer where the
    judgments are few or the differences equal; none where lengths are unknown."""
    gap = part.treatment_words - part.baseline_words
    known = part.where(~np.isnan(gap))
    gap = gap[~np.isnan(gap)]
    number = min(PARTS, len(gap) // FEWEST)
    if number < 1:
        return []
    cuts = np.unique(np.quantile(gap, np.arange(1, number) / number))
    place = np.searchsorted(cuts, gap, side="left")
    found = []
    for one in np.unique(place):
        mask = place == one
        low, high = int(gap[mask].min()), int(gap[mask].max())
        row = rate("win_rate_by_length", subject, known.where(mask).sample(), level)
        found.append(Stratum(f"{low:+d} to {high:+d} words", float(np.median(gap[mask])), row))
    return found


def shots(parts: dict[str, tuple[int, Judgments]], level: float) -> list[Stratum]:
    """parts: comparison -> (shots in the treatment's context, its judgments). Fewest shots first."""
    ordered = sorted(parts.items(), key=lambda item: item[1][0])
    return [
        Stratum(str(count), float(count), rate("win_rate_by_shots", name, judged.sample(), level))
        for name, (count, judged) in ordered
    ]
