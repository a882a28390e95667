"""A good study folder to break: small, with every optional file, one fault away from each refusal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

STUDY = """\
slug = "tea"
version = 1
title = "Which answer do you like better?"
target_participants = 20
max_enrolled = 24

[elicitation]
shots = 4
probes = 2
repeats = 1
words = [5, 12]
overlap = "none"

[models.tuned]
engine = "transformers"
source = "bundled:palate-1"
layout = "fspo"

[models.plain]
engine = "scripted"
layout = "chat"

[arms.fspo]
model = "tuned"
context = "own_shots"
shots = 4

[arms.base]
model = "plain"
context = "none"
samples = "per_seat"
instruction = "Answer in three sentences."
sampling = { temperature = 0.7 }

[sampling]
temperature = 0.7
top_p = 0.95
max_tokens = 200
seed = 7

[normalise]
words = [20, 60]
plain_text = true
tries = 3
on_exhausted = "show_nearest"

[[comparisons]]
treatment = "fspo"
baseline = "base"
items = 6

[[controls]]
kind = "null"
arm = "base"
items = 1

[[controls]]
kind = "repeat"
items = 1
lag = 3

[[controls]]
kind = "attention"
items = 1

[judging]
scale = "choice+strength"
reason = "optional"
break_every = 4

[wait]
deadline_s = 60

[sessions]
lease_min = 10
resume_hours = 48

[exits]
completed = "https://app.prolific.com/submissions/complete?cc=C0DE&p={participant}&s={session}"
stopped = "STOP-1"

[pay]
currency = "GBP"
amount = 3.0
minutes = 15
floor_per_hour = 9

[analysis]
primary = ["fspo>base"]
alpha = 0.05

[privacy]
controller = "University of Somewhere"
retention_identity_days = 30
withdraw_until = 2027-01-31
"""

JUDGED = 40
ASKED = 12


def question_rows() -> list[dict[str, Any]]:
    """Twelve questions to elicit, forty to judge, no topic shared."""
    asked = [
        {"id": f"e{n}", "use": "elicit", "domain": f"d{n % 3}", "topic": f"asked {n}", "text": f"What of tea {n}?"}
        for n in range(ASKED)
    ]
    judged = [
        {"id": f"j{n}", "use": "judge", "domain": f"d{n % 3}", "topic": f"judged {n}", "text": f"Why is cup {n} best?"}
        for n in range(JUDGED)
    ]
    return asked + judged


def candidate_rows() -> list[dict[str, Any]]:
    """Two short answers for each question to elicit."""
    return [
        {"id": f"e{n}-{side}", "question": f"e{n}", "text": f"I would say it is {side} of them, number {n}."}
        for n in range(ASKED)
        for side in ("one", "other")
    ]


def attention_rows() -> list[dict[str, Any]]:
    """Two pairs one of whose texts asks to be chosen."""
    return [
        {"id": f"a{n}", "text": f"Please read on {n}.", "expected": "Choose this text.", "other": "Leave this text."}
        for n in range(2)
    ]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """Rows as JSONL."""
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def good_folder(folder: Path) -> Path:
    """Write the good study into a new folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    (folder / "consent.md").write_text("# Taking part\n\nYou may stop at any time.\n", encoding="utf-8")
    (folder / "instructions.md").write_text("Choose the answer that you like better.\n", encoding="utf-8")
    (folder / "debrief.md").write_text("Thank you. Some answers were made for you.\n", encoding="utf-8")
    write_rows(folder / "questions.jsonl", question_rows())
    write_rows(folder / "candidates.jsonl", candidate_rows())
    write_rows(folder / "attention.jsonl", attention_rows())
    return folder
