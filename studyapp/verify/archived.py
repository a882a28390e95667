"""An archive as a source of checks: its rows told as a release tells them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

from studyapp.archive.parts import PARTS, WIN_RATES
from studyapp.archive.reading import Archive
from studyapp.verify.findings import Finding, VerifyError, few

BY_NAME = {part.name: part for part in PARTS}
PERSON = ("code", "state", "simulated")
QUESTION = ("key", "domain")
PAIR = ("opaque_id", "kind", "state", "arm_a", "arm_b", "a_is_first", "participant_id", "question_id")


class Archived:
    """The tables that the checks read, out of an archive's rows."""

    def __init__(self, found: Archive) -> None:
        self.found = found
        self.manifest = found.manifest
        self.people = self._by_number("participants", PERSON)
        self.questions = self._by_number("questions", QUESTION)
        self.pairs = self._by_number("comparisons", PAIR)

    def _by_number(self, part: str, names: tuple[str, ...]) -> dict[int, tuple[Any, ...]]:
        return {row["id"]: tuple(row[name] for name in names) for row in self.found.rows(BY_NAME[part])}

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of participants, seats, comparisons or judgments. Raises VerifyError for another table."""
        told = {
            "participants": self._people, "seats": self._seats, "comparisons": self._pairs, "judgments": self._judged,
        }  # fmt: skip
        if table not in told:
            raise VerifyError(f"{self.found.path}: {table} are not checked in an archive.")
        return told[table]()

    def win_rates(self) -> list[dict[str, str]]:
        """The main table's rows; none before unblinding."""
        if WIN_RATES not in self.manifest["extra"]:
            return []
        return list(csv.DictReader(io.StringIO(self.found.read(WIN_RATES).decode(), newline="")))

    def parts(self) -> Finding:
        """Every part's bytes and number of rows against the manifest."""
        wrong, total = [f"{name}: has changed: another SHA-256" for name in self.found.changed()], 0
        for part in self.found.parts:
            if f"{part.member}: has changed: another SHA-256" not in wrong:
                total += sum(1 for _ in self.found.rows(part))
        return Finding("parts", f"{len(self.found.parts)} parts, {total:,} rows", few(wrong))

    def _people(self) -> Iterator[dict[str, Any]]:
        for code, state, _ in self.people.values():
            if state != "withdrawn":
                yield {"participant": code, "state": state}

    def _seats(self) -> Iterator[dict[str, Any]]:
        rows = list(self.found.rows(BY_NAME["seats"]))
        for row in sorted(rows, key=lambda row: row["number"]):
            yield {"seat": row["number"], "digest": row["digest"], "plan": row["plan"]}

    def _pairs(self) -> Iterator[dict[str, Any]]:
        return (self._pair(number) for number in self.pairs)

    def _pair(self, number: int) -> dict[str, Any]:
        opaque, kind, state, arm_a, arm_b, a_is_first, person, question = self.pairs[number]
        code, _, simulated = self.people.get(person, (None, None, None))
        key, domain = self.questions[question]
        return {
            "comparison": opaque, "participant": code, "simulated": simulated, "kind": kind, "state": state,
            "question": key, "domain": domain, "arm_a": arm_a, "arm_b": arm_b, "a_is_first": a_is_first,
        }  # fmt: skip

    def _judged(self) -> Iterator[dict[str, Any]]:
        for row in self.found.rows(BY_NAME["judgments"]):
            yield {**self._pair(row["comparison_id"]), "choice": row["choice"]}
