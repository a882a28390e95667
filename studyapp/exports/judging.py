"""Tables of choices: labelled pairs, planned blind pairs, and what was made of them."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet

from annotations import blinding
from annotations.models import Comparison, Judgment, Preference, Side
from studyapp.exports.columns import Column, Columns, Table, chosen
from studyapp.models import Study
from studyapp.services import checks


def _preferences(study: Study) -> QuerySet[Any]:
    return Preference.objects.filter(participant__study=study).order_by("id")


def _comparisons(study: Study) -> QuerySet[Any]:
    return Comparison.objects.filter(participant__study=study).order_by("id")


def _judgments(study: Study) -> QuerySet[Any]:
    rows = Judgment.objects.filter(participant__study=study).order_by("id")
    return rows.annotate(won=blinding.outcome_of_a())


label = Columns(Preference)
PREFERENCES = Table(
    "preferences",
    "One row a planned elicitation pair of everybody who consented.",
    (
        label("participant", "participant__code", "Code of the person."),
        label("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        label("position", meaning="Order of presentation, from 1."),
        label("role", meaning="shot (goes into the context), probe (never does), repeat."),
        label("question", "question__key", "Key in `questions.jsonl`."),
        label("domain", "question__domain", "The question's domain."),
        label("first_candidate", "first__key", "Key of the answer shown first."),
        label("second_candidate", "second__key", "Key of the answer shown second."),
        label("choice", meaning="first or second; missing while undecided."),
        Column("preferred", "text", "Key of the chosen answer.", chosen("first__key", "second__key")),
        Column("dispreferred", "text", "Key of the other.", chosen("second__key", "first__key")),
        label("repeat_of", "repeat_of__position", "Position of the pair that this one repeats."),
        label("presented_at", meaning="First shown."),
        label("decided_at", meaning="Choice stored."),
        label("page_ms", meaning="Milliseconds from page to choice, by the page's own clock."),
    ),
    _preferences,
)

pair = Columns(Comparison)
COMPARISONS = Table(
    "comparisons",
    "One row a planned blind pair, judged or not.",
    (
        pair("comparison", "opaque_id", "Random id; joins `judgments`."),
        pair("participant", "participant__code", "Code of the person."),
        pair("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        pair("seat", "seat__number", "The seat whose plan it is from."),
        pair("position", meaning="Planned order of presentation, from 1."),
        pair("kind", meaning="arms, null, repeat or attention."),
        pair("question", "question__key", "Key of the question."),
        pair("domain", "question__domain", "The question's domain."),
        pair("state", meaning="planned, ready, judged, void."),
        pair("void_reason", meaning="generation_failed, unmatched, deadline, reported, left; empty unless void."),
        pair("repeat_of", "repeat_of__opaque_id", "Id of the pair shown before with sides swapped."),
        pair("dyad", meaning="The two people who judge the same two texts; missing but in swap comparisons."),
        pair("arm_a", meaning="The treatment; of a null pair the arm; empty for attention.", arm=True),
        pair("arm_b", meaning="The baseline.", arm=True),
        pair("a_is_first", meaning="Whether a's text was shown first.", arm=True),
        pair("generation_a", "generation_a_id", "a's text; missing for ready-made ones.", arm=True),
        pair("generation_b", "generation_b_id", "b's text.", arm=True),
        pair("words_a", "generation_a__words", "Words of a's text.", unit="words", arm=True),
        pair("words_b", "generation_b__words", "Words of b's text.", unit="words", arm=True),
        pair("flags_a", "generation_a__flags", "Flags of a's text.", arm=True),
        pair("flags_b", "generation_b__flags", "Flags of b's text.", arm=True),
        pair("presented_at", meaning="First shown."),
        pair("judged_at", meaning="Judgment stored."),
        pair("voided_at", meaning="Became void."),
        pair("ready_at", meaning="Both texts were there.", arm=True),
        pair("waited_ms", meaning="Milliseconds that the person waited for this pair; 0 when it was there in time.",
             arm=True),
        Column("first_text", "text", "The text shown first.", blinding.shown_text(Side.FIRST), text=True, shown=True),
        Column("second_text", "text", "The text shown second.", blinding.shown_text(Side.SECOND), text=True,
               shown=True),
    ),
    _comparisons,
)  # fmt: skip

verdict = Columns(Judgment)
JUDGMENTS = Table(
    "judgments",
    "One row a judgment, in the order of storing. Judgments are final.",
    (
        verdict("comparison", "comparison__opaque_id", "Id of the pair."),
        verdict("participant", "participant__code", "Code of the person."),
        verdict("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        verdict("position", "comparison__position", "Of the pair."),
        verdict("kind", "comparison__kind", "Of the pair."),
        verdict("question", "comparison__question__key", "Of the pair."),
        verdict("domain", "comparison__question__domain", "Of the pair."),
        verdict("choice", meaning="first, second or tie."),
        verdict("strength", meaning="1 (basically the same) to 5 (very strong); missing unless the scale asks."),
        Column("attention_passed", "true/false",
               "Whether an attention pair was answered as it asked; missing for others.", checks.passing("won")),
        verdict("page_ms", meaning="Milliseconds from page to choice, by the page's own clock."),
        verdict("server_ms", meaning="Milliseconds from first showing to storing, by the server."),
        verdict("input", meaning="key or pointer; empty when unknown."),
        verdict("created_at", meaning="Stored."),
        verdict("arm_a", "comparison__arm_a", "As in `comparisons`.", arm=True),
        verdict("arm_b", "comparison__arm_b", "As in `comparisons`.", arm=True),
        verdict("a_is_first", "comparison__a_is_first", "As in `comparisons`.", arm=True),
        Column("outcome_a", "text", "win, tie or loss of a.", F("won"), values=("win", "tie", "loss"), arm=True),
        verdict("reason", meaning="What the person wrote.", text=True),
    ),
    _judgments,
)  # fmt: skip
