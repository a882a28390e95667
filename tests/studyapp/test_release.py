"""A release explains and proves itself: manifest, data dictionary, Psych-DS, training data, programs of their own."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inference.training import preferences as training
from studyapp.exports import TABLES, cells, preferences
from studyapp.exports.dictionary import HEADER, entries
from studyapp.models import Participant, Study
from studyapp.services import leaving, studies
from tests import factory
from tests.studyapp.released import judged_study, release, reseal

# The rules of the Psych-DS validator's schema, version 1: names of data files, and what must stand in the description.
DATA_FILE = re.compile(r"([a-z]+-[a-zA-Z0-9]+)(_[a-z]+-[a-zA-Z0-9]+)*_data\.csv\Z")
PSYCHDS_KEYS = {"@context", "@type", "name", "description", "variableMeasured"}


def test_every_column_has_an_entry_in_the_data_dictionary() -> None:
    found = entries()
    assert len(found) == sum(len(table.columns) for table in TABLES)
    assert [entry for entry in found if set(entry) != set(HEADER)] == []
    nameless = [(e["table"], e["column"]) for e in found if not (e["type"] and e["meaning"].endswith("."))]
    assert nameless == []
    assert [e["column"] for e in found if e["column"].endswith("_ms") and e["unit"] != "milliseconds"] == []


def test_types_units_and_allowed_values_come_from_the_models() -> None:
    found = {(e["table"], e["column"]): e for e in entries()}
    assert found["participants", "waited_ms"]["type"] == "whole number"
    assert found["judgments", "choice"]["values"] == "first | second | tie"
    assert found["comparisons", "void_reason"]["values"].startswith("generation_failed | unmatched")
    assert found["scores", "logprob"]["type"] == "number"
    assert found["generations", "flags"]["type"] == "list"
    assert found["identities", "panel_id"]["privacy"] == "identifying"
    assert found["judgments", "reason"]["privacy"] == "personal"


@pytest.mark.django_db
def test_the_manifest_names_every_file_with_its_digest_and_says_what_it_is(tmp_path: Path) -> None:
    study = judged_study(people=1)
    folder = release(study, tmp_path / "out", text=True)
    manifest = json.loads((folder / "manifest.json").read_text())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(manifest["files"]) == there - {"manifest.json", "manifest.sha256"}
    for name, about in manifest["files"].items():
        assert about["sha256"] == hashlib.sha256((folder / name).read_bytes()).hexdigest()
    assert manifest["protocol_hash"] == study.protocol_hash
    assert manifest["code"]["version"] == "0.1.0"
    assert manifest["filters"] == {
        "include_text": True, "include_pii": False, "left_out": "participants who withdrew, and everything of them",
    }  # fmt: skip
    assert (manifest["seats"]["seal"], manifest["seats"]["salt"]) == (study.seat_seal, study.seat_salt)
    assert json.loads((folder / "protocol.json").read_text()) == study.protocol
    rows = {about["table"]: about["rows"] for about in manifest["files"].values() if "table" in about}
    assert rows["judgments"] == manifest["counts"]["judgments"] == 7


@pytest.mark.django_db
def test_a_blinded_release_keeps_the_salt_the_protocol_and_the_win_rates(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    folder = release(study, tmp_path / "out")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["blinded"] is True
    assert manifest["seats"] == {"seal": study.seat_seal, "salt": None}
    assert manifest["analysis"] is None
    assert not (folder / "protocol.json").exists()
    assert not (folder / "results" / "win_rates.csv").exists()


# --- Psych-DS ---------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_a_release_in_csv_follows_psych_ds(tmp_path: Path) -> None:
    folder = release(judged_study(people=1), tmp_path / "out", pii=True, text=True)
    described = json.loads((folder / "dataset_description.json").read_text())
    assert set(described) >= PSYCHDS_KEYS
    assert described["@type"] == "Dataset"
    assert described["@context"].startswith("https://schema.org")
    known = {variable["name"] for variable in described["variableMeasured"]}
    data = [path for path in (folder / "data").iterdir() if path.suffix == ".csv"]
    assert len(data) == len(TABLES)
    for path in data:
        assert DATA_FILE.match(path.name), path.name
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        assert {len(row) for row in rows} <= {len(header)}
        beside = json.loads(path.with_suffix(".json").read_text())
        assert [variable["name"] for variable in beside["variableMeasured"]] == header
        assert set(header) <= known
    assert all(v["description"] and v["@type"] == "PropertyValue" for v in described["variableMeasured"])


@pytest.mark.slow
@pytest.mark.django_db
@pytest.mark.skipif(shutil.which("psychds-validator") is None, reason="the Psych-DS validator is not installed")
def test_the_psych_ds_validator_accepts_a_release(tmp_path: Path) -> None:
    folder = release(judged_study(), tmp_path / "out")
    done = subprocess.run(["psychds-validator", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- training data ----------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_training_reads_the_grouped_preferences_back(tmp_path: Path) -> None:
    study = judged_study(people=2)
    folder = release(study, tmp_path / "out")
    people = training.load(folder / preferences.FSPO)
    assert [person.user for person in people] == list(
        Participant.objects.filter(study=study).order_by("id").values_list("code", flat=True)
    )
    for person in people:
        rows = preferences._labelled(study).filter(participant__code=person.user)
        told = [shot for (shot,) in person.sets]
        assert [(s.question, s.preferred, s.dispreferred) for s in told] == [
            (row.question.text, row.preferred.text, row.dispreferred.text) for row in rows
        ]
        assert len(told) == 4, "three shots and a probe; a repeat is no second choice"


@pytest.mark.slow
@pytest.mark.django_db
def test_trl_gets_prompt_chosen_and_rejected(tmp_path: Path) -> None:
    from datasets import load_dataset
    from trl.data_utils import is_conversational

    folder = release(judged_study(people=1), tmp_path / "out")
    rows = load_dataset("json", data_files=str(folder / preferences.TRL), cache_dir=str(tmp_path / "cache"))["train"]
    assert {"prompt", "chosen", "rejected"} <= set(rows.column_names)
    assert len(rows) == 8
    assert not is_conversational(rows[0])
    assert all(row["chosen"] != row["rejected"] and row["prompt"].endswith("?") for row in rows)


@pytest.mark.django_db
def test_without_consent_to_reuse_there_are_no_training_files(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    folder = release(study, tmp_path / "out")
    assert not (folder / "training").exists()
    assert "No reuse was asked consent for" in (folder / "README.md").read_text()
    assert json.loads((folder / "manifest.json").read_text())["reuse"] == {
        "text": None, "training_files": False, "people": 0,
    }  # fmt: skip


@pytest.mark.django_db
def test_who_agreed_to_another_consent_text_or_withdrew_is_not_in_training_files(tmp_path: Path) -> None:
    study = judged_study(people=3)
    anna, ben, cleo, _ = Participant.objects.filter(study=study).order_by("id")
    Participant.objects.filter(pk=anna.pk).update(consent_hash="0" * 64)
    leaving.withdraw(ben)
    folder = release(study, tmp_path / "out")
    lines = (folder / preferences.TRL).read_text()
    assert (anna.code in lines, ben.code in lines, cleo.code in lines) == (False, False, True)
    assert anna.code not in {person.user for person in training.load(folder / preferences.FSPO)}


# --- small cells ------------------------------------------------------------------------------------------------------
@pytest.mark.django_db
def test_the_smallest_cells_are_counted_and_told(tmp_path: Path) -> None:
    study = judged_study(people=2)
    Participant.objects.filter(study=study).update(device="desktop")
    lone = Participant.objects.filter(study=study).first()
    Participant.objects.filter(pk=lone.pk).update(device="phone")  # type: ignore[union-attr]
    rows = cells.cells(study)
    assert rows[0] == {
        "variables": "device", "values": "phone", "simulated": False, "people": 1, "small": True,
    }  # fmt: skip
    assert {row["values"]: row["people"] for row in rows if row["variables"] == "panel x device"} == {
        "open x phone": 1, "open x desktop": 2,
    }  # fmt: skip
    assert "The smallest has 1;" in (release(study, tmp_path / "out") / "README.md").read_text()


# --- programs of their own --------------------------------------------------------------------------------------------
def run(program: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I"] if program.endswith(".py") else ["Rscript"]
    return subprocess.run([*command, program], cwd=folder, capture_output=True, text=True, check=False, timeout=120)


def changed(folder: Path, column: str, by: float) -> None:
    """Add to a number in the first row of the main table."""
    path = folder / "results" / "win_rates.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    rows[0][column] = str(float(rows[0][column]) + by)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    reseal(folder, "results/win_rates.csv")


R = pytest.mark.skipif(shutil.which("Rscript") is None, reason="there is no R here")
PROGRAMS = ["analysis.py", pytest.param("analysis.R", marks=[R, pytest.mark.slow])]


@pytest.fixture
def study(db: None) -> Study:
    """Five people who share questions, so that the headline is two-way, with ties and one simulated person."""
    items = [{"treatment": "fspo", "baseline": "base", "items": 6}]
    few = {"shots": 2, "probes": 1, "repeats": 0, "words": [3, 40], "overlap": "none"}
    arms = {"fspo": {"model": "script", "context": "own_shots", "shots": 2}, "base": {"model": "script"}}
    study = factory.open_study(
        demo=True, elicitation=few, arms=arms, controls=[], comparisons=items, judging={"scale": "choice+tie"}
    )
    rng = random.Random(5)
    for _ in range(6):
        person = factory.elicited(study)
        factory.finish_texts(study)
        while factory.judge_all(person, rng.choice(["first", "second", "second", "tie"]), limit=1):
            pass
    Participant.objects.filter(pk=person.pk).update(simulated=True)
    studies.close(study, end="test over")
    return studies.unblind(study, "all in")


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_of_a_release_rebuild_its_table_and_notice_a_changed_number(
    study: Study, tmp_path: Path, program: str
) -> None:
    folder = release(study, tmp_path / "out")
    with (folder / "results" / "win_rates.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["analysis_set"] for row in rows} == {"itt", "itt_simulated"}
    assert {row["headline_ci"] for row in rows} == {"two_way", "participant"}
    assert int(rows[0]["ties"]) > 0
    done = run(program, folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"All {len(rows)} rows agree" in done.stdout
    for column, by in (("ci_twoway_low", 1e-6), ("wins", 1)):
        changed(folder, column, by)
        done = run(program, folder)
        assert done.returncode == 1
        assert f"DIFFERS: {column}" in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_analysis_py_reads_every_format(study: Study, tmp_path: Path, format: str) -> None:
    done = run("analysis.py", release(study, tmp_path / "out", format=format))
    assert done.returncode == 0, done.stdout + done.stderr


def test_analysis_py_needs_nothing_of_palate() -> None:
    source = (Path(__file__).parents[2] / "studyapp" / "exports" / "released" / "analysis.py").read_text()
    imported = set(re.findall(r"^\s*(?:import|from) ([\w.]+)", source, re.MULTILINE))
    ours = {"studyapp", "annotations", "inference", "django"}
    assert {name.split(".")[0] for name in imported} & ours == set()
