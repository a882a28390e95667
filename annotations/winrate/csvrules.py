"""What a CSV file of judgments may hold: its columns and their values."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence

REQUIRED = ("participant", "question", "baseline", "outcome")
OPTIONAL = (
    "treatment", "domain", "treatment_first", "position", "strength", "treatment_words", "baseline_words", "dyad",
    "void",
)  # fmt: skip
KNOWN = (*REQUIRED, *OPTIONAL)
OUTCOMES = {"win": 1.0, "tie": 0.5, "loss": 0.0}
# What an optional value may be when it is not known; NA is the code of Palate's own exports.
MISSING = ("", "NA")
# Words that other programs write for a value that is missing: no person, question or arm is called so.
NOT_A_NAME = ("na", "nan", "null", "none", "n/a", "<na>")
TREATMENT = "treatment"
NEEDED = ("participant", "question", "baseline", "treatment")
TEXTS = (*NEEDED, "domain", "dyad")
RIGHT = {
    "treatment_first": "1 (the treatment's text was shown first) or 0",
    "void": "1 (could not be judged) or 0",
    "position": "a whole number from 1 on",
    "strength": "a number, 0 or more",
    "treatment_words": "a whole number, 0 or more",
    "baseline_words": "a whole number, 0 or more",
}
NUMBERS = tuple(RIGHT)
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")


def fault_in_header(header: Sequence[str]) -> str | None:
    """What is wrong with the names of the columns and what to do; None for a sound header."""
    for name in header:
        if name not in KNOWN:
            close = difflib.get_close_matches(name.strip().lower(), KNOWN, n=1, cutoff=0.6)
            way = f'did you mean "{close[0]}"?' if close else f"remove it; known are {', '.join(KNOWN)}"
            return f'the header names the unknown column "{name}"; {way}'
        if list(header).count(name) > 1:
            return f'the header names "{name}" twice; keep one of the two'
    if missing := [name for name in REQUIRED if name not in header]:
        return f"the header has no column {', '.join(missing)}; the first line names {', '.join(REQUIRED)}"
    return None


def sound_text(column: str, value: str) -> bool:
    """Whether a text column may hold the value."""
    if value.strip() != value or "\n" in value or "\r" in value:
        return False
    if column in NEEDED:
        return bool(value) and value.lower() not in NOT_A_NAME
    return value in MISSING or value.lower() not in NOT_A_NAME


def sound_number(column: str, value: str) -> bool:
    """Whether a column of numbers may hold the value: plain decimals, no sign, no exponent."""
    if value in MISSING:
        return True
    if not _DECIMAL.fullmatch(value) or not math.isfinite(number := float(value)):
        return False
    if column in ("treatment_first", "void"):
        return value in ("0", "1")
    return column == "strength" or (number.is_integer() and number >= (1 if column == "position" else 0))
