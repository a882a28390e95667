"""The paper's figures on synthetic users, in per cent against base on the bare question (arXiv 2502.19312)."""

from __future__ import annotations

from inference.training.evaluation.people import FIELDS, MAIN, TRAINED
from inference.world import EXPLANATIONS, OPEN, REVIEWS

RATES: dict[tuple[str, str], dict[str, float]] = {
    (MAIN, REVIEWS): {"prompted": 59.1, "pref-ft": 70.7, "fspo": 73.6, "fspo+rat": 84.6},
    (TRAINED, REVIEWS): {"prompted": 69.1, "pref-ft": 65.6, "fspo": 80.4, "fspo+rat": 92.3},
    (MAIN, EXPLANATIONS): {"prompted": 92.4, "pref-ft": 91.2, "fspo": 97.8},
    (FIELDS, EXPLANATIONS): {"prompted": 81.4, "pref-ft": 82.9, "fspo": 91.8},
    (MAIN, OPEN): {
        "population": 72.4,
        "prompted": 63.2,
        "pref-ft": 62.8,
        "fspo": 82.6,
        "fspo+rat": 90.3,
        "oracle": 90.9,
    },
}
"""(part, domain) -> arm -> win rate: reviews interpolated and trained, ELIX easy and hard, roleplay."""
CURVE: dict[int, float] = {1: 65.7, 2: 69.3, 4: 72.1, 8: 82.6}
"""Shots -> win rate of FSPO on open-ended questions."""
HEADLINE = 87.0


def paper_rate(part: str, domain: str | None, treatment: str) -> float | None:
    """The paper's figure beside one of ours, None where it has none."""
    arm = treatment.partition("@")[0]
    if domain is None:
        return HEADLINE if part == MAIN and arm == "fspo" else None
    return RATES.get((part, domain), {}).get(arm)
