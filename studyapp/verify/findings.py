"""What a check found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

SHOWN = 5


class VerifyError(Exception):
    """Something that is no release and no archive; the message says what would be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its name, what it says, and whether everything was as it should be. `wrong` names what was not."""

    check: str
    says: str
    wrong: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was wrong."""
        return not self.wrong


class Source(Protocol):
    """What is verified: its manifest, and the rows of its tables with None, true and false for themselves."""

    manifest: dict[str, Any]

    def rows(self, table: str) -> Iterator[dict[str, Any]]:
        """The rows of a table by its columns; every other value as the file has it."""
        ...

    def win_rates(self) -> list[dict[str, str]]:
        """The rows of the main table as they are told; none before unblinding."""
        ...


def few(problems: Iterable[str]) -> tuple[str, ...]:
    """The first few problems, and how many more there are."""
    every = list(problems)
    more = (f"... and {len(every) - SHOWN:,} more",) if len(every) > SHOWN else ()
    return (*every[:SHOWN], *more)
