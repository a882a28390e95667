"""manage.py archive SLUG FILE [--include-pii]: everything of a study into one file."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.archive import ArchiveError
from studyapp.archive import archive as write_archive
from studyapp.exports.manifest import digest
from studyapp.services import studies
from studyapp.services.events import log


class Command(BaseCommand):
    """A study that is over, whole: rows, texts and win rates, sealed by a digest over every byte."""

    help = "Write everything of a study into one file, which `restore` puts back."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("file", metavar="FILE", type=Path)
        parser.add_argument("--include-pii", action="store_true", help="panel ids: they identify people")

    def handle(self, *args: Any, study: str, file: Path, **options: Any) -> None:
        try:
            found = studies.find(study)
            rows = write_archive(found, file, pii=options["include_pii"])
        except (studies.StudyError, ArchiveError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        log(found, "archived_to_file", pii=options["include_pii"])
        for name, count in rows.items():
            self.stdout.write(f"{count:8d}  {name}")
        self.stdout.write(f"{file}: {file.stat().st_size:,} bytes, SHA-256 {digest(file)}")
        self.stdout.write(f"It holds personal texts. Check it: manage.py verify {file}")
