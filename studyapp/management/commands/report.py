"""manage.py report SLUG OUT"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.report import ReportError, write_report
from studyapp.services import studies
from studyapp.services.errors import StudyError


class Command(BaseCommand):
    """Exit 0 fine, 1 problems found, 2 wrong usage."""

    help = "Write the report of an unblinded study: one page, a LaTeX table, and figures."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("folder", metavar="OUT", type=Path, help="a folder; an earlier report in it is replaced")

    def handle(self, *args: Any, study: str, folder: Path, **options: Any) -> None:
        try:
            files = write_report(studies.find(study), folder)
        except (StudyError, ReportError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        for path in files[:2]:
            self.stdout.write(str(path))
        self.stdout.write(f"{files[-1].parent if len(files) > 2 else folder}: {len(files) - 2} files of figures")
