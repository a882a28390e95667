"""The study folder: pydantic models of every key, problems that name file, key and remedy, and the hash.

Knows no Django, so that a folder can be checked anywhere.
"""

from studyapp.protocol.asking import AttentionRow, CandidateRow, ComparisonDef, ControlDef, QuestionRow
from studyapp.protocol.availability import availability
from studyapp.protocol.estimate import Budget, budget
from studyapp.protocol.folder import load_folder
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.making import ArmDef, ModelDef
from studyapp.protocol.metrics import METRICS
from studyapp.protocol.model import Protocol
from studyapp.protocol.planning import plan_spec
from studyapp.protocol.problem import Problem
from studyapp.protocol.report import render_report, to_json

__all__ = [
    "METRICS",
    "ArmDef",
    "AttentionRow",
    "Budget",
    "CandidateRow",
    "ComparisonDef",
    "ControlDef",
    "Loaded",
    "ModelDef",
    "Problem",
    "Protocol",
    "QuestionRow",
    "availability",
    "budget",
    "load_folder",
    "plan_spec",
    "render_report",
    "to_json",
]
