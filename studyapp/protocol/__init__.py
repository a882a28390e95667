"""The study folder: pydantic models of every key, problems that name file, key and remedy, and the hash.

Knows no Django, so that a folder can be checked anywhere.
"""

from studyapp.protocol.asking import AttentionRow, CandidateRow, ComparisonDef, ControlDef, QuestionRow
from studyapp.protocol.making import ArmDef, ModelDef
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem

__all__ = [
    "ArmDef",
    "AttentionRow",
    "CandidateRow",
    "ComparisonDef",
    "ControlDef",
    "ModelDef",
    "Problem",
    "Protocol",
    "QuestionRow",
]
