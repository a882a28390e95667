"""Broken protocols: each gets a message with file, key or line, and remedy; none a traceback."""

from __future__ import annotations

import os
import re
import signal
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from studyapp.protocol import Problem, load_folder, render_report, to_json
from studyapp.protocol.draft import draft_of
from studyapp.protocol.rules import wrong_with_protocol
from tests.studyapp.broken_protocols import BROKEN, KNOWN, toml
from tests.studyapp.protocol_folder import (
    STUDY,
    good_folder,
    write_rows,
)


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """Fails when the block takes longer."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"still checking after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def check(folder: Path) -> tuple[Problem, ...]:
    """Check a folder as the command does, report and JSON included."""
    with within(20):
        loaded = load_folder(folder)
        report, document = render_report(loaded), to_json(loaded)
    for problem in loaded.problems:
        assert "\n" not in str(problem)
        assert str(problem) in report
        str(problem).encode()
    assert document["ok"] == (not loaded.problems)
    return loaded.problems


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_protocol_gets_a_message_with_file_key_and_remedy(tmp_path: Path, name: str) -> None:
    apply, file, where, says = BROKEN[name]
    folder = good_folder(tmp_path / "tea")
    apply(folder)
    problems = check(folder)
    about = [p for p in problems if p.file == file and p.where.startswith(where) and (where or not p.where)]
    assert about, f"nothing about {file} {where}: {[str(p) for p in problems]}"
    assert any(re.search(says, f"{p.what}; {p.remedy}") for p in about), [str(p) for p in about]
    assert all(p.what and p.remedy for p in problems)


def test_every_problem_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "tea")
    for name in (
        "unknown_key",
        "missing_model",
        "exit_over_http",
        "nan",
        "consent_missing",
        "candidate_too_short",
        "question_unknown_use",
    ):
        BROKEN[name][0](folder)
    told = {(p.file, p.where) for p in check(folder)}
    assert told >= {
        ("study.toml", "verison"), ("study.toml", "arms.base.model"), ("study.toml", "exits.completed"),
        ("study.toml", "sampling.top_p"), ("consent.md", ""), ("candidates.jsonl", "line 5: text"),
        ("questions.jsonl", "line 3: use"),
    }  # fmt: skip


def test_one_fault_is_told_once(tmp_path: Path) -> None:
    for name in ("missing_model", "more_items_than_questions", "consent_missing", "questions_missing",
                 "key_left_out", "unmatched_sampling"):  # fmt: skip
        folder = good_folder(tmp_path / name)
        BROKEN[name][0](folder)
        problems = check(folder)
        assert len(problems) == 1, [str(p) for p in problems]


def test_a_flood_of_problems_is_cut_to_a_hundred_a_file_and_counted(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "tea")
    (folder / "questions.jsonl").write_text("{\n" * 5000, encoding="utf-8")
    (folder / "study.toml").write_text("".join(f"k{n} = 1\n" for n in range(10_000)), encoding="utf-8")
    problems = check(folder)
    assert sum(p.file == "questions.jsonl" for p in problems) == 101
    assert any("4900 more problems" in p.what for p in problems)
    assert sum(p.file == "study.toml" for p in problems) == 101


HOSTILE = {
    "long_text": 'slug = "' + "a" * 250_000 + '"',
    "long_word": "a" * 250_000,
    "quoted_keys": '"a".' * 60_000 + "a = 1",
    "deep_header": "[" + "a." * 100_000 + "a]",
    "dots": "." * 250_000,
    "inline_tables": "x = " + "{a=" * 60_000,
    "headers": "[a]\n" * 60_000,
    "quotes": "'" * 250_000,
    "backslashes": '"""' + "\\" * 250_000,
    "spaces": "a = 1 " + " " * 250_000 + ".",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_toml_file_is_refused_in_no_time(tmp_path: Path, text: str) -> None:
    folder = good_folder(tmp_path / "tea")
    (folder / "study.toml").write_text(text, encoding="utf-8")
    with within(5):
        assert load_folder(folder).problems


def test_prose_with_many_full_stops_is_no_deep_key(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "tea")
    toml("Answer in three sentences.", "Be. Kind. Be. Brief. " * 8)(folder)
    assert check(folder) == ()


def test_a_large_bank_with_every_row_wrong_is_told_in_no_time(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "tea")
    rows = [{"id": f"c{n}", "question": f"q{n}-elsewhere", "text": "one two three four five"} for n in range(19_000)]
    write_rows(folder / "candidates.jsonl", rows)
    with within(20):
        assert any("18900 more problems" in problem.what for problem in load_folder(folder).problems)


def test_an_unreadable_file_is_a_problem(short_path: Path) -> None:
    folder = good_folder(short_path / "tea")
    (folder / "consent.md").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root reads everything
    try:
        problems = check(folder)
    finally:
        os.seteuid(user)
    assert [(p.file, p.what) for p in problems] == [("consent.md", "cannot be read (Permission denied)")]


@pytest.mark.parametrize("path", ["nowhere", "file.txt", "a\0b", "x" * 5000, "loop", "\udcff"])
def test_what_is_no_folder_is_a_problem(tmp_path: Path, path: str) -> None:
    (tmp_path / "file.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert [p.what for p in check(tmp_path / path)] == ["is not a folder"]


def test_the_file_instead_of_its_folder_gets_the_way_out(tmp_path: Path) -> None:
    folder = good_folder(tmp_path / "tea")
    assert "folder that it lies in" in str(check(folder / "study.toml")[0])


def test_an_empty_folder_names_each_file_that_it_needs(tmp_path: Path) -> None:
    assert {p.file for p in check(tmp_path)} == set(KNOWN) - {"attention.jsonl"}


fuzz = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@fuzz
@given(name=st.sampled_from(KNOWN), junk=st.binary(max_size=400))
def test_any_bytes_in_any_file_end_in_problems_never_in_an_exception(tmp_path: Path, name: str, junk: bytes) -> None:
    folder = good_folder(tmp_path / "tea")
    (folder / name).write_bytes(junk)
    check(folder)


@fuzz
@given(data=st.data(), name=st.sampled_from(KNOWN))
def test_any_bytes_written_into_a_good_file_end_in_problems(tmp_path: Path, data: st.DataObject, name: str) -> None:
    folder = good_folder(tmp_path / "tea")
    good = (folder / name).read_bytes()
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 40))
    (folder / name).write_bytes(good[:at] + data.draw(st.binary(max_size=20)) + good[at + cut :])
    check(folder)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@fuzz
@given(data=st.data())
def test_any_value_under_any_key_ends_in_problems(data: st.DataObject) -> None:
    document: Any = tomllib.loads(STUDY)
    where: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(where) if isinstance(where, dict) else range(len(where))))
        if not (isinstance(where[key], dict | list) and where[key] and data.draw(st.booleans())):
            break
        where = where[key]
    where[key] = data.draw(values)
    draft, problems = draft_of(document, "study.toml")
    problems += wrong_with_protocol(draft, "study.toml", frozenset())
    for problem in problems:
        str(problem).encode("utf-8", "surrogatepass")
        assert problem.what
        assert problem.remedy
