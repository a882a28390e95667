"""Labelled preferences as training data: TRL's explicit-prompt form, and rows grouped by person for FSPO.

Reuse is another purpose than the study's own: these files are written only where the consent page's protocol says what
the data may be reused for (`[privacy] reuse`), and only of people who agreed to that very consent text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from django.db.models import Count, QuerySet

from annotations.models import Preference
from studyapp.exports.columns import Column, Columns, Options, Table, chosen
from studyapp.exports.formats import write_jsonl, write_parquet
from studyapp.models import Participant, Study

TRL, FSPO = "training/preferences_trl.jsonl", "training/preferences_fspo.parquet"
NO_REUSE = "the protocol's [privacy] reuse is empty: nobody was told of another use of their choices"


def refusal(study: Study) -> str | None:
    """Why no training data may be written; None where they may."""
    return None if (study.spec.privacy.reuse or "").strip() else NO_REUSE


def consenting(study: Study) -> QuerySet[Participant]:
    """Who agreed to the consent text that names the reuse, and did not withdraw."""
    agreed = hashlib.sha256(study.documents.get("consent", "").encode()).hexdigest()
    people = Participant.objects.filter(study=study, consented_at__isnull=False, consent_hash=agreed)
    return people.exclude(state=Participant.State.WITHDRAWN)


def _labelled(study: Study) -> QuerySet[Any]:
    """Choices that stand for themselves: a repeat says the same again, or not."""
    rows = Preference.objects.filter(participant__in=consenting(study), choice__isnull=False)
    return rows.exclude(role=Preference.Role.REPEAT).order_by("participant_id", "position")


def _grouped(study: Study) -> QuerySet[Any]:
    """Of people with at least two choices: one to predict, one for the context."""
    rows = _labelled(study)
    enough = rows.order_by().values("participant").annotate(n=Count("id")).filter(n__gte=2).values("participant")
    return rows.filter(participant__in=enough)


label = Columns(Preference)
_chosen = Column("chosen", "text", "The answer that the person chose.", chosen("first__text", "second__text"))
_rejected = Column("rejected", "text", "The other answer.", chosen("second__text", "first__text"))
TRL_ROWS = Table(
    "preferences_trl",
    "One labelled pair a line, as TRL's preference datasets with an explicit prompt.",
    (
        label("prompt", "question__text", "The question."),
        _chosen,
        _rejected,
        label("participant", "participant__code", "Code of the person."),
        label("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        label("role", meaning="shot or probe."),
    ),
    _labelled,
)
FSPO_ROWS = Table(
    "preferences_fspo",
    "One labelled pair a row, a person's rows together and in their order: what `inference.training` reads.",
    (
        label("user", "participant__code", "Code of the person."),
        label("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        label("domain", "question__domain", "The question's domain."),
        label("role", meaning="shot or probe."),
        label("position", meaning="Order of presentation, from 1."),
        label("question", "question__text", "The question."),
        replace(_chosen, name="preferred"),
        replace(_rejected, name="dispreferred"),
    ),
    _grouped,
)
WRITTEN: tuple[tuple[str, Table, Callable[..., int]], ...] = (
    (TRL, TRL_ROWS, write_jsonl),
    (FSPO, FSPO_ROWS, write_parquet),
)


def write(study: Study, place: Path, options: Options) -> Iterator[tuple[Path, int]]:
    """Write both files below `place`; yields path and rows. Nothing where `refusal` says so."""
    if refusal(study):
        return
    for name, table, writer in WRITTEN:
        path = place / name
        path.parent.mkdir(exist_ok=True)
        yield path, writer(path, table.columns, table.batches(study, options))
