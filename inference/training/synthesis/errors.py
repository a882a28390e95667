"""The one error a reader of the program's output meets."""

from __future__ import annotations


class SynthesisError(Exception):
    """The program cannot go on; the message says what, where and what to do."""


class BudgetReachedError(SynthesisError):
    """The next call could cost more than is left; everything asked so far is kept."""
