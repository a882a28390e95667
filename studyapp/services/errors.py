"""What a researcher must do first."""

from __future__ import annotations

from studyapp.protocol import Problem


class StudyError(Exception):
    """Something a researcher must do first; the message says what, where and the way out."""

    def __init__(self, message: str, problems: tuple[Problem, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems
