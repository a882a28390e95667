"""What is wrong with a study folder: one line that names file, place, fault and remedy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """A fault of a study folder. `where` is a dotted key or a line number, `remedy` says what would be right."""

    file: str
    where: str
    what: str
    remedy: str

    def __str__(self) -> str:
        parts = [self.file, self.where, f"{self.what}; {self.remedy}"]
        return ": ".join(" ".join(part.split()) for part in parts if part)

    def to_json(self) -> dict[str, str]:
        """The problem as plain JSON values."""
        return {"file": self.file, "where": self.where, "what": self.what, "remedy": self.remedy}
