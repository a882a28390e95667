"""Judgments: an answer of an arm against the base answer to the same person, and the CSV they are written to."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.training.evaluation.arms import ARMS, BASE
from inference.training.evaluation.people import Person
from inference.world import names_subject, outcome, reads

BASE_SHOWN = ARMS[BASE].shown(0)
WORDS_OF = {1.0: "win", 0.5: "tie", 0.0: "loss"}
COLUMNS = (
    *("participant", "question", "baseline", "outcome", "treatment", "domain", "position"),
    *("treatment_words", "baseline_words"),
)
"""As `manage.py winrates --from-csv` reads them."""


@dataclass(frozen=True, slots=True)
class Judgment:
    """One judged pair. `score` is 1, 0.5 or 0 for the treatment; `readable` and `named` are about its text alone.

    `readable`: the exact judge can read every sentence. `named`: the text names the subject of the question.
    """

    person: Person
    treatment: str
    score: float
    readable: bool
    named: bool
    words: int
    base_words: int


class Board:
    """All judgments, by part and treatment."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], list[Judgment]] = defaultdict(list)

    def add(self, treatment: str, judged: Iterable[Judgment]) -> None:
        """Put judgments of one treatment down; those of further shot sets join the first."""
        for row in judged:
            self._rows[row.person.part, treatment].append(row)

    def rows(self, part: str, treatment: str, domain: str | None = None) -> list[Judgment]:
        """The judgments of a treatment in a part, of one domain or of all; empty when there are none."""
        return [row for row in self._rows.get((part, treatment), []) if domain in (None, row.person.domain)]

    def treatments(self, part: str) -> list[str]:
        """The treatments judged in a part, in the order they came."""
        return [treatment for name, treatment in self._rows if name == part]

    def first(self, count: int) -> Board:
        """The judgments of the first `count` people of each domain alone."""
        board = Board()
        for (_, treatment), rows in self._rows.items():
            board.add(treatment, (row for row in rows if row.person.number < count))
        return board

    def parts(self) -> list[str]:
        """The parts with judgments, in the order they came."""
        return list(dict.fromkeys(part for part, _ in self._rows))


def judge(people: Sequence[Person], treatment: str, texts: Sequence[str], base: Sequence[str]) -> list[Judgment]:
    """The exact judge on one text a person; ties count half."""
    return [
        Judgment(
            person,
            treatment,
            outcome(text, other, person.user, person.asked.subject),
            reads(text),
            names_subject(text, person.asked.text),
            len(text.split()),
            len(other.split()),
        )
        for person, text, other in zip(people, texts, base, strict=True)
    ]


def table(judgments: Iterable[Judgment]) -> Iterator[dict[str, str | int]]:
    """Rows of the CSV; `position` counts the rows of a user."""
    positions: Counter[str] = Counter()
    for row in judgments:
        user = row.person.user.code
        positions[user] += 1
        yield {
            "participant": user,
            "question": row.person.asked.text,
            "baseline": BASE,
            "outcome": WORDS_OF[row.score],
            "treatment": row.treatment,
            "domain": row.person.domain,
            "position": positions[user],
            "treatment_words": row.words,
            "baseline_words": row.base_words,
        }


def write_csv(path: Path, judgments: Iterable[Judgment]) -> int:
    """Write the CSV, return its number of rows."""
    count = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for row in table(judgments):
            writer.writerow(row)
            count += 1
    return count
