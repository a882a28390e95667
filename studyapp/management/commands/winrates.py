"""manage.py winrates SLUG [--by domain|question] [--format table|json|csv|latex] [--table NAME] [--look];
manage.py winrates --from-csv FILE ..."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from annotations.winrate.collected import collected_tables
from annotations.winrate.csvfile import CsvError
from annotations.winrate.tabular import as_csv, as_latex
from studyapp.results import TABLES, tables
from studyapp.results.printing import print_tables
from studyapp.services import looks, studies
from studyapp.services.errors import StudyError

ALL = "all"
CSV_ONLY = ("alpha", "margin", "sesoi", "interval")


def _between(low: float, high: float) -> Any:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is no number") from None
        if not low < value < high:
            raise ArgumentTypeError(f"{text} does not lie between {low:g} and {high:g}")
        return value

    return number


class Command(BaseCommand):
    """Win rates with their uncertainty and n. Exit 0 fine, 1 problems found, 2 wrong usage."""

    help = "Print the results of an unblinded study, a pre-registered look, or the analysis of a CSV file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG", nargs="?")
        parser.add_argument("--from-csv", type=Path, metavar="FILE", help="judgments collected elsewhere")
        parser.add_argument("--by", choices=["domain", "question"], help="also a row for each")
        parser.add_argument("--format", choices=["table", "json", "csv", "latex"], default="table")
        parser.add_argument("--table", choices=[*TABLES, ALL], help="which one; text: all, otherwise rates")
        parser.add_argument("--look", action="store_true", help="the pre-registered look at an open or paused study")
        parser.add_argument("--alpha", type=_between(0, 0.5), help="with --from-csv: two-sided level, default 0.05")
        parser.add_argument("--margin", type=_between(0, 0.5), help="with --from-csv: margin around one half")
        parser.add_argument("--sesoi", type=_between(0, 1), help="with --from-csv: smallest win rate of interest")
        parser.add_argument("--interval", choices=["two_way", "participant"], help="with --from-csv: the headline")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check_usage(options)
        try:
            if options["look"]:
                self._look(options)
            else:
                self._print(self._tables(options), options)
        except (StudyError, CsvError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)

    def _check_usage(self, options: dict[str, Any]) -> None:
        if bool(options["study"]) == bool(options["from_csv"]):
            raise CommandError("Give SLUG or --from-csv FILE, one of the two.", returncode=2)
        given = [name for name in CSV_ONLY if options[name] is not None]
        if given and not options["from_csv"]:
            raise CommandError(f"--{given[0]} is for --from-csv; a study's protocol says it: [analysis].", returncode=2)
        if options["look"] and (options["from_csv"] or options["by"] or options["table"]):
            raise CommandError("--look stands alone: manage.py winrates SLUG --look", returncode=2)
        if options["format"] == "latex" and options["table"] not in (None, "rates"):
            raise CommandError("--format latex is for the table rates.", returncode=2)
        if options["format"] == "csv" and options["table"] == ALL:
            raise CommandError("--format csv holds one table: name it, or take --format json.", returncode=2)

    def _look(self, options: dict[str, Any]) -> None:
        taken = looks.look(studies.find(options["study"]))
        if options["format"] == "json":
            self.stdout.write(json.dumps([look.to_json() for look in taken], indent=2))
            return
        for look in taken:
            self.stdout.write(str(look))

    def _tables(self, options: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        rates_only = options["table"] == "rates" or (options["format"] != "table" and not options["table"])
        if options["study"]:
            self._title = str(study := studies.find(options["study"]))
            self._hash = study.protocol_hash
            return tables(study, by=options["by"], rates_only=rates_only)
        self._title, self._hash = str(options["from_csv"]), ""
        return collected_tables(
            options["from_csv"],
            by=options["by"],
            alpha=options["alpha"] or 0.05,
            margin=options["margin"],
            sesoi=options["sesoi"],
            interval=options["interval"] or "two_way",
            rates_only=rates_only,
        )

    def _print(self, found: dict[str, list[dict[str, Any]]], options: dict[str, Any]) -> None:
        name = options["table"] or "rates"
        kind = options["format"]
        if kind == "table":
            self.stdout.write(print_tables(found, self._title, self._hash, options["table"] or ALL))
        elif kind == "json":
            wanted: Any = found if name == ALL else found.get(name, [])
            self.stdout.write(json.dumps(wanted, indent=2, allow_nan=False))
        elif kind == "csv":
            self.stdout.write(as_csv(found.get(name, []), TABLES[name]), ending="")
        else:
            self.stdout.write(as_latex(found["rates"]), ending="")


