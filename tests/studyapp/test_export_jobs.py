"""Exports on the site: asked for by who may, made once, fetched by who asked, gone when their time is over."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from studyapp import tasks
from studyapp.exports.columns import Table
from studyapp.management.commands.worker import celery_arguments
from studyapp.models import Event, ExportJob, Study
from studyapp.services import downloads, exporting, leaving, releasing
from studyapp.verify import verify
from tests import factory
from tests.studyapp.released import judged_study
from tests.studyapp.staff import researcher

pytestmark = pytest.mark.django_db
MAY = ("studyapp.view_study", "studyapp.view_exportjob", "studyapp.add_exportjob")


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A data folder of the test's own; no broker, but a list of the bells rung."""
    rung: list[int] = []
    settings.DATA_DIR = tmp_path
    monkeypatch.setattr(exporting.current_app, "send_task", lambda name, args, **_: rung.append(args[0]))
    return rung


def asked(client: Client, study: Study, **values: Any) -> Any:
    return client.post(f"/admin/studyapp/study/{study.pk}/export/", {"format": "csv", **values})


def job_of(study: Study) -> ExportJob:
    return ExportJob.objects.filter(study=study).latest("pk")


def fetched(client: Client, job: ExportJob) -> Any:
    return client.get(f"/admin/studyapp/exportjob/{job.pk}/download/")


def body(response: Any) -> bytes:
    return b"".join(response.streaming_content)


def test_a_release_is_asked_for_made_fetched_and_holds(
    tmp_path: Path, data: list[int], django_capture_on_commit_callbacks: Any
) -> None:
    study, client = judged_study(people=1), researcher("rosa", *MAY)
    with django_capture_on_commit_callbacks(execute=True):
        answer = asked(client, study, format="parquet")
    job = job_of(study)
    assert (answer.status_code, data) == (302, [job.pk])
    page = client.get(answer["Location"]).content.decode()
    assert "queued" in page
    assert 'hx-trigger="every 2s"' in page
    assert fetched(client, job).status_code == 410
    assert tasks.export(job.pk) is True
    job.refresh_from_db()
    assert (job.state, job.blinded, job.done) == ("ready", False, job.total)
    page = client.get(answer["Location"]).content.decode()
    assert "Download" in page
    assert "every 2s" not in page
    response = fetched(client, job)
    assert response["Content-Disposition"] == 'attachment; filename="small-1-parquet.zip"'
    (tmp_path / "fetched.zip").write_bytes(body(response))
    assert all(finding.holds for finding in verify(tmp_path / "fetched.zip"))
    events = Event.objects.filter(study=study, kind__startswith="export").order_by("id")
    assert [(event.kind, event.actor.username) for event in events] == [
        ("export_requested", "rosa"), ("export_downloaded", "rosa"),
    ]  # fmt: skip
    assert (tmp_path / "exports").stat().st_mode & 0o077 == 0


def test_before_unblinding_the_site_gives_what_the_command_gives(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    job = exporting.request(study, format="jsonl", text=True, pii=False, actor=None)
    releasing.make(job.pk)
    job.refresh_from_db()
    path = downloads.path_of(job)
    assert path is not None
    with zipfile.ZipFile(path) as zipped:
        names = zipped.namelist()
        held = b"".join(zipped.read(name) for name in names if name.startswith("data/"))
    assert job.blinded is True
    assert all("view-blinded_with-text" in name for name in names if name.startswith("data/"))
    assert b'"fspo"' not in held
    answer = fetched(researcher("boss", superuser=True), job)
    assert 'filename="small-1-blinded-with-text-jsonl.zip"' in answer["Content-Disposition"]
    answer.close()


def test_who_may_not_is_refused_and_nothing_is_made() -> None:
    study = factory.loaded_study()
    viewer, asker = researcher("vera", "studyapp.view_study", "studyapp.view_exportjob"), researcher("rosa", *MAY)
    assert asked(viewer, study).status_code == 403
    for name, permission in (("include_text", "studyapp.export_text"), ("include_pii", "studyapp.view_identity")):
        answer = asked(asker, study, **{name: "on"})
        assert answer.status_code == 409
        assert permission in answer.content.decode()
    assert asked(asker, study, format="xml").status_code == 422
    assert not ExportJob.objects.exists()
    able = researcher("tara", *MAY, "studyapp.export_text", "studyapp.view_identity")
    assert asked(able, study, include_text="on", include_pii="on").status_code == 302


def test_only_who_asked_fetches_it() -> None:
    study, rosa = factory.loaded_study(), researcher("rosa", *MAY)
    asked(rosa, study)
    job = job_of(study)
    releasing.make(job.pk)
    job.refresh_from_db()
    assert fetched(researcher("sara", *MAY), job).status_code == 403
    assert fetched(Client(), job).status_code == 302
    assert fetched(rosa, job).status_code == 200
    assert fetched(researcher("boss", superuser=True), job).status_code == 200
    assert rosa.get("/admin/studyapp/exportjob/999/download/").status_code == 404


def test_an_export_is_made_once_and_one_at_a_time(data: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    study = factory.loaded_study()
    first, second = (exporting.request(study, format="csv", text=False, pii=False, actor=None) for _ in range(2))
    made: list[int] = []

    def making(job: ExportJob, place: Path) -> tuple[bool, Path]:
        made.append(job.pk)
        if job.pk == first.pk:
            assert releasing.make(first.pk) is False, "it is being made"
            assert releasing.make(second.pk) is False, "another one is"
        (place / "release.zip").write_text("x")
        return True, place / "release.zip"

    monkeypatch.setattr(releasing, "_made", making)
    assert releasing.make(first.pk) is True
    assert data[-1] == second.pk, "the next one is rung for"
    assert releasing.make(first.pk) is False, "it was made"
    assert releasing.make(second.pk) is True
    assert made == [first.pk, second.pk]


def test_an_expired_export_is_gone_for_good(django_capture_on_commit_callbacks: Any) -> None:
    study, client = factory.loaded_study(), researcher("boss", superuser=True)
    job = exporting.request(study, format="csv", text=False, pii=False, actor=None)
    releasing.make(job.pk)
    job.refresh_from_db()
    path = downloads.path_of(job)
    assert path is not None
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.sweep_exports() == 0
    assert path.exists()
    ExportJob.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with django_capture_on_commit_callbacks(execute=True):
        assert tasks.sweep_exports() == 1
    assert not path.exists()
    answer = fetched(client, job)
    assert (answer.status_code, b"Ask for a new one" in answer.content) == (410, True)


def test_a_withdrawal_takes_every_export_that_the_person_is_in(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    study = factory.open_study()
    anna, ben = factory.consented(study), factory.consented(study)
    ready = exporting.request(study, format="csv", text=False, pii=False, actor=None)
    releasing.make(ready.pk)
    ready.refresh_from_db()
    path = downloads.path_of(ready)
    assert path is not None
    with django_capture_on_commit_callbacks(execute=True):
        leaving.withdraw(anna)
    assert not path.exists()
    # Ben leaves while one is being made, after its snapshot.
    making, whole = exporting.request(study, format="csv", text=False, pii=False, actor=None), Table.batches

    def leaves(table: Table, *args: Any) -> Any:
        if table.name == "events":
            leaving.withdraw(ben)
        return whole(table, *args)

    monkeypatch.setattr(Table, "batches", leaves)
    releasing.make(making.pk)
    making.refresh_from_db()
    assert (making.state, making.error) == ("failed", downloads.WITHDRAWN)
    assert list(downloads.folder().iterdir()) == []


def test_a_failing_export_says_why_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    study = factory.loaded_study()
    job = exporting.request(study, format="csv", text=False, pii=False, actor=None)

    def full(*args: Any) -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Table, "batches", full)
    releasing.make(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "No space left on device" in job.error
    assert list(downloads.folder().iterdir()) == []


def test_the_sweep_fails_what_was_lost_and_rings_for_what_waits(data: list[int]) -> None:
    study = factory.loaded_study()
    lost, waiting = (exporting.request(study, format="csv", text=False, pii=False, actor=None) for _ in range(2))
    long_ago = timezone.now() - 2 * exporting.SILENT
    ExportJob.objects.filter(pk=lost.pk).update(state="running", seen_at=long_ago, started_at=long_ago)
    (downloads.folder() / "left.zip").write_bytes(b"x")
    exporting.sweep()
    lost.refresh_from_db()
    assert (lost.state, lost.error) == ("failed", exporting.LOST)
    assert data == [waiting.pk]
    assert downloads.sweep_files(age_s=-10) == 1


def test_a_worker_that_does_not_share_the_data_folder_listens_to_no_export() -> None:
    assert any("palate-exports" in argument for argument in celery_arguments("w", []))
    assert not any("palate-exports" in argument for argument in celery_arguments("w", [], exports=False))


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_from_outside_while_the_snapshot_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    study = factory.loaded_study()
    job = exporting.request(study, format="csv", text=False, pii=False, actor=None)
    seen: list[int] = []
    whole = releasing.export

    def watched(*args: Any, progress: Any, **options: Any) -> Any:
        def told(done: int, total: int) -> None:
            progress(done, total)
            # The snapshot is older: what the export's own connection sees stays as it was.
            seen.append(ExportJob.objects.get(pk=job.pk).done)

        return whole(*args, progress=told, **options)

    monkeypatch.setattr(releasing, "export", watched)
    releasing.make(job.pk)
    job.refresh_from_db()
    assert (set(seen), job.state, job.done) == ({0}, "ready", 10)


def test_the_download_is_a_zip_that_python_reads(tmp_path: Path) -> None:
    study = factory.loaded_study()
    job = exporting.request(study, format="csv", text=False, pii=False, actor=None)
    releasing.make(job.pk)
    job.refresh_from_db()
    content = body(fetched(researcher("boss", superuser=True), job))
    with zipfile.ZipFile(io.BytesIO(content)) as zipped:
        assert zipped.testzip() is None
        assert "manifest.json" in zipped.namelist()


@pytest.mark.slow
def test_the_web_does_not_load_what_only_a_worker_needs() -> None:
    """Parquet and statistics take a second of every command's start and a third of a web process's memory."""
    code = "import django, sys; django.setup(); import studyapp.urls; print('studyapp.exports.run' in sys.modules)"
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "studyapp.settings"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environ, check=True)
    assert done.stdout.strip() == "False"
