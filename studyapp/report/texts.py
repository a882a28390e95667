"""Answers about the texts."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from django.db.models import Q, QuerySet

from annotations.models import Comparison
from annotations.winrate.measures import rate
from studyapp.report.answers import Answer, measured
from studyapp.report.conduct import NOBODY
from studyapp.report.evidence import Evidence
from studyapp.results.reading import main_pairs

COPIES = ("copies_shot", "echoes_prompt")


def longer(evidence: Evidence) -> Answer:
    """The win rate at equal length."""
    row = evidence.row("measures", measure="length_adjusted_win_rate", subject=evidence.main)
    says = "The win rate of two texts of the same length, by a logistic model of the difference in words."
    return measured(
        row, "win rate at equal length", says, "the lengths did not vary, or one side always won, or too few judged."
    )


def copied(evidence: Evidence) -> Answer:
    """Without pairs in which a text copied its context."""
    wanted = Q()
    for flag in COPIES:
        wanted |= Q(generation_a__flags__contains=[flag]) | Q(generation_b__flags__contains=[flag])
    return _without(evidence, wanted, "a text repeats whole sentences of the choices or of its prompt")


def leaks(evidence: Evidence) -> Answer:
    """Without pairs in which a text bears any flag."""
    flagged = ~Q(generation_a__flags=[]) | ~Q(generation_b__flags=[])
    return _without(evidence, flagged, "a text bears any flag (a leak, a copy, a length outside its window)")


def _without(evidence: Evidence, wanted: Q, where: str) -> Answer:
    gone = _pairs(main_pairs(evidence.study, evidence.simulated).filter(wanted, state=Comparison.State.JUDGED))
    part = evidence.part()
    names, codes = part.participants.names, part.participants.codes
    places: Iterable[tuple[str, int]] = ((names[c], int(at)) for c, at in zip(codes, part.position, strict=True))
    keep = np.array([pair not in gone for pair in places], dtype=np.bool_)
    kept = part.where(keep) if part.size else part
    says = f"Left out: {part.size - kept.size} of {part.size} judgments, where {where}."
    row = rate("win_rate", evidence.main, kept.sample(), evidence.level)
    return measured(row, "win rate, those pairs left out", says, NOBODY if not part.size else "too few pairs are left.")


def _pairs(rows: QuerySet[Comparison]) -> set[tuple[str, int]]:
    return set(rows.values_list("participant__code", "position"))


def path(evidence: Evidence) -> Answer:
    """Null pairs: the text made in advance against the live one."""
    row = evidence.row("reliability", measure="a_share", subject="null")
    says = "Two texts of one arm, one made in advance, one by the live path: how often the one made in advance won."
    return measured(row, "share", says, "it has no null pairs ([[controls]] kind = null), or one person judged them.")


def one_text(evidence: Evidence) -> Answer:
    """The interval that allows for questions, and how baseline texts were made."""
    row = evidence.rate()
    arm = evidence.spec.arms[evidence.main.split(">")[1]]
    each = "one text a question for everybody" if arm.samples == "shared" else "a text of its own for every person"
    crossed = row is not None and row["headline_ci"] == "two_way"
    told = "allows for questions and their texts" if crossed else "is for these questions only"
    return measured(row, "win rate", f"The baseline had {each}; the interval {told}.", NOBODY)
