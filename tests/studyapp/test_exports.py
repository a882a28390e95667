"""Exports: everything that was stored, nothing that would unblind, no free text and no panel id unasked."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from django.db.models import Value
from hypothesis import given
from hypothesis import strategies as st

from annotations import blinding
from annotations.models import Comparison, Judgment, Preference
from inference.models import Attempt, Generation, Score
from studyapp.exports import TABLES, ExportError, export
from studyapp.exports import columns as columns_module
from studyapp.exports.columns import Column, Options
from studyapp.exports.formats import ARROW, FORMULA_STARTS, MISSING, cell, write_csv
from studyapp.models import Event, Exclusion, Identity, Participant, Seat, Study
from studyapp.services import checks, leaving, studies
from tests import factory

HEADERS = {table.name: table.header for table in TABLES}


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a table's file in any format, as the file has them."""
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def of(folder: Path, table: str) -> list[dict[str, Any]]:
    """The rows of a table of a release."""
    (path,) = (p for p in (folder / "data").glob(f"description-{table}_*") if p.suffix != ".json")
    return read(path)


def everything(folder: Path) -> str:
    """All files of a release as one string, but the programs and the data dictionary, which name every column."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith("analysis.")]
    return "".join(path.read_bytes().decode("utf-8", "replace") for path in files if "dictionary" not in path.name)


def closed(study: Study) -> Study:
    studies.close(study, end="test over")
    return study


def unblinded(study: Study) -> Study:
    return studies.unblind(closed(study), "all in")


@pytest.mark.django_db
def test_every_stored_row_is_exported_once(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    row = Generation.objects.filter(study=study).first()
    assert row is not None
    for number in (1, 2):
        Attempt.objects.create(generation=row, number=number, claim_id="0" * 32)
    factory.elicited(study)
    export(study, tmp_path / "out", pii=True)
    models: dict[str, Any] = {
        "participants": Participant, "seats": Seat, "preferences": Preference, "generations": Generation,
        "attempts": Attempt, "scores": Score, "comparisons": Comparison, "judgments": Judgment, "identities": Identity,
    }  # fmt: skip
    expected = {name: model.objects.count() for name, model in models.items()}
    expected |= {"exclusions": Exclusion.objects.count(), "events": Event.objects.count()}
    assert {name: len(of(tmp_path / "out", name)) for name in HEADERS} == expected
    assert min(n for name, n in expected.items() if name not in ("exclusions", "identities")) > 0


ARMS = {"treatment-x": {"model": "script", "context": "own_shots"}, "baseline-y": {"model": "script"}}


def study_with_names() -> Study:
    """A study whose arms are called like nothing else."""
    study = factory.open_study(
        arms=ARMS,
        comparisons=[{"treatment": "treatment-x", "baseline": "baseline-y", "items": 4}],
        controls=[{"kind": "null", "arm": "baseline-y"}],
        analysis={},
    )
    factory.completed(study)
    row = Generation.objects.filter(study=study).first()
    assert row is not None
    told = {"worker": "workermark", "detail": "detailmark of scripted", "raw_text": "rawmark"}
    Attempt.objects.create(generation=row, number=1, claim_id="0" * 32, **told)
    return study


MARKS = ("treatment-x", "baseline-y", "scripted", "workermark", "detailmark", "rawmark")


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_before_unblinding_no_file_holds_an_arm_a_side_or_a_generation(tmp_path: Path, format: str) -> None:
    study = study_with_names()
    export(study, tmp_path / "out", format=format, text=True, pii=True)
    assert [mark for mark in (*MARKS, study.seat_salt) if mark in everything(tmp_path / "out")] == []
    missing = MISSING if format == "csv" else None
    known = {
        table: {name for row in of(tmp_path / "out", table) for name, value in row.items() if value != missing}
        for table in ("generations", "attempts", "scores", "seats", "comparisons", "judgments")
    }
    assert known["generations"] == {"purpose", "state", "tries"}
    assert known["attempts"] == {"outcome"}
    assert known["scores"] == {"state"}
    assert known["seats"] == {"seat", "block", "state", "digest"}
    assert not known["comparisons"] & {"arm_a", "arm_b", "a_is_first", "generation_a", "generation_b", "words_a"}
    assert not known["judgments"] & {"arm_a", "arm_b", "a_is_first", "outcome_a"}


@pytest.mark.django_db
def test_the_blinding_test_goes_red_when_an_arm_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with masking taken out everything that must not be there is in the files."""
    monkeypatch.setattr(columns_module.Table, "hidden", lambda self, study, options: set())
    export(study_with_names(), tmp_path / "out", format="jsonl")
    said = everything(tmp_path / "out")
    assert [mark for mark in MARKS if mark in said] == list(MARKS)


@pytest.mark.django_db
def test_the_blinding_test_goes_red_when_one_column_is_not_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column added without its mask leaks, and only that one."""
    comparisons = next(table for table in TABLES if table.name == "comparisons")
    leak = Column("innocent", "text", "An arm by another name.", columns_module.F("arm_a"))
    object.__setattr__(comparisons, "columns", (*comparisons.columns, leak))
    monkeypatch.undo()
    try:
        export(study_with_names(), tmp_path / "out", format="jsonl")
    finally:
        object.__setattr__(comparisons, "columns", comparisons.columns[:-1])
    assert "treatment-x" in everything(tmp_path / "out")


@pytest.mark.django_db
def test_after_unblinding_outcomes_follow_choice_and_side(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study, "first")
    export(unblinded(study), tmp_path / "out")
    rows = [row for row in of(tmp_path / "out", "judgments") if row["kind"] == "arms"]
    assert len(rows) == 4
    for row in rows:
        assert row["choice"] == "first"
        assert row["outcome_a"] == ("win" if row["a_is_first"] == "true" else "loss")


@pytest.mark.django_db
def test_what_is_said_in_sql_is_what_the_rules_say_row_by_row(tmp_path: Path) -> None:
    # Two checks a person stand one on either side: who always takes the first passes one of them.
    study = factory.open_study(controls=[{"kind": "null", "arm": "base"}, {"kind": "attention", "items": 2}])
    for choice in ("first", "second"):
        factory.completed(study, choice)
    factory.elicited(study)
    export(unblinded(study), tmp_path / "out", format="jsonl", text=True)
    outcomes, texts = of(tmp_path / "out", "judgments"), of(tmp_path / "out", "comparisons")
    for told, row in zip(outcomes, Judgment.objects.order_by("id").select_related("comparison"), strict=True):
        score = {"win": 1.0, "tie": 0.5, "loss": 0.0}[told["outcome_a"]]
        assert score == blinding.unblind(row.comparison, row.choice).score
        assert told["attention_passed"] is checks.passed(row)
    assert {told["attention_passed"] for told in outcomes} == {True, False, None}
    for told, pair in zip(texts, Comparison.objects.order_by("id"), strict=True):
        view = blinding.blind(pair)
        assert (told["first_text"], told["second_text"]) == ((view.first, view.second) if view else (None, None))
    assert {told["first_text"] is None for told in texts} == {True, False}


@pytest.mark.django_db
def test_a_tie_is_a_tie_in_sql() -> None:
    factory.completed(factory.open_study())
    rows = Judgment.objects.annotate(tie=Value("tie"), won=blinding.outcome_of_a(choice="tie"))
    assert set(rows.values_list("won", flat=True)) == {"tie"}


@pytest.mark.django_db
def test_free_text_and_panel_ids_leave_only_when_asked_for_by_name(tmp_path: Path) -> None:
    study = factory.open_study()
    anna = factory.completed(study)
    Identity.objects.create(participant=anna, panel_id="panelmark")
    study = unblinded(study)
    for name, asked in (("plain", {}), ("text", {"text": True}), ("pii", {"pii": True})):
        export(study, tmp_path / name, format="jsonl", **asked)
    said = {name: everything(tmp_path / name) for name in ("plain", "text", "pii")}
    assert {name: "made as text" in all_of for name, all_of in said.items()} == {
        "plain": False, "text": True, "pii": False,
    }  # fmt: skip
    assert {name: "panelmark" in all_of for name, all_of in said.items()} == {
        "plain": False, "text": False, "pii": True,
    }  # fmt: skip
    names = {name: [path.name for path in (tmp_path / name / "data").iterdir()] for name in said}
    assert all("with-text" in name for name in names["text"])
    assert [name for name in names["pii"] if "with-pii" in name] == ["description-identities_with-pii_data.jsonl"]
    assert not [name for name in names["plain"] if "with-" in name or "identities" in name]


@pytest.mark.django_db
def test_a_withdrawn_person_is_in_no_file(tmp_path: Path) -> None:
    study = factory.open_study()
    anna = factory.completed(study)
    leaving.withdraw(anna)
    export(study, tmp_path / "out", format="jsonl", text=True, pii=True)
    assert anna.code not in everything(tmp_path / "out")


@pytest.mark.django_db
@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_equal_data_give_equal_bytes_and_all_columns(tmp_path: Path, format: str) -> None:
    study = factory.open_study()
    factory.completed(study)
    study = unblinded(study)
    for name in ("1", "2"):
        export(study, tmp_path / name, format=format, text=True)
    files = [path.relative_to(tmp_path / "1") for path in (tmp_path / "1").rglob("*") if path.is_file()]
    changed = [name for name in files if (tmp_path / "1" / name).read_bytes() != (tmp_path / "2" / name).read_bytes()]
    assert sorted(map(str, changed)) == ["manifest.json", "manifest.sha256"]
    for name in HEADERS:
        if name not in ("identities", "exclusions", "attempts"):
            assert list(of(tmp_path / "1", name)[0]) == HEADERS[name]


@pytest.mark.django_db
def test_a_table_without_rows_has_its_columns_too(tmp_path: Path) -> None:
    export(factory.loaded_study(), tmp_path / "csv")
    export(factory.open_study("other"), tmp_path / "parquet", format="parquet")
    for name in ("judgments", "exclusions"):
        (path,) = (tmp_path / "csv" / "data").glob(f"description-{name}_*.csv")
        assert path.read_text().strip().split(",") == HEADERS[name]
        (typed,) = (tmp_path / "parquet" / "data").glob(f"description-{name}_*")
        assert pq.read_schema(typed).names == HEADERS[name]


@pytest.mark.django_db
def test_parquet_is_typed_and_says_what_jsonl_says(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    study = unblinded(study)
    for format in ("jsonl", "parquet"):
        export(study, tmp_path / format, format=format, text=True)
    for table in TABLES[:-1]:
        kinds = {column.name: column.kind for column in table.columns}
        (path,) = (tmp_path / "parquet" / "data").glob(f"description-{table.name}_*")
        assert pq.read_schema(path).types == [ARROW[column.kind] for column in table.columns]
        for typed, plain in zip(of(tmp_path / "parquet", table.name), of(tmp_path / "jsonl", table.name), strict=True):
            for name, value in typed.items():
                if kinds[name] == "time" and value is not None:
                    value = columns_module.iso(value)
                elif kinds[name] in ("list", "object") and value is not None:
                    value = json.loads(value)
                assert value == plain[name]


def test_times_are_the_same_told_by_python_or_by_postgres() -> None:
    assert ARROW["time"] == pa.timestamp("us", tz="UTC")
    moment = columns_module.datetime(2026, 2, 3, 4, 5, 6, 7, tzinfo=columns_module.UTC)
    assert columns_module.iso(moment) == "2026-02-03T04:05:06.000007Z"


@given(st.text())
def test_no_cell_starts_a_formula(text: str) -> None:
    assert not cell(text).startswith(FORMULA_STARTS)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1))
def test_cells_survive_quotes_commas_and_line_breaks(tmp_path_factory: Any, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("cells") / "out.csv"
    write_csv(path, [Column("text", "text", "Any.", Value(""))], [[texts]])
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))[1:]
    assert [row[0] if row else "" for row in rows] == [cell(text) for text in texts]


def test_missing_is_not_the_text_na() -> None:
    assert cell(MISSING) != MISSING


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["generations", "attempts"])
def test_the_order_of_blinded_texts_does_not_follow_their_making(tmp_path: Path, table: str) -> None:
    study = factory.open_study()
    for _ in range(3):
        factory.elicited(study)
    # A mark that only personal texts bear.
    Generation.objects.filter(study=study, owner__isnull=False).update(tries=2)
    for row in Generation.objects.filter(study=study).order_by("id"):
        outcome = "timeout" if row.owner_id else "ready"
        Attempt.objects.create(generation=row, number=1, claim_id="0" * 32, outcome=outcome)
    export(study, tmp_path / "out", format="jsonl")
    marks = [row.get("tries") == 2 or row.get("outcome") == "timeout" for row in of(tmp_path / "out", table)]
    personal = [number for number, mark in enumerate(marks) if mark]
    assert len(personal) == 15
    assert min(personal) < len(marks) - 15, "all personal texts stand at the end, in the order of making"


@pytest.mark.django_db
def test_an_export_overwrites_nothing_and_leaves_nothing_half_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, mine = factory.open_study(), tmp_path / "mine"
    export(study, mine)
    first = {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    with pytest.raises(ExportError, match=r"holds README\.md\. Nothing is overwritten: choose an empty folder"):
        export(study, mine)
    assert {path: path.read_bytes() for path in mine.rglob("*") if path.is_file()} == first
    monkeypatch.setattr(columns_module.Table, "batches", lambda *args: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(ExportError, match="No space"):
        export(study, tmp_path / "full")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.django_db
def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    study = factory.loaded_study()
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", Path("/proc/nowhere"), tmp_path / ("x" * 300)):
        with pytest.raises(ExportError, match="Choose a folder that can be written to"):
            export(study, folder)


@pytest.mark.django_db
def test_a_table_is_streamed_in_batches() -> None:
    study = factory.open_study(max_enrolled=12)
    seats = replace(next(table for table in TABLES if table.name == "seats"), chunk=5)
    sizes = [len(batch[0]) for batch in seats.batches(study, Options(blinded=True))]
    assert sizes == [5, 5, 2]
