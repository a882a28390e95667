"""Answers about the judging."""

from __future__ import annotations

from annotations.winrate.measures import rate
from studyapp.report.answers import Answer, cannot, measured
from studyapp.report.conduct import NOBODY
from studyapp.report.evidence import Evidence


def guessed(evidence: Evidence) -> Answer:
    """Nobody is asked to guess yet."""
    return cannot("people were not asked at the end which texts had been made with their choices.")


def first(evidence: Evidence) -> Answer:
    """The win rate with sides balanced."""
    effect = evidence.row("measures", measure="position_effect", subject=evidence.main)
    beside = ""
    if effect is not None and effect["ci_low"] is not None:
        beside = (
            f" Standing first adds {effect['estimate']:+.3f} [{effect['ci_low']:+.3f}, {effect['ci_high']:+.3f}] "
            "to it."
        )
    row = evidence.row("measures", measure="position_balanced_win_rate", subject=evidence.main)
    return measured(
        row, "win rate, sides balanced", f"Sides were drawn for every pair and kept.{beside}",
        "the treatment stood on one side only, or too few people judged.",
    )  # fmt: skip


def random_clicks(evidence: Evidence) -> Answer:
    """Agreement with oneself on a judged pair shown again, sides swapped."""
    row = evidence.row("reliability", measure="retest_agreement", subject="judged")
    says = "The same choice when a judged pair came again with its sides swapped; clicking at random gives one half."
    return measured(row, "agreement with oneself", says, "no judged pair was shown twice ([[controls]] kind = repeat).")


def _covariate(evidence: Evidence, name: str, says: str, missing: str) -> Answer:
    row = evidence.row("contrasts", contrast=name, kind="covariate")
    return measured(row, "change of the win rate", says, missing, signed=True)


def tired(evidence: Evidence) -> Answer:
    """The slope over the order of pairs."""
    says = "Change of the win rate from one pair of the person's order to the next, over all comparisons."
    return _covariate(evidence, "position, an item", says, "too few judgments at different places.")


def learned(evidence: Evidence) -> Answer:
    """Later against first exposure."""
    says = "Pairs after the first one of an arm against that first one."
    return _covariate(
        evidence, "later exposure of the treatment", says, "everybody met the treatment once, or too few judged."
    )


def waited(evidence: Evidence) -> Answer:
    """The slope over seconds waited."""
    says = "Change of the win rate for each second that the person waited for the pair."
    return _covariate(evidence, "wait, a second", says, "nobody waited, or all waited alike.")


def ties(evidence: Evidence) -> Answer:
    """The win rate without ties."""
    part = evidence.part()
    row = rate("win_rate_decisive", evidence.main, part.where(part.scores != 0.5).sample(), evidence.level)
    tied = int((part.scores == 0.5).sum())
    return measured(row, "win rate, ties left out", f"{tied} of {part.size} judgments were ties.", NOBODY)
