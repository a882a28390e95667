"""What was read from a study folder."""

from __future__ import annotations

from dataclasses import dataclass

from studyapp.protocol.asking import AttentionRow, CandidateRow, QuestionRow
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem


@dataclass(frozen=True)
class Loaded:
    """A study folder as far as it could be read. `protocol` is None when study.toml is not a valid protocol.

    `documents` holds the markdown of consent, instructions and debrief. `hash` is SHA-256 (hex) over the files that
    matter, see `studyapp.protocol.files.digest`. `problems` must be mended before the study is loaded; `warnings` need
    not.
    """

    protocol: Protocol | None
    documents: dict[str, str]
    questions: tuple[QuestionRow, ...]
    candidates: tuple[CandidateRow, ...]
    attention: tuple[AttentionRow, ...]
    hash: str
    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...]
