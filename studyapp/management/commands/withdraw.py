"""manage.py withdraw SLUG CODE [--yes]: erase a participant on request."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.models import Participant
from studyapp.services import leaving, studies


class Command(BaseCommand):
    """Erases everything of a person but code, state, times and the keyed panel hash."""

    help = "Withdraw a participant by pseudonymous code, or by panel id with --panel."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("code", metavar="CODE", help="the participant's code, or the panel id with --panel")
        parser.add_argument("--panel", choices=["prolific", "connect", "sona"], help="CODE is a panel id of this panel")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, study: str, code: str, **options: Any) -> None:
        try:
            found = studies.find(study)
        except studies.StudyError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        people = Participant.objects.filter(study__slug=found.slug)
        if options["panel"]:
            people = people.filter(panel=options["panel"], identity__panel_id=code)
        else:
            people = people.filter(code=code)
        person = people.select_related("study").first()
        if person is None:
            self.stderr.write(
                self.style.ERROR(f"{found.slug} has no participant {code}. Codes are in the admin and in exports.")
            )
            sys.exit(1)
        if not options["yes"] and not agreed(f"Erase all data of {person.code} ({person.state})? Type yes: "):
            self.stderr.write("Nothing was erased. Type yes when asked, or give --yes.")
            sys.exit(1)
        receipt = leaving.withdraw(person)
        self.stdout.write(
            f"{person.code} withdrawn; receipt {receipt}" if receipt else f"{person.code} had withdrawn before."
        )


def agreed(question: str) -> bool:
    """Whether a person at the terminal types yes; nobody there has not."""
    try:
        return input(question) == "yes"
    except EOFError:
        return False
