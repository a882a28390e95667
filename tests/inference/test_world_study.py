"""The banks that the world writes for a study: they can be made again, and tell people apart."""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from inference.world import DOMAINS, Taste, names_subject, reads, score, subject_of
from inference.world.study import banks, main

QUESTIONS, CANDIDATES = banks(7)


def test_the_banks_are_written_as_they_are_drawn(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    for name, rows in (("questions.jsonl", QUESTIONS), ("candidates.jsonl", CANDIDATES)):
        assert [json.loads(line) for line in (tmp_path / name).read_text(encoding="utf-8").splitlines()] == rows
    assert banks(7) == (QUESTIONS, CANDIDATES) != banks(8)


def test_a_missing_folder_is_named() -> None:
    command = [sys.executable, "-m", "inference.world.study", "/nowhere/at/all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/nowhere/at/all: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_is_asked_about_one_subject_twice() -> None:
    assert len({q["topic"] for q in QUESTIONS}) == len(QUESTIONS)
    uses = Counter((q["domain"], q["use"]) for q in QUESTIONS)
    assert {domain for domain, _ in uses} == set(DOMAINS)
    assert min(uses.values()) >= 9


def test_held_out_subjects_are_judged_and_never_shown_as_examples() -> None:
    held_out = Counter()
    for question in QUESTIONS:
        subject = subject_of(question["text"])
        assert subject is not None
        held_out[question["use"], subject.held_out] += 1
    assert held_out["elicit", True] == 0
    assert held_out["judge", True] == held_out["judge", False] == 15


def test_candidates_are_readable_about_their_question_and_unlike_each_other() -> None:
    texts = {q["id"]: q["text"] for q in QUESTIONS}
    by_question: dict[str, list[str]] = {}
    for candidate in CANDIDATES:
        assert reads(candidate["text"])
        assert names_subject(candidate["text"], texts[candidate["question"]])
        by_question.setdefault(candidate["question"], []).append(candidate["text"])
    assert {len(group) for group in by_question.values()} == {4}
    assert all(len(set(group)) == 4 for group in by_question.values())


@pytest.mark.parametrize("seed", range(6))
def test_most_people_find_most_pairs_easy(seed: int) -> None:
    taste = Taste.draw(random.Random(seed))
    groups = [list(group) for _, group in itertools.groupby(CANDIDATES, key=lambda row: row["question"])]
    pairs = [pair for group in groups for pair in itertools.combinations([row["text"] for row in group], 2)]
    decided = sum(score(a, taste) != score(b, taste) for a, b in pairs)
    assert decided / len(pairs) > 0.7
