"""manage.py exclude SLUG --id ID --metric METRIC --op OP --value VALUE --reason REASON"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from annotations.winrate.exclusions import COMPARED, Rule
from studyapp.protocol import METRICS
from studyapp.services import exclusions, studies
from studyapp.services.errors import StudyError


class Command(BaseCommand):
    """Add an exclusion rule to a study that was opened. It gets an analysis set of its own and a label, for ever."""

    help = "Add an exclusion rule after opening: a set of its own, labelled; after unblinding it is called post hoc."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("--id", required=True, help="name of the rule and of its analysis set")
        parser.add_argument("--metric", required=True, choices=list(METRICS))
        parser.add_argument("--op", required=True, choices=list(COMPARED))
        parser.add_argument("--value", required=True, type=float, help="threshold")
        parser.add_argument("--reason", required=True, help="why; logged")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        rule = Rule(options["id"], options["metric"], options["op"], options["value"])
        try:
            found = studies.find(study)
            number = exclusions.add_rule(found, rule, options["reason"])
        except StudyError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        if found.is_unblinded:
            self.stdout.write(f"{rule.id} ({rule}) is post hoc and leaves out {number} participant(s).")
        else:
            self.stdout.write(f"{rule.id} ({rule}) is added after opening; it is applied when {found} is unblinded.")
