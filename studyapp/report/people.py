"""Answers about the people."""

from __future__ import annotations

from studyapp.report.answers import Answer, cannot, measured
from studyapp.report.claims import separating
from studyapp.report.conduct import NOBODY
from studyapp.report.evidence import Evidence


def popular(evidence: Evidence) -> Answer:
    """The comparison with other people's choices, where one was declared."""
    names = separating(evidence.spec)
    if not names:
        return cannot("no swap, donor or population comparison was pre-registered.")
    says = f"{names[0]}: against texts made with other people's choices, popular taste cancels."
    return measured(evidence.rate(comparison=names[0]), "win rate", says, f"nobody judged {names[0]}.")


def few(evidence: Evidence) -> Answer:
    """The range with each person left out in turn."""
    row = evidence.rate()
    if row is None or row["loo_min"] is None:
        return cannot("fewer than two people judged the main comparison.")
    return Answer(
        says="The number is the win rate; the range is that with each person left out in turn, not an interval.",
        what="win rate, leave-one-out range", estimate=row["win_rate"], low=row["loo_min"], high=row["loo_max"],
        people=row["n_participants"], n=row["n_judgments"],
    )  # fmt: skip


def most(evidence: Evidence) -> Answer:
    """The share of people above one half."""
    row = evidence.row("measures", measure="people_above_half", subject=evidence.main)
    under = evidence.row("measures", measure="people_below_half", subject=evidence.main)
    beside = ""
    if under is not None and under["ci_low"] is not None:
        beside = f" Under one half: {under['estimate']:.3f} [{under['ci_low']:.3f}, {under['ci_high']:.3f}]."
    says = f"People whose own win rate is above one half. Few judgments a person spread these shares.{beside}"
    return measured(row, "share of people", says, NOBODY)


def leavers(evidence: Evidence) -> Answer:
    """Bounds with every void pair lost, and won."""
    row = evidence.rate()
    if row is None or row["bound_low"] is None or row["win_rate"] is None:
        return cannot(NOBODY)
    return Answer(
        says=f"{row['n_void']} of {row['n_planned']} planned pairs were never judged. The range: all of them lost, "
        "all of them won; not an interval.",
        what="win rate, bounds", estimate=row["win_rate"], low=row["bound_low"], high=row["bound_high"],
        people=row["n_participants"], n=row["n_judgments"],
    )  # fmt: skip


def sample(evidence: Evidence) -> Answer:
    """Nobody knows whom volunteers stand for."""
    if evidence.simulated:
        return cannot("every participant is simulated, so it says nothing about people.")
    return cannot("people came by invitation or from a panel, without a sampling frame.")
