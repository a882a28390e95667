"""`verify`: a stranger sees whatever does not fit, is told which file or row, and needs no database."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from manage import needs_servers
from studyapp.exports import sealed
from studyapp.verify import VerifyError, verify
from tests.studyapp.released import judged_study, release, reseal, write_manifest

BASE = Path(__file__).parents[2]
DATA = "data/description-{}_data.csv"


def failed(path: Path) -> dict[str, tuple[str, ...]]:
    """The checks that do not hold, and what they name."""
    return {finding.check: finding.wrong for finding in verify(path) if not finding.holds}


def rewritten(folder: Path, table: str, change: Callable[[list[dict[str, str]]], Any]) -> None:
    """Change a table's rows and give the file its new digest."""
    path = folder / DATA.format(table)
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows, header = list(reader), list(reader.fieldnames or ())
    change(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, header, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    reseal(folder, DATA.format(table))


def a_byte(folder: Path) -> None:
    path = folder / DATA.format("events")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_choice(rows: list[dict[str, str]]) -> None:
    row = next(row for row in rows if row["kind"] == "arms")
    row["choice"] = {"first": "second", "second": "first"}[row["choice"]]


def other_plan(rows: list[dict[str, str]]) -> None:
    plan = json.loads(rows[2]["plan"])
    plan["comparisons"][0]["a_is_first"] = not plan["comparisons"][0]["a_is_first"]
    rows[2]["plan"] = json.dumps(plan)


def manifest(folder: Path, **changes: Any) -> None:
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()) | changes)


# What is done to a release, and in which check which words say so.
TAMPERED: dict[str, tuple[Callable[[Path], Any], str, str]] = {
    "a changed byte": (a_byte, "files", "events_data.csv: has changed"),
    "a file taken away": (lambda f: (f / "README.md").unlink(), "files", "README.md: is missing"),
    "a file added": (lambda f: (f / "data" / "more.csv").write_text("x"), "files", "data/more.csv: is not in the"),
    "a file turned into a link": (
        lambda f: ((f / "README.md").unlink(), (f / "README.md").symlink_to("/etc/hostname")),
        "files", "README.md: is missing, or",
    ),
    "a changed manifest": (
        lambda f: (f / "manifest.json").write_text((f / "manifest.json").read_text().replace("small", "smalt", 1)),
        "manifest", "manifest.json: is not the one of manifest.sha256",
    ),
    "a judgment taken out": (lambda f: rewritten(f, "judgments", lambda rows: rows.pop()), "counts", "has no judgment"),
    "a judgment doubled": (
        lambda f: rewritten(f, "judgments", lambda rows: rows.append(rows[0])), "counts", "has 2 judgments",
    ),
    "a person taken out": (
        lambda f: rewritten(f, "participants", lambda rows: rows.pop(0)), "counts", "is of nobody",
    ),
    "a row taken out": (lambda f: rewritten(f, "events", lambda rows: rows.pop()), "tables", "the manifest says"),
    "another choice": (lambda f: rewritten(f, "judgments", other_choice), "main table", "fspo base all NA: wins is"),
    "another plan": (lambda f: rewritten(f, "seats", other_plan), "seats", "seat 3: its plan is not the one"),
    "another digest": (
        lambda f: rewritten(f, "seats", lambda rows: rows[0].update(digest="0" * 64)), "seats", "the seal is",
    ),
    "an odd table": (
        lambda f: rewritten(f, "seats", lambda rows: rows[0].update(plan="[1, 2")), "seats", "of another shape",
    ),
    "other counts": (lambda f: manifest(f, counts={}), "counts", "the manifest says {}"),
}  # fmt: skip
# What is done to a manifest, and the words of the refusal.
REFUSED: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "has no manifest.json"),
    "no json": (lambda f: (f / "manifest.json").write_text("{"), "is no JSON"),
    "deep json": (lambda f: (f / "manifest.json").write_text("[" * 200_000), "is no JSON"),
    "another kind": (lambda f: manifest(f, kind="zip"), "is not the manifest of a release"),
    "a later version": (lambda f: manifest(f, schema_version=2), "has schema version 2; this Palate reads 1"),
    "a key missing": (lambda f: manifest(f, seats=None), "'seats' is missing"),
    "a path that leads elsewhere": (lambda f: manifest(f, files={"../../etc/passwd": {}}), "is no file of a release"),
    "an absolute path": (lambda f: manifest(f, files={"/etc/passwd": {}}), "is no file of a release"),
    "a table that is no name": (lambda f: manifest(f, files={"a": {"table": ["x"]}}), "is no file of a release"),
}


@pytest.fixture
def whole(db: None, tmp_path: Path) -> Path:
    """An unblinded release."""
    return release(judged_study(people=2), tmp_path / "whole")


def test_a_release_holds_and_every_change_is_named(whole: Path, tmp_path: Path) -> None:
    assert failed(whole) == {}
    assert [finding.check for finding in verify(whole)] == [
        "manifest", "files", "tables", "seats", "counts", "main table",
    ]  # fmt: skip
    for name, (change, check, words) in TAMPERED.items():
        folder = shutil.copytree(whole, tmp_path / name)
        change(folder)
        assert words in " ".join(failed(folder).get(check, ())), (name, failed(folder))
    for name, (change, words) in REFUSED.items():
        folder = shutil.copytree(whole, tmp_path / name)
        change(folder)
        with pytest.raises(VerifyError, match=words.replace(".", r"\.")):
            verify(folder)


def test_a_changed_plan_is_noticed_by_its_digest_alone(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: without the comparison of digests a forged plan would pass."""
    rewritten(whole, "seats", other_plan)
    monkeypatch.setattr("studyapp.verify.checks.seat_digest", lambda number, plan, salt: next(digests))
    with (whole / DATA.format("seats")).open(newline="") as file:
        digests = iter([row["digest"] for row in csv.DictReader(file)])
    assert failed(whole) == {}


def test_the_command_needs_no_database_and_its_status_says_what_holds(
    whole: Path, capsys: pytest.CaptureFixture[str], django_db_blocker: Any
) -> None:
    assert not needs_servers(["verify", str(whole)])
    with django_db_blocker.block():
        call_command("verify", str(whole))
        assert f"{whole} is what it says." in capsys.readouterr().out
        (whole / "README.md").write_text("Hello")
        with pytest.raises(SystemExit, match="1"):
            call_command("verify", str(whole))
    said = capsys.readouterr().out
    assert "FAILED  files" in said
    assert "README.md: has changed" in said


@pytest.mark.slow
def test_the_program_runs_where_there_is_no_server(whole: Path) -> None:
    environ = {**os.environ, "DATABASE_URL": "postgres:///palate?host=/nonexistent", "REDIS_URL": "redis://127.0.0.1:1"}
    command = [sys.executable, "manage.py", "verify", str(whole)]
    done = subprocess.run(command, cwd=BASE, env=environ, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{whole} is what it says." in done.stdout


def test_what_is_no_release_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for path in (tmp_path / "nothing", tmp_path / "text", tmp_path):
        with pytest.raises(VerifyError):
            verify(path)


# --- zips from strangers ----------------------------------------------------------------------------------------------
def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    return info


def test_a_hostile_zip_harms_nothing(tmp_path: Path) -> None:
    bomb = b"0" * (300 * 1024**2)
    hostile: dict[str, tuple[list[tuple[Any, bytes]], str]] = {
        "out of the folder": ([("../evil", b"x")], "leads elsewhere"),
        "absolute": ([("/tmp/evil", b"x")], "leads elsewhere"),
        "hidden": ([(".ssh/authorized_keys", b"x")], "leads elsewhere"),
        "a drive": ([("C:\\evil", b"x")], "leads elsewhere"),
        "a link": ([(link("data"), b"/etc")], "is no plain file"),
        "twice": ([("a", b"1"), ("a", b"2")], "is there twice"),
        "a bomb": ([("a", bomb)], "would unpack to 314,572,800 bytes"),
    }
    for name, (members, words) in hostile.items():
        path = tmp_path / f"{name}.zip"
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as zipped:
            warnings.simplefilter("ignore")  # of a name that is there twice
            for member, content in members:
                zipped.writestr(member, content, zipfile.ZIP_DEFLATED)
        with pytest.raises(VerifyError, match=words):
            verify(path)
    assert not (tmp_path / "evil").exists()
    assert not (tmp_path.parent / "evil").exists()


def test_every_changed_byte_of_a_sealed_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "sealed.zip"
    with sealed.written(path) as zipped, zipped.open(sealed.entry("a.txt"), "w") as out:
        out.write(b"some text, " * 20)
    assert sealed.is_whole(path)
    assert path.stat().st_mode & 0o077 == 0
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        assert not sealed.is_whole(path), place
    for cut in (content[:-1], content + b"x", content[1:], b""):
        path.write_bytes(cut)
        assert not sealed.is_whole(path)


@pytest.mark.django_db
@pytest.mark.parametrize("analysis", [{"min_df": 500}, {"interval": "participant"}, {"alpha": 0.1}])
def test_the_table_is_made_again_as_the_study_wanted_it(tmp_path: Path, analysis: dict[str, Any]) -> None:
    study = judged_study(analysis={"primary": ["fspo>base"], **analysis})
    assert failed(release(study, tmp_path / "out")) == {}
