"""manage.py restore FILE: an archived study back into a database that has none such."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.archive import ArchiveError
from studyapp.archive import restore as put_back


class Command(BaseCommand):
    """Whole or not at all; any changed byte is named, and a hostile file changes nothing."""

    help = "Put an archived study back into an empty database."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", type=Path)

    def handle(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            study, rows = put_back(file)
        except (ArchiveError, OSError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        for name, count in rows.items():
            self.stdout.write(f"{count:8d}  {name}")
        self.stdout.write(f"{study} is back, {study.state}. Its win rates: manage.py winrates {study}")
