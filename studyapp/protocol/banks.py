"""What must hold in the banks of questions, candidates and attention pairs, and between them and the protocol."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from studyapp.protocol.asking import AttentionRow, CandidateRow, QuestionRow
from studyapp.protocol.draft import Draft
from studyapp.protocol.files import Bank, Row
from studyapp.protocol.problem import Problem

TOML = "study.toml"
MAX_GUESSES = 20


@dataclass(frozen=True)
class Banks:
    """The three JSONL files."""

    questions: Bank[QuestionRow]
    candidates: Bank[CandidateRow]
    attention: Bank[AttentionRow]


def words_in(text: str) -> int:
    """Length in words, counted as the normalisation of texts counts them."""
    return len(text.split())


def wrong_with_banks(banks: Banks, draft: Draft | None) -> list[Problem]:
    """Every fault of the banks; counts are judged only in a file whose lines are all valid."""
    found = [
        *_questions(banks.questions),
        *_repeated_ids(banks.candidates, [row.id for row in banks.candidates.rows]),
        *_repeated_ids(banks.attention, [row.id for row in banks.attention.rows]),
        *_candidates(banks),
        *_attention(banks),
    ]
    if banks.questions.whole and banks.candidates.whole:
        found.extend(_enough_candidates(banks))
    if draft:
        found.extend(_against_protocol(banks, draft))
    return found


def _numbered(bank: Bank[Row]) -> Iterator[tuple[str, Row]]:
    return ((f"line {line}", row) for line, row in zip(bank.lines, bank.rows, strict=True))


def _repeated_ids(bank: Bank[Row], ids: list[str]) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for line, name in zip(bank.lines, ids, strict=True):
        if name in seen:
            what = f'has the id "{name}" of line {seen[name]}'
            yield Problem(bank.name, f"line {line}: id", what, "give each row an id of its own")
        seen.setdefault(name, line)


def _questions(bank: Bank[QuestionRow]) -> Iterator[Problem]:
    yield from _repeated_ids(bank, [row.id for row in bank.rows])
    seen: dict[str, str] = {}
    for where, row in _numbered(bank):
        text = " ".join(row.text.casefold().split())
        if text in seen:
            what = f"asks the same question as {seen[text]}"
            yield Problem(bank.name, f"{where}: text", what, "remove one of the two or ask something else")
        seen.setdefault(text, where)


def _candidates(banks: Banks) -> Iterator[Problem]:
    uses = {row.id: row.use for row in banks.questions.rows}
    seen: set[tuple[str, str]] = set()
    name, unknown = banks.candidates.name, 0
    for where, row in _numbered(banks.candidates):
        use = uses.get(row.question)
        if use is None and banks.questions.whole:
            unknown += 1
            near = list(uses)[:1000] if unknown <= MAX_GUESSES else []
            close = difflib.get_close_matches(row.question, near, n=1, cutoff=0.6)
            remedy = f'did you mean "{close[0]}"?' if close else "add the question to questions.jsonl"
            yield Problem(name, f"{where}: question", f'names the unknown question "{row.question}"', remedy)
        elif use == "judge":
            what = f'names "{row.question}", which is to be judged'
            yield Problem(name, f"{where}: question", what, 'name a question with use = "elicit"')
        text = " ".join(row.text.split())
        if (row.question, text) in seen:
            what = f'is the text of another candidate of "{row.question}"'
            yield Problem(name, f"{where}: text", what, "write an answer that differs")
        seen.add((row.question, text))


def _enough_candidates(banks: Banks) -> Iterator[Problem]:
    numbers = Counter(row.question for row in banks.candidates.rows)
    for where, row in _numbered(banks.questions):
        if row.use == "elicit" and numbers[row.id] < 2:
            what = f'"{row.id}" has {numbers[row.id]} candidate(s)'
            yield Problem(banks.questions.name, f"{where}: id", what, "write at least two in candidates.jsonl")


def _attention(banks: Banks) -> Iterator[Problem]:
    questions = {row.id for row in banks.questions.rows}
    for where, row in _numbered(banks.attention):
        if row.id in questions:
            what = f'is "{row.id}", the id of a question'
            yield Problem(banks.attention.name, f"{where}: id", what, "give it an id of its own")
        if " ".join(row.expected.split()) == " ".join(row.other.split()):
            what = "is the expected text again"
            yield Problem(banks.attention.name, f"{where}: other", what, "write a text that does not ask to be chosen")


def _against_protocol(banks: Banks, draft: Draft) -> Iterator[Problem]:
    if draft.has("elicitation"):
        yield from _word_window(banks, draft)
        yield from _enough_to_elicit(banks, draft)
    if draft.has("comparisons", "controls"):
        yield from _enough_to_judge(banks, draft)
        yield from _enough_attention(banks, draft)


def _word_window(banks: Banks, draft: Draft) -> Iterator[Problem]:
    low, high = draft.protocol.elicitation.words
    for where, row in _numbered(banks.candidates):
        number = words_in(row.text)
        if not low <= number <= high:
            what = f'"{row.id}" has {number} words, outside [{low}, {high}]'
            yield Problem(banks.candidates.name, f"{where}: text", what, "rewrite it or change elicitation.words")


def _enough_to_elicit(banks: Banks, draft: Draft) -> Iterator[Problem]:
    asked = draft.protocol.elicitation
    there = sum(row.use == "elicit" for row in banks.questions.rows)
    if banks.questions.whole and asked.shots + asked.probes > there:
        yield Problem(
            TOML, "elicitation",
            f"{asked.shots} shots and {asked.probes} probes need {asked.shots + asked.probes} questions, "
            f"questions.jsonl has {there} to elicit",
            "lower shots or probes, or add questions",
        )  # fmt: skip


def _enough_to_judge(banks: Banks, draft: Draft) -> Iterator[Problem]:
    protocol = draft.protocol
    fresh = sum(c.items for c in protocol.controls if c.kind in ("null", "identical"))
    there = sum(row.use == "judge" for row in banks.questions.rows)
    if banks.questions.whole and protocol.main_items + fresh > there:
        controls = f" and {fresh} controls" if fresh else ""
        yield Problem(
            TOML, "comparisons",
            f"{protocol.main_items} items{controls} need {protocol.main_items + fresh} questions a person, "
            f"questions.jsonl has {there} to judge",
            "lower items or add questions: nobody judges a question twice",
        )  # fmt: skip


def _enough_attention(banks: Banks, draft: Draft) -> Iterator[Problem]:
    for number, control in enumerate(draft.protocol.controls, start=1):
        if control.kind == "attention" and banks.attention.whole and control.items > len(banks.attention.rows):
            what = f"needs {control.items} attention pairs, attention.jsonl has {len(banks.attention.rows)}"
            remedy = 'add rows {"id", "text", "expected", "other"} or lower items'
            yield Problem(TOML, f"controls[{number}].items", what, remedy)
