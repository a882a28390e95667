"""manage.py study check|load|open|pause|close|unblind|status SLUG_OR_PATH [--json]"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from studyapp.protocol import load_folder, render_report, to_json
from studyapp.protocol.waiting import render_waits, waits_json
from studyapp.services import studies
from studyapp.services.studies import StudyError
from studyapp.services.waits import of_folder


class Command(BaseCommand):
    """Exit 0 when all is well, 1 when problems were found, 2 for wrong usage (argparse)."""

    help = "Check, load, open, pause, close, unblind or show a study."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for name, target, text in (
            ("check", "PATH", "print every problem of a study folder and what the study asks of people"),
            ("load", "PATH", "read a study folder into the database"),
            ("open", "SLUG", "take people: freeze the protocol, draw the seats, ask for the first texts"),
            ("pause", "SLUG", "stop enrolment; those under way finish"),
            ("close", "SLUG", "end enrolment for good"),
            ("unblind", "SLUG", "let researchers see arms beside outcomes"),
            ("status", "SLUG", "counts and seals"),
        ):
            verb = verbs.add_parser(name, help=text)
            verb.add_argument("target", metavar=target)
            verb.add_argument("--json", action="store_true", help="machine-readable output")
            if name == "open":
                verb.add_argument("--skip-preflight", default="", metavar="REASON", help="open without a pilot; logged")
            if name == "close":
                verb.add_argument("--end", default="", metavar="REASON", help="also end everybody under way; logged")
            if name == "unblind":
                verb.add_argument("--reason", default="", metavar="REASON", help="why now; logged")

    def handle(self, *args: Any, verb: str, target: str, **options: Any) -> None:
        try:
            getattr(self, f"_{verb}")(target, options)
        except StudyError as error:
            self._fail(error, options["json"])

    def _fail(self, error: StudyError, as_json: bool) -> None:
        if as_json:
            self.stdout.write(
                json.dumps({"ok": False, "error": str(error), "problems": [str(p) for p in error.problems]})
            )
        else:
            for problem in error.problems:
                self.stderr.write(str(problem))
            self.stderr.write(self.style.ERROR(str(error)))
        sys.exit(1)

    def _say(self, options: dict[str, Any], line: str, **facts: Any) -> None:
        self.stdout.write(json.dumps({"ok": True, **facts}, default=str) if options["json"] else line)

    def _check(self, target: str, options: dict[str, Any]) -> None:
        loaded = load_folder(Path(target))
        expected = of_folder(loaded)
        if options["json"]:
            self.stdout.write(json.dumps({**to_json(loaded), "waits": waits_json(expected)}, ensure_ascii=False))
        else:
            self.stdout.write(render_report(loaded))
            if loaded.protocol:
                self.stdout.write("\n" + "\n".join(render_waits(loaded.protocol, expected)))
        if loaded.problems:
            sys.exit(1)

    def _load(self, target: str, options: dict[str, Any]) -> None:
        study, changed = studies.load(Path(target))
        said = "loaded" if changed else "already loaded, nothing changed"
        self._say(
            options,
            f"{study}: {said} ({study.protocol_hash[:12]})",
            study=str(study),
            changed=changed,
            hash=study.protocol_hash,
        )

    def _open(self, target: str, options: dict[str, Any]) -> None:
        study = studies.open_study(studies.find(target), skip_preflight=options["skip_preflight"])
        facts = studies.status(study)
        free = facts["seats"].get("free", 0)
        line = f"{study} is open at /s/{study.slug}/. {free} free seats, sealed {study.seat_seal[:16]}."
        self._say(options, line, **facts)

    def _pause(self, target: str, options: dict[str, Any]) -> None:
        study = studies.pause(studies.find(target))
        self._say(
            options, f"{study} is paused: nobody new, those under way finish.", study=str(study), state=study.state
        )

    def _close(self, target: str, options: dict[str, Any]) -> None:
        study = studies.close(studies.find(target), end=options["end"])
        people = studies.under_way(study)
        self._say(
            options,
            f"{study} is closed; {people} participant(s) still under way.",
            study=str(study),
            state=study.state,
            under_way=people,
        )

    def _unblind(self, target: str, options: dict[str, Any]) -> None:
        study = studies.unblind(studies.find(target), options["reason"])
        self._say(
            options, f"{study} is unblinded. Next: manage.py winrates {study.slug}", study=str(study), state=study.state
        )

    def _status(self, target: str, options: dict[str, Any]) -> None:
        facts = studies.status(studies.find(target))
        if options["json"]:
            self.stdout.write(json.dumps({"ok": True, **facts}, default=str))
            return
        self.stdout.write(f"{facts['study']}  {facts['state']}  protocol {facts['protocol_hash'][:12]}")
        for name in ("seats", "participants", "generations"):
            counts = "  ".join(f"{k} {v}" for k, v in facts[name].items() if k != "seal" and v is not None)
            self.stdout.write(f"  {name:13} {counts or 'none'}")
        self.stdout.write(f"  seat seal     {facts['seats']['seal'] or 'not drawn yet'}")
        self.stdout.write(f"  under way     {facts['under_way']}")
        for said in facts["reasons"]:
            who = f" by {said['by']}" if said["by"] else ""
            self.stdout.write(
                f"  {said['kind'].replace('_', ' '):17} {said['at']:%Y-%m-%d %H:%M} UTC{who}: {said['reason']}"
            )
