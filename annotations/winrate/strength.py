"""Signed strength: how strongly the focal text was preferred, negative where the other was."""

from __future__ import annotations

import numpy as np

from annotations.winrate.columns import Judgments
from annotations.winrate.measures import Measure, mean
from annotations.winrate.sample import Floats


def signed(judged: Judgments) -> Floats:
    """+strength for a win, -strength for a loss, 0 for a tie; NaN where no strength was asked. Shape (N,)."""
    strength: Floats = np.sign(judged.scores - 0.5) * judged.strength
    return np.where(judged.scores == 0.5, 0.0, strength)


def signed_strength(judged: Judgments, subject: str, level: float) -> Measure:
    """The mean signed strength on its own scale; p against zero. Ties count where any strength is known."""
    values = signed(judged)
    if np.isnan(judged.strength).all():
        return Measure(measure="signed_strength", subject=subject, n_participants=0, n=0, flags=("no_data",))
    part = judged.where(~np.isnan(values))
    return mean("signed_strength", subject, values[~np.isnan(values)], part.sample(), level)
