"""The tables that say what a participant is asked: elicitation, comparisons, controls, judging, forms."""

from __future__ import annotations

from typing import Literal

from studyapp.protocol.fields import (
    Count,
    FullLabel,
    FullLine,
    Line,
    LongText,
    Name,
    QuestionText,
    RowId,
    Table,
    Viewpoint,
    Words,
    key,
)
from studyapp.protocol.making import MAX_SHOTS

ControlKind = Literal["null", "identical", "repeat", "calibration", "attention"]
DEFAULT_PROMPT = "Which answer would you rather have received?"


class Elicitation(Table):
    """[elicitation]: the pairs by which a participant shows their taste."""

    shots: int = key(8, "Labelled pairs that go into the context.", strict=True, ge=1, le=MAX_SHOTS)
    probes: int = key(3, "Labelled pairs that never do: they measure prediction.", strict=True, ge=0, le=MAX_SHOTS)
    repeats: int = key(1, "Pairs asked a second time, sides swapped.", strict=True, ge=0, le=MAX_SHOTS)
    words: Words = key((60, 120), "Length window of a candidate in words, both ends included.")
    overlap: Literal["none", "factor", "off"] = key(
        "none",
        "`none`: no topic is both labelled and judged by one person; `off`: no rule; `factor`: near and far by design.",
        built=("none", "off"),
    )


class ComparisonDef(Table):
    """[[comparisons]]: a treatment against a baseline."""

    treatment: Name = key(..., "The arm whose win rate is asked.")
    baseline: Name = key(..., "The arm it is compared with.")
    items: int = key(..., "Judged pairs of this comparison a participant.", strict=True, ge=1, le=200)
    kind: Literal["arms", "swap"] = key(
        "arms", "`swap`: two people judge the same two texts, one made for each.", built=("arms",)
    )
    differs_because: FullLine | None = key(None, "Why the arms are sampled differently; without it they may not be.")

    @property
    def name(self) -> str:
        """The comparison as [analysis] names it: treatment>baseline."""
        return f"{self.treatment}>{self.baseline}"


class ControlDef(Table):
    """[[controls]]: pairs on top of the items that test the study itself."""

    kind: ControlKind = key(
        ...,
        "`null`: two samples of one arm; `identical`: one text twice; `repeat`: a judged pair again, sides swapped; "
        "`calibration`: the same two texts for everybody; `attention`: a pair that says what to choose.",
        built=("null", "repeat", "attention"),
    )
    items: int = key(1, "How many a participant.", strict=True, ge=1, le=50)
    arm: Name | None = key(None, "The arm both texts of a `null` or `identical` pair come from.")
    path: Literal["across", "same"] = key(
        "across",
        "`null` only. `across`: one text made in advance, one by the live path; `same`: both in advance.",
        later=True,
    )
    lag: int = key(4, "`repeat` only: judged pairs between a pair and its repeat, at least.", strict=True, ge=1, le=200)


class AlsoDef(Table):
    """[[judging.also]]: a further rating of each pair or text."""

    id: RowId = key(..., "Name of the rating in exports.")
    text: FullLine = key(..., "What is asked.")
    scale: int = key(7, "Points of the scale.", strict=True, ge=2, le=11)
    each: Literal["pair", "text"] = key("pair", "Asked once a pair, or once a text.")


class Judging(Table):
    """[judging]: what is asked of a pair."""

    prompt: FullLine = key(DEFAULT_PROMPT, "The question above every pair.")
    scale: Literal["choice+strength", "choice+tie", "bipolar7"] = key(
        "choice+strength",
        "A choice and its strength from 1 (basically the same) to 5 (very strong); or a choice or a tie; or one scale "
        "of seven points.",
        built=("choice+strength", "choice+tie"),
    )
    reason: Literal["off", "optional", "required"] = key("off", "Whether a reason is asked, in own words.")
    reason_items: Count = key(3, "At how many pairs the reason is asked.", later=True)
    break_every: Count = key(5, "A break page after so many judged pairs; 0: none.")
    also: tuple[AlsoDef, ...] = key((), "Further ratings.", later=True)


class FormDef(Table):
    """[[forms]]: a questionnaire."""

    id: RowId = key(..., "Name of the form in exports.")
    at: Literal["before_shots", "after_shots", "after_judging"] = key(..., "When it is asked.")
    file: Line = key(..., "A file in the folder's forms/, for example forms/about.toml.")


class QuestionRow(Table):
    """questions.jsonl: a question a line."""

    id: RowId = key(..., "Unique in the file.")
    use: Literal["elicit", "judge"] = key(..., "Whether it is asked to learn a taste or answered to be judged.")
    domain: FullLabel = key(..., "The domain in which win rates are broken down.")
    topic: FullLabel = key(..., "What it is about; [elicitation] overlap works on topics.")
    text: QuestionText = key(..., "The question as shown and as given to the models.")
    only_if: dict[str, Line | int | bool | list[Line]] | None = key(
        None, "Answers of a form under which the question may be asked.", later=True
    )


class CandidateRow(Table):
    """candidates.jsonl: a ready-made answer to an elicitation question."""

    id: RowId = key(..., "Unique in the file.")
    question: RowId = key(..., "The id of an `elicit` question.")
    text: LongText = key(..., "The answer, plain paragraphs.")
    viewpoint: Viewpoint = key("", "What sets it apart from the other candidates.")


class AttentionRow(Table):
    """attention.jsonl: a pair one of whose texts asks to be chosen."""

    id: RowId = key(..., "Unique in the file.")
    text: QuestionText = key(..., "The question above the pair.")
    expected: LongText = key(..., "The text to choose.")
    other: LongText = key(..., "The other text.")
