"""manage.py export SLUG OUTDIR [--format csv|jsonl|parquet] [--include-text] [--include-pii]"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.exports import FORMATS, ExportError
from studyapp.exports import export as write_export
from studyapp.exports.preferences import refusal
from studyapp.services import studies
from studyapp.services.events import log


class Command(BaseCommand):
    """A release of a study: every table from one snapshot, and what a stranger needs; blinded until unblinding."""

    help = "Export every table of a study, with manifest, data dictionary and programs that check it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("folder", metavar="OUTDIR", type=Path)
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--include-text", action="store_true", help="prompts, texts and reasons: personal data")
        parser.add_argument("--include-pii", action="store_true", help="panel ids: they identify people")

    def handle(self, *args: Any, study: str, folder: Path, **options: Any) -> None:
        try:
            found = studies.find(study)
            chosen = {"format": options["format"], "text": options["include_text"], "pii": options["include_pii"]}
            files = write_export(found, folder, **chosen)
        except (studies.StudyError, ExportError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        log(found, "exported", **chosen)
        for path, rows in files.items():
            self.stdout.write(f"{rows:8d}  {path}")
        if refused := refusal(found):
            self.stdout.write(f"No training files: {refused}.")
        if not found.is_unblinded:
            self.stdout.write(f"{found} is {found.state}: arms are masked until it is unblinded.")
        self.stdout.write(f"Check it: manage.py verify {folder}")
