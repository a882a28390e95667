"""manage.py invite SLUG [--number N] [--days D] [--base-url URL] [--json]"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand
from django.urls import reverse

from studyapp.management.commands.simulate import positive
from studyapp.services import invites, studies


def days(text: str) -> int:
    """A whole number from 1 to ten years."""
    number = positive(text)
    if number > 3650:
        raise ArgumentTypeError(f"{text!r} days are more than ten years")
    return number


class Command(BaseCommand):
    """Prints new invitation links once: only hashes of their tokens are kept."""

    help = "Make personal entry links; each lets one person in, and back in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("--number", type=positive, default=1, metavar="N")
        parser.add_argument("--days", type=days, metavar="D", help="how long a link lets somebody new in")
        parser.add_argument("--base-url", default=f"http://127.0.0.1:{os.environ.get('PORT', '8000')}")
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def handle(self, *args: Any, study: str, number: int, **options: Any) -> None:
        try:
            found = studies.find(study)
            tokens = invites.invite(found, number, days=options["days"])
        except studies.StudyError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        page = options["base_url"].rstrip("/") + reverse("study:entry", args=[found.slug])
        links = [f"{page}?invite={token}" for token in tokens]
        self.stdout.write(json.dumps({"study": str(found), "links": links}) if options["json"] else "\n".join(links))
