"""Exports: everything that was stored, nothing that would unblind, no free text unasked."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from annotations.models import Comparison, Judgment, Preference
from inference.models import Generation
from studyapp.exports import TABLES, ExportError, export
from studyapp.exports.formats import FORMULA_STARTS, MISSING, cell, write_csv
from studyapp.models import Event, Participant, Study
from studyapp.services import leaving, studies
from tests import factory

HEADERS = {table.name: table.header for table in TABLES}


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _closed(study: Study) -> Study:
    studies.close(study, end="test over")
    return study


@pytest.mark.django_db
def test_every_stored_row_is_exported_once(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    factory.elicited(study)
    export(study, tmp_path)
    expected = {
        "participants": Participant.objects.count(),
        "preferences": Preference.objects.count(),
        "generations": Generation.objects.count(),
        "comparisons": Comparison.objects.count(),
        "judgments": Judgment.objects.count(),
        "events": Event.objects.count(),
    }
    assert {name: len(_read(tmp_path / f"{name}.blinded.csv")) for name in expected} == expected


@pytest.mark.django_db
@pytest.mark.parametrize("include_text", [False, True])
def test_before_unblinding_no_file_holds_an_arm_a_side_or_a_generation(tmp_path: Path, include_text: bool) -> None:
    arms = {"treatment-x": {"model": "script", "context": "own_shots"}, "baseline-y": {"model": "script"}}
    study = factory.open_study(
        arms=arms,
        comparisons=[{"treatment": "treatment-x", "baseline": "baseline-y", "items": 4}],
        controls=[{"kind": "null", "arm": "baseline-y"}],
        analysis={},
    )
    factory.completed(study)
    files = export(study, tmp_path, format="jsonl", text=include_text)
    everything = "".join(path.read_text() for path in files)
    assert "treatment-x" not in everything
    assert "baseline-y" not in everything
    assert "scripted" not in everything
    generations = [json.loads(line) for path in files if "generations" in path.name for line in path.open()]
    shown = {name for row in generations for name, value in row.items() if value is not None}
    assert shown == {"purpose", "state", "tries"}
    comparisons = [json.loads(line) for path in files if "comparisons" in path.name for line in path.open()]
    assert all(row["a_is_first"] is row["generation_a"] is row["words_a"] is None for row in comparisons)


@pytest.mark.django_db
def test_the_blinding_test_goes_red_when_an_arm_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with masking taken out the arm is in the files."""
    study = factory.open_study()
    factory.completed(study)
    monkeypatch.setattr(type(study), "is_unblinded", property(lambda self: True))
    files = export(study, tmp_path, format="jsonl")
    assert '"arm_a": "fspo"' in "".join(path.read_text() for path in files)


@pytest.mark.django_db
def test_after_unblinding_outcomes_follow_choice_and_side(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study, "first")
    studies.unblind(_closed(study), "all in")
    export(study, tmp_path)
    rows = [row for row in _read(tmp_path / "judgments.csv") if row["kind"] == "arms"]
    assert len(rows) == 4
    for row in rows:
        assert row["choice"] == "first"
        assert row["outcome_a"] == ("win" if row["a_is_first"] == "true" else "loss")


@pytest.mark.django_db
def test_free_text_leaves_only_when_asked_for_by_name(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    studies.unblind(_closed(study), "all in")
    plain, full = (
        export(study, tmp_path / "a", format="jsonl"),
        export(study, tmp_path / "b", format="jsonl", text=True),
    )
    assert "made as text" not in "".join(path.read_text() for path in plain)
    assert "made as text" in "".join(path.read_text() for path in full)
    assert all("with-text" in path.name for path in full)


@pytest.mark.django_db
def test_a_withdrawn_person_is_in_no_table(tmp_path: Path) -> None:
    study = factory.open_study()
    anna = factory.completed(study)
    leaving.withdraw(anna)
    files = export(study, tmp_path, format="jsonl", text=True)
    assert anna.code not in "".join(path.read_text() for path in files)


@pytest.mark.django_db
def test_all_columns_are_there_when_nobody_came_and_equal_data_gives_equal_bytes(tmp_path: Path) -> None:
    study = factory.open_study()
    one, two = export(study, tmp_path / "1"), export(study, tmp_path / "2")
    assert [p.read_bytes() for p in one] == [p.read_bytes() for p in two]
    for path in one:
        header = path.read_text().splitlines()[0].split(",")
        assert header == HEADERS[path.name.split(".")[0]]


@given(st.text())
def test_no_cell_starts_a_formula(text: str) -> None:
    assert not cell(text).startswith(FORMULA_STARTS)


@given(st.lists(st.text(alphabet=st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), min_size=1))
def test_cells_survive_quotes_commas_and_line_breaks(texts: list[str]) -> None:
    out = io.StringIO(newline="")
    write_csv(out, ["text"], ({"text": text} for text in texts))
    rows = list(csv.reader(io.StringIO(out.getvalue(), newline="")))[1:]
    assert [row[0] if row else "" for row in rows] == [cell(text) for text in texts]


def test_missing_is_not_the_text_na() -> None:
    assert cell(None) == MISSING
    assert cell(MISSING) != MISSING


@pytest.mark.django_db
def test_the_order_of_blinded_generations_does_not_follow_their_making(tmp_path: Path) -> None:
    study = factory.open_study()
    for _ in range(3):
        factory.elicited(study)
    Generation.objects.filter(study=study, owner__isnull=False).update(tries=2)  # a mark that only personal texts bear
    (path,) = (p for p in export(study, tmp_path, format="jsonl") if "generations" in p.name)
    tries = [json.loads(line)["tries"] for line in path.open()]
    personal = [number for number, value in enumerate(tries) if value == 2]
    assert len(personal) == 15
    assert min(personal) < len(tries) - 15, "all personal texts stand at the end, in the order of making"


@pytest.mark.django_db
def test_an_export_overwrites_nothing_and_mixes_with_nothing(tmp_path: Path) -> None:
    study, other = factory.open_study(), factory.open_study("other")
    mine, study_folder = tmp_path / "mine", factory.write_folder(tmp_path / "small", factory.protocol())
    first = {path: path.read_bytes() for path in export(study, mine)}
    for again in (study, other):
        with pytest.raises(ExportError, match=r"comparisons\.blinded\.csv of an earlier export\. Choose another"):
            export(again, mine)
    with pytest.raises(ExportError, match=r"holds attention\.jsonl, which is no export"):
        export(study, study_folder)
    assert not list(study_folder.glob("*.csv"))
    (mine / "events.blinded.csv.partial").write_text("left by an export that was killed")
    # Another format, or the same study after unblinding, may lie beside it.
    export(study, mine, format="jsonl")
    export(studies.unblind(_closed(study), "done"), mine)
    assert {path: path.read_bytes() for path in first} == first


@pytest.mark.django_db
def test_a_folder_that_cannot_be_written_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", Path("/proc/nowhere"), tmp_path / ("x" * 300)):
        with pytest.raises(ExportError, match="Choose a folder that can be written to"):
            export(factory.open_study(f"s{len(str(folder))}"), folder)
