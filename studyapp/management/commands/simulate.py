"""manage.py simulate SLUG --participants N --concurrency C [--think SECONDS] [--base-url URL] [--seed S] [--json]"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand
from tqdm import tqdm

from studyapp.services import studies
from studyapp.simulate import Crowd
from studyapp.simulate import simulate as send


def positive(text: str) -> int:
    """A whole number from 1."""
    if not text.isdigit() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


class Command(BaseCommand):
    """Exit 0 when everything acknowledged is stored once and nobody met an error, else 1."""

    help = "Send simulated participants with planted tastes through the running server."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG")
        parser.add_argument("--participants", type=positive, default=10, metavar="N")
        parser.add_argument("--concurrency", type=positive, default=5, metavar="C")
        parser.add_argument("--think", type=float, default=0.5, metavar="SECONDS", help="mean think time a pair")
        parser.add_argument("--base-url", default=f"http://127.0.0.1:{os.environ.get('PORT', '8000')}")
        parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same people")
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def handle(self, *args: Any, study: str, **options: Any) -> None:
        try:
            found = studies.find(study)
            quiet = options["json"] or not sys.stderr.isatty()
            with tqdm(total=options["participants"], unit="person", disable=quiet) as bar:
                crowd = send(
                    found,
                    participants=options["participants"],
                    concurrency=options["concurrency"],
                    think=max(0.0, options["think"]),
                    base_url=options["base_url"].rstrip("/"),
                    seed=options["seed"],
                    on_done=lambda diary: bar.update(),
                )
        except studies.StudyError as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        self.stdout.write(json.dumps(crowd.to_json()) if options["json"] else render(crowd))
        if not crowd.is_clean:
            sys.exit(1)


def render(crowd: Crowd) -> str:
    """The account for people."""
    ended = ", ".join(f"{name} {number}" for name, number in sorted(crowd.ended.items()))
    waits = crowd.waits_s
    lines = [
        f"{crowd.participants} simulated participants in {crowd.seconds:.0f} s: {crowd.finished} finished ({ended})",
        f"choices and judgments: {crowd.acknowledged} acknowledged, {crowd.stored} stored, "
        f"{crowd.lost} lost, {crowd.doubled} doubled",
        f"waits for texts: median {waits['median']} s, 95 % {waits['p95']} s, longest {waits['max']} s",
        f"{crowd.requests} requests, {crowd.reconnects} reconnects, {crowd.errors} errors",
        *crowd.messages,
    ]
    return "\n".join(lines)
