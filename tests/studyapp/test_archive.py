"""A whole study in one file, and back: the same win rates, the same exports; nothing harmful gets in."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.db import connection, transaction

from annotations.models import Judgment
from inference.models import Generation
from studyapp.archive import ArchiveError, archive, restore
from studyapp.archive.parts import PARTS
from studyapp.exports import export, sealed
from studyapp.models import Event, Identity, Participant, Study
from studyapp.results import win_rates
from studyapp.services import leaving, studies
from studyapp.verify import verify
from tests import factory
from tests.studyapp.released import judged_study

pytestmark = pytest.mark.django_db
# Models of ours that are not of a study's data.
LEFT_OUT = {"ExportJob", "Results"}


def emptied(identity: str = "RESTART") -> None:
    """The database as it is after `migrate`; its sequences begin again, or go on (`CONTINUE`)."""
    tables = ", ".join(f'"{part.model._meta.db_table}"' for part in PARTS)
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"TRUNCATE {tables}, auth_user {identity} IDENTITY CASCADE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


def rates(study: Study) -> list[dict[str, Any]]:
    return [{**row.to_json(), "data_cutoff": None} for row in win_rates(study, by="question")]


def files(study: Study, folder: Path) -> dict[str, bytes]:
    """A release with everything in it, but its manifest, which says when."""
    export(study, folder, format="csv", text=True)
    names = [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("manifest")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in names}


def test_every_table_of_a_study_is_archived() -> None:
    labels = ("studyapp", "annotations", "inference")
    ours = {model for label in labels for model in apps.get_app_config(label).get_models()}
    assert {model.__name__ for model in ours} - LEFT_OUT == {part.model.__name__ for part in PARTS}
    assert len({part.name for part in PARTS}) == len(PARTS)


def test_a_study_comes_back_with_the_same_win_rates_and_exports(tmp_path: Path) -> None:
    study = judged_study(people=3)
    gone = Participant.objects.filter(study=study).order_by("id")[1]
    leaving.withdraw(gone)
    boss = get_user_model().objects.create_user("boss", password="a long password 42")
    Event.objects.filter(study=study, kind="closed").update(actor=boss)
    Participant.objects.filter(study=study).update(panel_key=None)
    before, written = rates(study), files(study, tmp_path / "before")
    total = {part.name: part.rows(study).count() for part in PARTS}
    counted = archive(study, tmp_path / "study.palate")
    assert counted == {name: rows for name, rows in total.items() if name != "identities"}
    assert all(finding.holds for finding in verify(tmp_path / "study.palate"))
    assert (tmp_path / "study.palate").stat().st_mode & 0o077 == 0
    with transaction.atomic():
        emptied()
        back, rows = restore(tmp_path / "study.palate")
        assert rows == counted
        assert rates(back) == before
        assert files(back, tmp_path / "after") == written
        account = get_user_model().objects.get(username="boss")
        assert (account.is_active, account.has_usable_password(), account.is_staff) == (False, False, False)
        assert back.panel_secret == ""
        # The next row of anything gets a number of its own.
        factory.completed(factory.open_study("next"))
        again, _ = archive(back, tmp_path / "again.palate"), None
        assert again == counted | {"events": counted["events"] + 1}


def test_two_archives_of_the_same_data_hold_the_same_rows(tmp_path: Path) -> None:
    study = judged_study(people=1)
    for name in "ab":
        archive(study, tmp_path / name)
    with zipfile.ZipFile(tmp_path / "a") as a, zipfile.ZipFile(tmp_path / "b") as b:
        assert [n for n in a.namelist() if a.read(n) != b.read(n)] == ["manifest.json"]


def test_panel_ids_go_in_only_by_name(tmp_path: Path) -> None:
    study = judged_study(people=1)
    person = Participant.objects.filter(study=study).first()
    Identity.objects.create(participant=person, panel_id="panelmark")  # type: ignore[misc]
    for name, pii in (("without", False), ("with", True)):
        archive(study, tmp_path / name, pii=pii)
        with zipfile.ZipFile(tmp_path / name) as zipped:
            held = "".join(zipped.read(member).decode() for member in zipped.namelist())
        assert ("panelmark" in held) is pii
        assert study.panel_secret not in held
        assert all(finding.holds for finding in verify(tmp_path / name))


def test_unfinished_work_of_a_restored_study_is_taken_up_by_nobody(tmp_path: Path) -> None:
    from inference import queue

    study = judged_study(people=1)
    Generation.objects.filter(study=study, owner=None).update(state="queued")
    archive(study, tmp_path / "file")
    emptied()
    back, _ = restore(tmp_path / "file")
    assert Generation.objects.filter(study=back, state="queued").exists()
    waiting = Generation.objects.filter(study=back, state="queued").first()
    assert queue.claim(waiting.model_key, 10, worker="w") == []  # type: ignore[union-attr]


def test_what_cannot_be_archived_is_told_with_the_way_out(tmp_path: Path) -> None:
    study = factory.open_study()
    with pytest.raises(ArchiveError, match="is open: people may still be under way"):
        archive(study, tmp_path / "file")
    studies.close(study, end="over")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArchiveError, match="is there already"):
        archive(study, tmp_path / "file")
    with pytest.raises(ArchiveError, match="Choose a place that can be written to"):
        archive(study, Path("/proc/nowhere/file"))
    assert (tmp_path / "file").read_text() == "mine"
    archive(study, tmp_path / "closed")
    with pytest.raises(ArchiveError, match="small@1 is in this database already"):
        restore(tmp_path / "closed")
    Study.objects.filter(pk=study.pk).update(slug="other")
    with pytest.raises(ArchiveError, match="a row of it is in this database already"):
        restore(tmp_path / "closed")


# --- damage and malice ------------------------------------------------------------------------------------------------
def rows_of(members: dict[str, bytes], part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in members[f"rows/{part}.jsonl"].splitlines()]


def forged(path: Path, target: Path, change: Callable[[dict[str, bytes], dict[str, Any]], Any]) -> Path:
    """An archive changed by somebody who knows how: every digest is right again."""
    with zipfile.ZipFile(path) as zipped:
        members = {name: zipped.read(name) for name in zipped.namelist()}
    manifest = json.loads(members.pop("manifest.json"))
    change(members, manifest)
    for name, about in manifest["parts"].items() if isinstance(manifest, dict) and "parts" in manifest else ():
        content = members.get(f"rows/{name}.jsonl")
        if content is not None and isinstance(about, dict):
            about |= {"sha256": hashlib.sha256(content).hexdigest(), "rows": content.count(b"\n")}
    with sealed.written(target) as zipped:
        for name, content in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            zipped.writestr(sealed.entry(name), content)
    return target


def edit(part: str, change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, bytes], dict[str, Any]], Any]:
    """A forgery of one part's rows."""

    def forge(members: dict[str, bytes], manifest: dict[str, Any]) -> None:
        rows = rows_of(members, part)
        change(rows)
        members[f"rows/{part}.jsonl"] = b"".join(json.dumps(row).encode() + b"\n" for row in rows)

    return forge


def first(**values: Any) -> Callable[[list[dict[str, Any]]], Any]:
    return lambda rows: rows[0].update(values)


def raw(part: str, content: bytes) -> Callable[[dict[str, bytes], dict[str, Any]], Any]:
    return lambda members, manifest: members.update({f"rows/{part}.jsonl": content})


def lowered(rows: list[dict[str, Any]]) -> None:
    rows[1]["id"] = rows[0]["id"]


FORGED: dict[str, tuple[Callable[[dict[str, bytes], dict[str, Any]], Any], str]] = {
    "a pickle": (raw("participants", b"\x80\x04cos\nsystem\n."), "rows/participants.jsonl, line 1: is no JSON"),
    "deep json": (raw("events", b"[" * 300_000 + b"\n"), "rows/events.jsonl, line 1: is no JSON"),
    "an endless line": (raw("events", b'{"a": "' + b"x" * (17 * 1024**2)), "a line of more than"),
    "another column": (edit("judgments", first(arm="x")), "line 1: has other columns"),
    "a column less": (edit("judgments", lambda rows: rows[0].pop("choice")), "line 1: has other columns"),
    "another schema": (lambda m, f: f["parts"]["events"].update(columns=["id"]), "events have other columns"),
    "another version": (lambda m, f: f.update(schema_version=9), "has schema version 9; this Palate restores 1"),
    "another kind": (lambda m, f: f.update(kind="zip"), "is no archive of a study"),
    "a part missing": (lambda m, f: m.pop("rows/events.jsonl"), "'rows/events.jsonl' is missing"),
    "a part too many": (lambda m, f: m.update({"rows/users.jsonl": b""}), "'rows/users.jsonl' is no part of it"),
    "an account with rights": (lambda m, f: f.update(actors=[{"id": 1, "username": "a b;"}]), "is no staff account"),
    "a number that uses the sequence up": (edit("events", first(id=2**62)), "is no number of a row"),
    "a negative number": (edit("events", first(id=-5)), "is no number of a row"),
    "somebody else's participant": (edit("judgments", first(participant_id=999)), "participant_id '999' is no row of"),
    "somebody else's study": (edit("participants", first(study_id=999)), "study_id '999' is no row of this archive"),
    "somebody else's account": (edit("events", first(actor_id=1)), "actor_id '1' is no row of this archive"),
    "a repeat of another": (edit("comparisons", first(repeat_of_id=999)), "repeat_of_id '999' is no row"),
    "two studies": (edit("study", lambda rows: rows.append({**rows[0], "id": 77})), "holds more than one study"),
    "no study": (edit("study", lambda rows: rows.clear()), "holds no study"),
    "a row twice": (edit("events", lowered), "is in this database already"),
    "a choice that is none": (edit("judgments", first(choice="third")), "break the rule a_judgment_chooses"),
    "a time that is none": (edit("judgments", first(created_at="soon")), "holds a value that no column takes"),
    "a text too long": (edit("participants", first(code="x" * 40)), "holds a value that no column takes"),
    "not a number": (edit("scores", first(logprob=float("nan"))), "holds a number that is none"),
    "an open study": (
        lambda m, f: (edit("study", first(state="open"))(m, f), f.update(state="open")), "only a study that is over",
    ),
    "another study": (edit("study", first(slug="else")), "is another study than the manifest's"),
    "a protocol that is none": (edit("study", first(protocol={"slug": "x"})), "its protocol is not valid"),
    "a forged plan": (edit("seats", first(plan={"pairs": []})), "seat 1: its plan is not the one that was drawn"),
    "a forged seal": (edit("study", first(seat_seal="0" * 64)), "are not those of the seal"),
}  # fmt: skip


def test_every_changed_byte_is_noticed_and_its_part_named(tmp_path: Path) -> None:
    study = judged_study(people=1)
    path = tmp_path / "file"
    archive(study, path)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as zipped:
        places = {info.filename: info.header_offset + 30 + len(info.filename) + 20 for info in zipped.infolist()}
    for name, place in places.items():
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(ArchiveError, match=r"has changed since it was written|is damaged") as error:
            restore(path)
        assert name in str(error.value), name
        assert not all(finding.holds for finding in verify(path))
    for place in range(0, len(content), max(1, len(content) // 60)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :])
        with pytest.raises(ArchiveError):
            restore(path)


def test_a_hostile_archive_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    archive(judged_study(people=1), path)
    emptied()
    for name, (change, words) in FORGED.items():
        target = forged(path, tmp_path / "forged", change)
        with pytest.raises(ArchiveError) as error, transaction.atomic():
            restore(target)
        assert words in str(error.value), (name, str(error.value))
        assert [part.name for part in PARTS if part.model._default_manager.exists()] == [], name
        assert not get_user_model().objects.exists()
    back, _ = restore(forged(path, tmp_path / "forged", lambda members, manifest: None))
    assert Judgment.objects.filter(participant__study=back).count() == 7


def test_without_looking_at_foreign_keys_a_hostile_row_would_get_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the check of foreign keys is what keeps rows away from another study."""
    path = tmp_path / "file"
    archive(judged_study(people=1), path)
    emptied("CONTINUE")
    other = factory.consented(factory.open_study("other"))
    target = forged(path, tmp_path / "forged", edit("events", first(participant_id=other.pk)))
    with pytest.raises(ArchiveError, match="is no row of this archive"):
        restore(target)
    monkeypatch.setattr("studyapp.archive.parts.Part.foreign", {})
    back, _ = restore(target)
    assert Event.objects.filter(study=back, participant=other).exists()


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    with zipfile.ZipFile(tmp_path / "zip", "w") as zipped:
        zipped.writestr("a", "b")
    os.mkfifo(tmp_path / "pipe")
    shutil.copytree(tmp_path, tmp_path / "folder", ignore=lambda *_: ["pipe", "folder"])
    for name in ("nothing", "text", "zip", "pipe", "folder"):
        with pytest.raises(ArchiveError):
            restore(tmp_path / name)
