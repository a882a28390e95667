"""manage.py power SLUG_OR_PATH ... or power --participants 50 100 --items 6 --win-rate 0.56 0.6 --icc 0.1 0.3 ..."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from tqdm import tqdm

from annotations.figures import power_curves, save
from annotations.figures.style import FigureError, require_format
from annotations.winrate.power import POWER_COLUMNS, Design, DesignError, Power, power
from annotations.winrate.tabular import as_text
from studyapp.protocol import Loaded, budget, load_folder
from studyapp.protocol.estimate import USUAL_SPEED
from studyapp.services import studies
from studyapp.services.errors import StudyError

WIN_RATES, ICCS, PARTICIPANTS, QUESTION_ICC = (0.55, 0.6, 0.65), (0.1, 0.3), (25, 50, 100, 200), 0.05


class Command(BaseCommand):
    """Exit 0 fine, 1 problems found, 2 wrong usage."""

    help = "Simulate what a design can see: power and interval width, minutes and pay. No data are touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("study", metavar="SLUG_OR_PATH", nargs="?", help="take items, questions, pay from a study")
        parser.add_argument("--participants", type=int, nargs="+", metavar="N")
        parser.add_argument("--items", type=int, nargs="+", metavar="N", help="judged pairs of the comparison a person")
        parser.add_argument("--win-rate", type=float, nargs="+", metavar="P", help=f"default {WIN_RATES}")
        parser.add_argument("--icc", type=float, nargs="+", metavar="R", help=f"by person, default {ICCS}")
        parser.add_argument("--questions", type=int, metavar="N", help="size of the bank that all share")
        asked = f"by question (swap: by pair of texts), default {QUESTION_ICC}"
        parser.add_argument("--question-icc", type=float, metavar="R", help=asked)
        parser.add_argument("--swap", action="store_true", help="dyads judge each other's texts")
        parser.add_argument("--alpha", type=float, metavar="A", help="two-sided level, default 0.05 or the protocol's")
        parser.add_argument("--repetitions", type=int, default=2000, metavar="N")
        parser.add_argument("--seed", type=int, default=20)
        parser.add_argument("--figure", type=Path, metavar="FILE", help="power curves as .svg, .pdf or .png")
        parser.add_argument("--json", action="store_true", help="machine-readable output")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["study"] and not (options["participants"] and options["items"]):
            raise CommandError("Give SLUG_OR_PATH, or --participants and --items.", returncode=2)
        if options["repetitions"] < 100 or not 0 < (options["alpha"] or 0.05) < 0.5:
            raise CommandError("Give 100 repetitions or more and an alpha between 0 and 0.5.", returncode=2)
        try:
            if options["figure"]:
                require_format(options["figure"])
            rows = self._rows(options)
            self._draw(rows, options["figure"])
        except (StudyError, DesignError, FigureError) as error:
            self.stderr.write(self.style.ERROR(str(error)))
            sys.exit(1)
        if options["json"]:
            self.stdout.write(json.dumps([row.to_json() for row in rows], indent=2))
        else:
            self.stdout.write(as_text([row.to_json() for row in rows], POWER_COLUMNS))
            self.stdout.write("power: share of studies whose headline p is under alpha; width: of its interval")

    def _draw(self, rows: list[Power], path: Path | None) -> None:
        if path and (chart := power_curves(rows)):
            self.stderr.write(f"Drawn: {save(chart, path)}")

    def _rows(self, options: dict[str, Any]) -> list[Power]:
        loaded = self._declared(options)
        designs = list(_designs(options))
        alpha = options["alpha"] or 0.05
        bar = tqdm(designs, desc="designs", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False)
        rows = [power(one, alpha=alpha, repetitions=options["repetitions"], seed=options["seed"]) for one in bar]
        return [_priced(row, loaded) for row in rows] if loaded else rows

    def _declared(self, options: dict[str, Any]) -> Loaded | None:
        """Fill what is not given from the study, of its first primary comparison; the folder for minutes and pay."""
        if not options["study"]:
            return None
        loaded = _folder(options["study"])
        protocol = loaded.protocol
        assert protocol is not None
        named = {comparison.name: comparison for comparison in protocol.comparisons}
        comparison = named[protocol.primary[0]] if protocol.primary else protocol.comparisons[0]
        seats = (protocol.target_participants or protocol.max_enrolled,) if protocol.seats else PARTICIPANTS
        options["participants"] = options["participants"] or list(seats)
        options["items"] = options["items"] or [comparison.items]
        options["questions"] = options["questions"] or sum(row.use == "judge" for row in loaded.questions)
        options["swap"] = options["swap"] or comparison.kind == "swap"
        options["alpha"] = options["alpha"] or protocol.analysis.alpha
        if protocol.analysis.sesoi and not options["win_rate"]:
            options["win_rate"] = [protocol.analysis.sesoi]
        return loaded


def _folder(name: str) -> Loaded:
    """A study folder, or that of a loaded study."""
    path = Path(name)
    if not (path / "study.toml").exists():
        path = Path(studies.find(name).folder)
    loaded = load_folder(path)
    if loaded.protocol is None:
        raise StudyError(f"{path} has no sound study.toml: manage.py study check {path}")
    return loaded


def _designs(options: dict[str, Any]) -> list[Design]:
    shared = options["questions"]
    asked = options["question_icc"]
    spread = asked if asked is not None else QUESTION_ICC if shared or options["swap"] else 0.0
    return [
        Design(
            participants=people,
            items=items,
            win_rate=rate,
            icc=icc,
            questions=shared,
            question_icc=spread,
            dyads=options["swap"],
        )
        for people, items, rate, icc in product(
            options["participants"], options["items"], options["win_rate"] or WIN_RATES, options["icc"] or ICCS
        )
    ]


def _priced(row: Power, loaded: Loaded) -> Power:
    cost = budget(loaded)
    pay = None if cost.amount is None else round(cost.amount * row.participants, 2)
    return replace(row, minutes=cost.minutes[USUAL_SPEED], pay=pay, currency=cost.currency or None)
