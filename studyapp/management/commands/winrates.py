"""manage.py winrates SLUG [--by domain|question] [--format table|json]"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from itertools import groupby
from typing import Any

from django.core.management.base import BaseCommand

from annotations.winrate import render_table, to_json
from studyapp.results import SIMULATED, win_rates
from studyapp.services import studies


class Command(BaseCommand):
    """Win rates with their uncertainty and n, for an unblinded study."""

    help = "Print the win-rate table of an unblinded study."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("--by", choices=["domain", "question"], help="also a row for each")
        parser.add_argument("--format", choices=["table", "json"], default="table")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        try:
            found = studies.find(study)
            rows = win_rates(found, by=options["by"])
        except studies.StudyError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        if options["format"] == "json":
            self.stdout.write(to_json(rows))
            return
        for analysis_set, group in groupby(rows, key=lambda row: row.analysis_set):
            who = "SIMULATED participants" if analysis_set == SIMULATED else "participants"
            self.stdout.write(f"{found}: {who}, intention to treat, protocol {found.protocol_hash[:12]}\n\n")
            self.stdout.write(render_table(list(group)))
