"""manage.py verify DIR_OR_FILE: a stranger's check of a release or an archive. It needs no database."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.verify import VerifyError, verify


class Command(BaseCommand):
    """Hashes, tables, seats against their seal, counts, and the main table."""

    help = "Check a release's folder, a downloaded release or an archive against itself."
    requires_system_checks: Any = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("path", metavar="DIR_OR_FILE", type=Path)

    def handle(self, *args: Any, path: Path, **options: Any) -> None:
        try:
            findings = verify(path)
        except (VerifyError, OSError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        for finding in findings:
            mark = self.style.SUCCESS("ok    ") if finding.holds else self.style.ERROR("FAILED")
            self.stdout.write(f"{mark}  {finding.check:10}  {finding.says}")
            for line in finding.wrong:
                self.stdout.write(f"        {line}")
        if not all(finding.holds for finding in findings):
            self.stdout.write(f"{path} is not what it says. Ask who gave it to you for a fresh copy.")
            sys.exit(1)
        self.stdout.write(f"{path} is what it says.")
