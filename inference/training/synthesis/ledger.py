"""The ledger: every call to the model and its response, kept for good, so that nothing is asked twice.

An SQLite file with append-only tables. Every sending of a call is noted in `sent` before it leaves and in `ended` when
it has come back, answered or failed; `answered` holds the responses. What was in flight when the program was killed is
in `sent` alone: it is asked again, and its estimated cost counts as spent, since nobody can know whether it was billed.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, replace
from pathlib import Path

from inference.training.synthesis.errors import SynthesisError

_TABLES = """
CREATE TABLE IF NOT EXISTS sent (
    number INTEGER PRIMARY KEY, key TEXT NOT NULL, step TEXT NOT NULL, cost_at_most REAL NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS ended (number INTEGER PRIMARY KEY REFERENCES sent, how TEXT NOT NULL, at REAL NOT NULL);
CREATE TABLE IF NOT EXISTS answered (
    key TEXT PRIMARY KEY, step TEXT NOT NULL, prompt TEXT NOT NULL, decoding TEXT NOT NULL, response TEXT,
    note TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL, cost REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""
_KEPT = """
CREATE TRIGGER IF NOT EXISTS {0}_{1} BEFORE {1} ON {0} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END;
"""
_SCHEMA = _TABLES + "".join(_KEPT.format(t, e) for t in ("sent", "ended", "answered") for e in ("UPDATE", "DELETE"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A call with its response, as the model wrote it; None when it refused or was not asked.

    `note` is the finish reason of a response, else why there is none.
    """

    key: str
    step: str
    prompt: str
    decoding: str
    response: str | None
    note: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    cost: float


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls answered, tokens in and out, model seconds and cost.

    `lost` calls were in flight when the program was killed, for at most `lost_cost`.
    """

    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    cost: float
    lost: int
    lost_cost: float

    @property
    def total(self) -> float:
        """What counts against the budget."""
        return self.cost + self.lost_cost


class Ledger:
    """One file of calls. Use as a context manager.

    `spent` is what all runs on the file used together; `steps` is step -> calls answered and their cost.
    """

    def __init__(self, path: Path) -> None:
        """Open or make the file; raises SynthesisError when it is damaged or cannot be written."""
        self.path = path
        try:
            self._base = sqlite3.connect(path, isolation_level=None)
            self._base.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;" + _SCHEMA)
            self.spent, self.steps = self._sums()
        except sqlite3.Error as error:
            raise SynthesisError(
                f"{path}: cannot be used as the ledger of calls ({error}): restore it from a copy, or move it away and "
                "pay for its calls again"
            ) from error

    def __enter__(self) -> Ledger:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self._base.close()

    def response(self, key: str) -> tuple[str | None, str] | None:
        """(response, note) of a call, None when it has not been answered."""
        row: tuple[str | None, str] | None = self._base.execute(
            "SELECT response, note FROM answered WHERE key = ?", (key,)
        ).fetchone()
        return row

    def send(self, calls: Sequence[tuple[str, str, float]]) -> list[int]:
        """Note (key, step, cost at most) of calls that are about to be sent; their numbers."""
        with self._written():
            insert = "INSERT INTO sent (key, step, cost_at_most, at) VALUES (?, ?, ?, ?)"
            return [int(self._base.execute(insert, (*call, time.time())).lastrowid or 0) for call in calls]

    def end(self, numbers: Sequence[int], how: str) -> None:
        """Note that these sendings came back without an answer."""
        with self._written():
            self._ended(numbers, how)

    def keep(self, entries: Sequence[Entry], numbers: Sequence[int] = ()) -> None:
        """Keep responses and note that their sendings have ended; a key can be answered once only."""
        with self._written():
            self._base.executemany(
                "INSERT INTO answered VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*astuple(entry), time.time()) for entry in entries],
            )
            self._ended(numbers, "answered")
        for entry in entries:
            self._count(entry)

    @contextmanager
    def _written(self) -> Iterator[None]:
        try:
            self._base.execute("BEGIN IMMEDIATE")
            yield
            self._base.execute("COMMIT")
        except BaseException as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            if not isinstance(error, sqlite3.Error):
                raise
            raise SynthesisError(
                f"{self.path}: the ledger cannot be written ({error}): see to it and run again"
            ) from error

    def _ended(self, numbers: Sequence[int], how: str) -> None:
        self._base.executemany("INSERT INTO ended VALUES (?, ?, ?)", [(number, how, time.time()) for number in numbers])

    def _sums(self) -> tuple[Spent, dict[str, tuple[int, float]]]:
        sums = self._base.execute(
            "SELECT count(*), total(prompt_tokens), total(completion_tokens), total(seconds), total(cost) FROM answered"
        ).fetchone()
        lost = self._base.execute(
            "SELECT count(*), total(cost_at_most) FROM sent WHERE number NOT IN (SELECT number FROM ended)"
        ).fetchone()
        spent = Spent(int(sums[0]), int(sums[1]), int(sums[2]), sums[3], sums[4], int(lost[0]), lost[1])
        found = self._base.execute("SELECT step, count(*), total(cost) FROM answered GROUP BY step ORDER BY step")
        return spent, {step: (calls, cost) for step, calls, cost in found}

    def _count(self, entry: Entry) -> None:
        calls, cost = self.steps.get(entry.step, (0, 0.0))
        self.steps[entry.step] = (calls + 1, cost + entry.cost)
        self.spent = replace(
            self.spent,
            calls=self.spent.calls + 1,
            prompt_tokens=self.spent.prompt_tokens + entry.prompt_tokens,
            completion_tokens=self.spent.completion_tokens + entry.completion_tokens,
            seconds=self.spent.seconds + entry.seconds,
            cost=self.spent.cost + entry.cost,
        )
