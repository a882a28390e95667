"""The demo study's banks come from the world, can be made again, and tell tastes apart."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from inference.demoworld import DOMAINS, kinds, names_subject, score, style_of, subject_of
from inference.demoworld.study import banks, main

DEMO = Path(__file__).resolve().parents[2] / "studies" / "demo"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DEMO / name).read_text(encoding="utf-8").splitlines()]


def test_the_demo_study_is_what_the_world_writes(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 0
    for name in ("questions.jsonl", "candidates.jsonl"):
        assert (tmp_path / name).read_bytes() == (DEMO / name).read_bytes()


def test_another_seed_writes_another_study() -> None:
    assert banks(7) != banks(8)


def test_a_missing_folder_is_named() -> None:
    command = [sys.executable, "-m", "inference.demoworld.study", "/nowhere/at/all"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "/nowhere/at/all: cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_is_asked_about_one_subject_twice() -> None:
    questions = rows("questions.jsonl")
    assert len({q["topic"] for q in questions}) == len(questions)
    uses = Counter((q["domain"], q["use"]) for q in questions)
    assert {use for _, use in uses} == {"elicit", "judge"}
    assert {domain for domain, _ in uses} == set(DOMAINS)
    assert min(uses.values()) >= 8


def test_held_out_subjects_are_judged_and_never_shown_as_examples() -> None:
    held_out = Counter()
    for question in rows("questions.jsonl"):
        subject = subject_of(question["text"])
        assert subject is not None
        held_out[question["use"], subject.held_out] += 1
    assert held_out["elicit", True] == 0
    assert held_out["judge", True] == held_out["judge", False] == 15


def test_candidates_of_a_question_are_clearly_different_and_about_it() -> None:
    questions = {q["id"]: q for q in rows("questions.jsonl")}
    by_question: dict[str, list[str]] = {}
    for candidate in rows("candidates.jsonl"):
        by_question.setdefault(candidate["question"], []).append(candidate["text"])
        assert names_subject(candidate["text"], questions[candidate["question"]]["text"])
        assert style_of(candidate["text"]).code == candidate["viewpoint"]  # type: ignore[union-attr]
    for texts in by_question.values():
        styles = [style_of(text) for text in texts]
        assert len(texts) == 4
        for one, other in itertools.combinations(styles, 2):
            assert one is not None
            assert other is not None
            assert one.likes(other) <= 2


@pytest.mark.parametrize("taste", list(kinds()), ids=lambda taste: taste.code)
def test_every_kind_of_person_finds_most_pairs_easy(taste: object) -> None:
    texts: dict[str, list[str]] = {}
    for candidate in rows("candidates.jsonl"):
        texts.setdefault(candidate["question"], []).append(candidate["text"])
    pairs = [pair for group in texts.values() for pair in itertools.combinations(group, 2)]
    decided = sum(score(a, taste) != score(b, taste) for a, b in pairs)  # type: ignore[arg-type]
    assert decided / len(pairs) > 0.7
