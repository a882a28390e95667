"""manage.py export SLUG OUTDIR [--format csv|jsonl] [--include-text]"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.exports import FORMATS, ExportError
from studyapp.exports import export as write_export
from studyapp.services import studies


class Command(BaseCommand):
    """Every table of a study as files, from one snapshot; blinded until the study is unblinded."""

    help = "Export participants, preferences, generations, comparisons, judgments and events."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("folder", metavar="OUTDIR", type=Path)
        parser.add_argument("--format", choices=sorted(FORMATS), default="csv")
        parser.add_argument("--include-text", action="store_true", help="prompts, texts and reasons: personal data")

    def handle(self, *args: Any, study: str, folder: Path, **options: Any) -> None:
        try:
            found = studies.find(study)
            files = write_export(found, folder, format=options["format"], text=options["include_text"])
        except (studies.StudyError, ExportError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        for path, rows in files.items():
            self.stdout.write(f"{rows:8d}  {path}")
        if not found.is_unblinded:
            self.stdout.write(f"{found} is {found.state}: arms are masked until it is unblinded.")
