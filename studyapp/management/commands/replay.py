"""manage.py replay ID... | --study SLUG --sample N: make stored texts again and compare."""

from __future__ import annotations

import json
import random
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference.contracts import InferenceError, ModelSpec
from inference.engines import load_engine
from inference.models import Generation
from inference.replay import BATCH, Replayed, replay
from studyapp.services import studies


class Command(BaseCommand):
    """Exit status 0 when every text came out the same, 1 when one did not, 2 for wrong usage."""

    help = "Make stored texts again from their requests and seeds; same, or different from which token on."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("ids", metavar="ID", nargs="*", type=int, help="generations, by their numbers in the admin")
        parser.add_argument("--study", metavar="SLUG", help="take a sample of this study's texts instead")
        parser.add_argument("--sample", metavar="N", type=int, default=20, help="texts of the sample (default 20)")
        parser.add_argument("--seed", metavar="S", type=int, default=0, help="another sample (default 0)")
        parser.add_argument("--alone", action="store_true", help="one text at a time, not in batches of 16")
        parser.add_argument("--json", action="store_true", help="one JSON object a line")

    def handle(self, *args: Any, ids: list[int], study: str | None, **options: Any) -> None:
        if bool(ids) == bool(study) or options["sample"] < 1:
            raise CommandError("give the numbers of generations, or --study SLUG with --sample N", returncode=2)
        rows = sampled(study, options["sample"], options["seed"]) if study else named(ids)
        verdicts: dict[str, int] = {}
        for one in replayed(rows, batch=1 if options["alone"] else BATCH):
            verdicts[one.verdict] = verdicts.get(one.verdict, 0) + 1
            self.stdout.write(json.dumps(asdict(one)) if options["json"] else told(one))
        if not options["json"]:
            self.stdout.write(", ".join(f"{count} {verdict}" for verdict, count in verdicts.items()))
        if set(verdicts) != {"same"}:
            sys.exit(1)


def named(ids: list[int]) -> list[Generation]:
    """The generations with these numbers; CommandError names those that are not there."""
    rows = {row.pk: row for row in Generation.objects.filter(pk__in=ids)}
    if missing := sorted(set(ids).difference(rows)):
        numbers = ", ".join(map(str, missing))
        raise CommandError(f"there is no generation {numbers}; numbers are in the admin and in exports", returncode=2)
    return [rows[pk] for pk in dict.fromkeys(ids)]


def sampled(slug: str, size: int, seed: int) -> list[Generation]:
    """A sample of a study's texts that are there; the same for the same seed and texts."""
    try:
        study = studies.find(slug)
    except studies.StudyError as error:
        raise CommandError(str(error), returncode=2) from error
    there = Generation.objects.filter(study=study, state=Generation.State.READY).order_by("pk")
    ids = list(there.values_list("pk", flat=True))
    if not ids:
        raise CommandError(f"{study} has no texts yet: open it, or wait for its workers", returncode=2)
    return list(Generation.objects.filter(pk__in=random.Random(seed).sample(ids, min(size, len(ids)))).order_by("pk"))


def replayed(rows: list[Generation], *, batch: int) -> Iterator[Replayed]:
    """Verdicts, a base model after another, so that each is loaded once."""
    for _, group in groupby(sorted(rows, key=lambda row: (row.model_key, row.pk)), key=lambda row: row.model_key):
        some = list(group)
        spec = ModelSpec(**some[0].request["model"])
        try:
            engine = load_engine(spec, bundled_root=settings.BUNDLED_MODELS)
        except InferenceError as error:
            yield from (Replayed(row.pk, "impossible", notes=(str(error),)) for row in some)
        else:
            yield from replay(engine, some, batch=batch)


def told(one: Replayed) -> str:
    """A verdict as a line, with its notes below."""
    lines = [f"{one.generation_id}: {one.verdict}"]
    if one.token is not None:
        lines[0] += f" from token {one.token} on: was {one.was!r}, is {one.now!r}"
    return "\n".join([*lines, *(f"    {note}" for note in one.notes)])
