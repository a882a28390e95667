"""Releases for the tests that read them: a judged, unblinded study of some size, exported."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from studyapp.exports import export
from studyapp.models import Study
from studyapp.services import studies
from tests import factory

REUSE = {"reuse": "Choices without names may be shared with other researchers.", "controller": "A laboratory"}


def judged_study(slug: str = "small", people: int = 3, **changes: Any) -> Study:
    """An unblinded study with a table of win rates worth the name: many judgments, ties aside, and void pairs."""
    study = factory.open_study(slug, privacy=REUSE, **changes)
    for number in range(people):
        factory.completed(study, ("first", "second")[number % 2])
    factory.elicited(study)
    studies.close(study, end="test over")
    return studies.unblind(study, "all in")


def reseal(folder: Path, *names: str) -> None:
    """Give changed files their new digests, as a forger would."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    for name in names:
        manifest["files"][name]["sha256"] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_manifest(folder, manifest)


def write_manifest(folder: Path, manifest: Any) -> None:
    """A manifest with its right digest beside it."""
    path = folder / "manifest.json"
    path.write_text(json.dumps(manifest) if not isinstance(manifest, str) else manifest)
    (folder / "manifest.sha256").write_text(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  manifest.json\n")


def release(study: Study, folder: Path, format: str = "csv", **options: Any) -> Path:
    """The study's release."""
    export(study, folder, format=format, **options)
    return folder
