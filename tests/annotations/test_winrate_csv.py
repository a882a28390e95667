"""Judgments from a CSV file: the same numbers as from records, every fault with its line, nothing coerced."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from annotations.winrate import Outcome, Planned, table
from annotations.winrate.csvfaults import faults_of
from annotations.winrate.csvfile import CsvError, read_csv

HEADER = "participant,question,baseline,outcome"
FULL = HEADER + ",treatment,domain,treatment_first,position,strength,treatment_words,baseline_words,dyad,void"
WORDS = {1.0: "win", 0.5: "tie", 0.0: "loss"}


def written(folder: Path, *lines: str, newline: str = "\n") -> Path:
    path = folder / "judgments.csv"
    path.write_bytes((newline.join(lines) + newline).encode())
    return path


def told(path: Path) -> list[str]:
    """Each fault as told; reading must refuse exactly where there is one."""
    with pytest.raises(CsvError) as caught:
        read_csv(path)
    assert str(caught.value).startswith(f"{path}, line ")
    return [str(fault) for fault in caught.value.faults]


def collected(seed: int = 7) -> list[Outcome]:
    """Judgments of two comparisons with gaps in everything optional, and some dyads."""
    rng = random.Random(seed)
    found = []
    for person in range(12):
        for place in range(rng.randint(1, 9)):
            found.append(
                Outcome(
                    f"p{person}", f"q{rng.randint(0, 9)}", rng.choice(["fspo>base", "fspo>sft"]),
                    rng.choice([0.0, 0.5, 1.0]), rng.choice([True, False, None]), rng.choice(["near", "far"]),
                    place + 1, f"d{person // 2}" if person < 4 else "", rng.choice([None, 1.0, 4.0]), 200.0 + place,
                    210.0,
                )
            )  # fmt: skip
    return found


def as_line(o: Outcome) -> str:
    focal, baseline = o.comparison.split(">")
    first = "" if o.focal_first is None else str(int(o.focal_first))
    strength = "NA" if o.strength is None else f"{o.strength:g}"
    return (
        f"{o.participant},{o.question},{baseline},{WORDS[o.score]},{focal},{o.domain},{first},{o.position},{strength},"
        f"{o.treatment_words:g},{o.baseline_words:g},{o.dyad},0"
    )


def test_a_file_gives_the_numbers_of_its_records(tmp_path: Path) -> None:
    outcomes = collected()
    void = 'p0,q1,base,,fspo,"near",,,,,,,1'
    found = read_csv(written(tmp_path, FULL, *map(as_line, outcomes), void))
    planned = [Planned(o.question, o.comparison, o.domain) for o in outcomes]
    planned.append(Planned("q1", "fspo>base", "near", void=True))
    names, scopes = ["fspo>base", "fspo>sft"], ("all", "domain", "question")
    ours = table(found.judgments, comparisons=names, primary=names, scopes=scopes, planned=found.plan)  # type: ignore[arg-type]
    theirs = table(outcomes, comparisons=names, primary=names, scopes=scopes, planned=planned)  # type: ignore[arg-type]
    assert len(ours) == len(theirs) > 10
    for one, two in zip(ours, theirs, strict=True):
        for name, value in two.to_json().items():
            expected = pytest.approx(value, abs=1e-12) if isinstance(value, float) else value
            assert one.to_json()[name] == expected, name
    assert ours[0].n_void == 1
    assert "dyads" in ours[0].flags
    for name in ("strength", "treatment_words", "first", "position"):
        columns = getattr(found.judgments, name)
        assert np.isfinite(columns).any(), name


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_least_file_will_do_with_a_mark_and_either_line_end(tmp_path: Path, newline: str) -> None:
    lines = ["\ufeff" + HEADER, 'p1,"a question, with a comma",base,win', "p2,q2,base,tie"]
    path = written(tmp_path, *lines, newline=newline)
    found = read_csv(path)
    assert found.comparisons == ("treatment>base",)
    assert found.plan is None
    assert list(found.judgments.scores) == [1.0, 0.5]
    assert found.judgments.questions.names[0] == "a question, with a comma"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("p1,q1,base,won", 'outcome is "won"; write win, tie or loss'),
        ("p1,q1,base,WIN", 'outcome is "WIN"; write win'),
        ("p1,q1,base,", 'outcome is ""; write win'),
        ("p1,q1,base,NaN", 'outcome is "NaN"; write win'),
        ("p1,q1,base, win", 'outcome is " win"; write win'),
        (",q1,base,win", "participant is empty"),
        ("  ,q1,base,win", "participant is empty"),
        ("nan,q1,base,win", 'participant is "nan", which stands for a missing value'),
        ("p1,NULL,base,win", 'question is "NULL", which stands for a missing value'),
        ("p1 ,q1,base,win", 'participant is "p1 ", with space'),
        ("p1,q1,,win", "baseline is empty"),
        ("p1,q1,base", "has 3 values, but the header 4 columns"),
        ("p1,q1,base,win,1", "has 5 values, but the header 4 columns"),
        ("p1,q1,treatment,win", 'compares "treatment" with itself'),
        ("p1,q1,a>b,win", 'an arm\'s name holds ">"'),
    ],
)
def test_a_bad_row_is_told_with_its_line(tmp_path: Path, row: str, what: str) -> None:
    (fault,) = told(written(tmp_path, HEADER, "p0,q0,base,win", row, "p9,q9,base,loss"))
    assert fault.startswith("line 3: ")
    assert what in fault


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("treatment_first", "2"), ("treatment_first", "true"), ("position", "0"), ("position", "1.5"),
        ("position", "-1"), ("strength", "NaN"), ("strength", "1e3"), ("strength", "inf"), ("strength", "-2"),
        ("treatment_words", "two"), ("baseline_words", "1,5"), ("void", "yes"), ("strength", "٣"),
    ],
)  # fmt: skip
def test_a_number_that_is_none_is_not_coerced(tmp_path: Path, column: str, value: str) -> None:
    (fault,) = told(written(tmp_path, f"{HEADER},{column}", f'p1,q1,base,win,"{value}"'))
    assert f'line 2: {column} is "{value}"; write' in fault


@pytest.mark.parametrize(
    ("header", "what"),
    [
        ("participant,question,baseline", "has no column outcome"),
        ("participant,question,baseline,outcome,strenght", 'unknown column "strenght"; did you mean "strength"?'),
        ("participant,question,baseline,outcome,outcome", 'names "outcome" twice'),
        ("Participant,question,baseline,outcome", 'unknown column "Participant"; did you mean "participant"?'),
        ("participant;question;baseline;outcome", "unknown column"),
    ],
)
def test_a_bad_header_is_told(tmp_path: Path, header: str, what: str) -> None:
    (fault,) = told(written(tmp_path, header, "p1,q1,base,win"))
    assert fault.startswith("line 1: ")
    assert what in fault


def test_every_fault_is_told_at_once_and_lines_count_in_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, HEADER, 'p1,"q\n1",base,win', "", ",q2,base,won", "p3,q3,base,tie", "p4,q4,base,?")
    lines = [fault.split(":")[0] for fault in told(path)]
    assert lines == ["line 2", "line 5", "line 5", "line 7"]


def test_another_encoding_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.csv"
    path.write_bytes(f"{HEADER}\np1,q1,base,win\nJosé,q2,base,win\n".encode("latin-1"))
    assert told(path) == ["line 3: is not UTF-8 (byte 0xe9); save the file as UTF-8"]
    path.write_bytes(f"{HEADER}\np1,q1,base,win\n".encode("utf-16"))
    assert "not UTF-8" in told(path)[0]
    path.write_bytes(f"{HEADER}\np1,q\0,base,win\n".encode())
    assert "line 2: holds a null byte" in told(path)[0]


def test_nothing_in_it_and_no_file_are_told(tmp_path: Path) -> None:
    assert "empty" in told(written(tmp_path, ""))[0]
    assert "no judgments" in told(written(tmp_path, HEADER))[0]
    assert "cannot be read" in told(tmp_path / "absent.csv")[0]
    assert "is no CSV" in told(written(tmp_path, HEADER, 'p1,"q1,base,win'))[0]


def test_a_row_given_twice_is_told_only_where_it_has_a_position(tmp_path: Path) -> None:
    twice = written(tmp_path, HEADER + ",position", "p1,q1,base,win,1", "p1,q1,base,loss,2", "p1,q1,base,tie,1.0")
    assert told(twice) == ["line 4: repeats line 2 (same participant, question, arms and position); keep one"]
    lines = ["p1,q1,base,win,", "p1,q1,base,win,", "p1,q1,sft,win,1", "p1,q1,base,win,1"]
    assert read_csv(written(tmp_path, HEADER + ",position", *lines)).judgments.size == 4
    assert read_csv(written(tmp_path, HEADER, "p1,q1,base,win", "p1,q1,base,win")).judgments.size == 2


def test_a_void_row_has_no_outcome_and_others_have_one(tmp_path: Path) -> None:
    assert "a void comparison has no outcome" in told(written(tmp_path, HEADER + ",void", "p1,q1,base,win,1"))[0]
    assert 'outcome is ""' in told(written(tmp_path, HEADER + ",void", "p1,q1,base,,0"))[0]
    found = read_csv(written(tmp_path, HEADER + ",void", "p1,q1,base,NA,1", "p1,q2,base,win,0", "p1,q3,base,win,"))
    (row,) = table(found.judgments, comparisons=found.comparisons, planned=found.plan)
    assert (row.n_planned, row.n_void, row.n_judgments) == (3, 1, 2)
    assert (row.bound_low, row.bound_high) == (pytest.approx(2 / 3), 1)


def test_a_sound_file_has_no_fault_by_the_exact_reading_either(tmp_path: Path) -> None:
    """The exact reading is asked only for a refused file; it must agree about a sound one."""
    path = written(tmp_path, FULL, *map(as_line, collected()))
    assert read_csv(path).judgments.size == len(collected())
    assert [str(fault) for fault in faults_of(path)] == [
        "line 1: cannot be read as CSV; save it with commas and one header line"
    ]


def test_people_in_one_dyad_are_one_cluster_and_chains_hang_together(tmp_path: Path) -> None:
    lines = [f"p{i},q{j},base,{'win' if (i + j) % 3 else 'loss'},d{i // 2}" for i in range(12) for j in range(4)]
    (row,) = table(
        read_csv(written(tmp_path, HEADER + ",dyad", *lines)).judgments, comparisons=["treatment>base"]
    )
    assert (row.n_participants, row.sign_test_n <= 6, row.df is not None and row.df <= 5 + 1e-9) == (12, True, True)
    chained = [*lines, "p1,q9,base,win,d1", "p3,q9,base,win,d2"]
    (joined,) = table(
        read_csv(written(tmp_path, HEADER + ",dyad", *chained)).judgments, comparisons=["treatment>base"]
    )
    assert joined.df is not None
    assert row.df is not None
    assert joined.df < row.df
