"""One generator a table. A column leaves only because it is named here; masked columns stay, as missing values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, QuerySet, Value
from django.db.models.functions import MD5, Cast, Concat

from annotations import blinding
from annotations.models import Comparison, Judgment, Preference
from inference.models import Generation
from studyapp.models import Event, Participant, Study
from studyapp.services import checks

CHUNK = 2000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What an export may show: `blinded` hides arms, `text` includes prompts, texts and reasons."""

    blinded: bool
    text: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A column: how to read it from a row, and when it is masked."""

    name: str
    read: Callable[[Any], Any]
    arm: bool = False  # speaks of an arm, a model or a side: masked until unblinding
    text: bool = False  # free text or personal text: only when asked for by name
    shown: bool = False  # a judged text: where one text serves many people, seeing it twice would tell its arm


@dataclass(frozen=True, slots=True)
class Table:
    """A named table: its columns in order, and its rows from one query."""

    name: str
    columns: tuple[Column, ...]
    query: Callable[[Study], QuerySet[Any]]

    @property
    def header(self) -> list[str]:
        """Column names, always all of them, in fixed order."""
        return [column.name for column in self.columns]

    def rows(self, study: Study, options: Options) -> Iterator[Row]:
        """Stream the rows from a server-side cursor."""
        shared = any(arm.samples == "shared" for arm in study.spec.arms.values())
        hidden = {
            c.name
            for c in self.columns
            if (options.blinded and (c.arm or (c.shown and shared))) or (c.text and not options.text)
        }
        shown = [column for column in self.columns if column.name not in hidden]
        empty: Row = dict.fromkeys(self.header)
        for record in self.query(study).iterator(chunk_size=CHUNK):
            yield {**empty, **{column.name: column.read(record) for column in shown}}


def attribute(name: str, path: str = "", *, arm: bool = False, text: bool = False) -> Column:
    """A column read from an attribute path such as ``question.key``; None on the way gives None."""
    steps = (path or name).split(".")

    def read(record: Any) -> Any:
        for step in steps:
            record = getattr(record, step, None)
            if record is None:
                return None
        return record

    return Column(name, read, arm, text)


def _people(study: Study) -> QuerySet[Any]:
    """Everybody but the withdrawn, who are gone from every export."""
    withdrawn = Participant.State.WITHDRAWN
    return Participant.objects.filter(study=study).exclude(state=withdrawn).select_related("seat").order_by("id")


def _preferences(study: Study) -> QuerySet[Any]:
    related = ("participant", "question", "first", "second", "repeat_of")
    return Preference.objects.filter(participant__study=study).select_related(*related).order_by("id")


def _generations(study: Study) -> QuerySet[Any]:
    rows = Generation.objects.filter(study=study).select_related("owner", "question")
    if study.is_unblinded:
        return rows.order_by("id")
    # Stock is asked for before personal texts: before unblinding the order must not say which row is which.
    return rows.order_by(MD5(Concat(Value(study.seat_salt), Cast("id", CharField()))))


def _comparisons(study: Study) -> QuerySet[Any]:
    related = ("participant", "question", "seat", "repeat_of", "generation_a", "generation_b")
    return (
        Comparison.objects.filter(participant__study=study)
        .select_related(*related, "candidate_a", "candidate_b")
        .order_by("id")
    )


def _judgments(study: Study) -> QuerySet[Any]:
    return (
        Judgment.objects.filter(participant__study=study)
        .select_related("participant", "comparison__question")
        .order_by("id")
    )


def _events(study: Study) -> QuerySet[Any]:
    withdrawn = Participant.State.WITHDRAWN
    rows = Event.objects.filter(study=study).exclude(participant__state=withdrawn)
    return rows.select_related("participant").order_by("id")


def _side(first: bool) -> Column:
    """The text shown first or second."""

    def read(row: Comparison) -> str | None:
        view = blinding.blind(row)
        return None if view is None else (view.first if first else view.second)

    return Column("first_text" if first else "second_text", read, text=True, shown=True)


def _outcome(row: Judgment) -> str:
    score = blinding.unblind(row.comparison, row.choice).score
    return {1.0: "win", 0.5: "tie", 0.0: "loss"}[score]


PARTICIPANTS = Table(
    "participants",
    (
        attribute("participant", "code"),
        attribute("simulated"),
        attribute("state"),
        attribute("state_before"),
        attribute("panel"),
        attribute("device"),
        attribute("seat", "seat.number"),
        *(
            attribute(name)
            for name in (
                "enrolled_at", "consented_at", "eliciting_at", "shots_done_at", "waiting_at", "judging_at", "judged_at",
                "debriefed_at", "ended_at", "waited_ms", "breaks_taken", "consent_hash",
            )
        ),
    ),
    _people,
)  # fmt: skip

PREFERENCES = Table(
    "preferences",
    (
        attribute("participant", "participant.code"),
        attribute("simulated", "participant.simulated"),
        attribute("position"),
        attribute("role"),
        attribute("question", "question.key"),
        attribute("domain", "question.domain"),
        attribute("first_candidate", "first.key"),
        attribute("second_candidate", "second.key"),
        attribute("choice"),
        attribute("preferred", "preferred.key"),
        attribute("dispreferred", "dispreferred.key"),
        attribute("repeat_of", "repeat_of.position"),
        attribute("presented_at"),
        attribute("decided_at"),
        attribute("page_ms"),
    ),
    _preferences,
)

GENERATIONS = Table(
    "generations",
    (
        attribute("generation", "id", arm=True),
        attribute("participant", "owner.code", arm=True),
        attribute("arm", arm=True),
        attribute("question", "question.key", arm=True),
        attribute("purpose"),
        attribute("replicate", arm=True),
        attribute("context_hash", arm=True),
        attribute("state"),
        attribute("tries"),
        attribute("error", arm=True),
        *(
            attribute(name, arm=True)
            for name in (
                "queued_at", "started_at", "finished_at", "model_key", "engine", "model_digest", "tokenizer_digest",
                "versions", "device", "seed", "finish_reason", "shots_used", "shots_dropped", "prompt_tokens",
                "completion_tokens", "cached_tokens", "words", "flags",
            )
        ),
        Column("sampling", lambda row: row.request.get("sampling"), arm=True),
        attribute("prompt", arm=True, text=True),
        attribute("raw_text", arm=True, text=True),
        attribute("text", arm=True, text=True),
    ),
    _generations,
)  # fmt: skip

COMPARISONS = Table(
    "comparisons",
    (
        attribute("comparison", "opaque_id"),
        attribute("participant", "participant.code"),
        attribute("simulated", "participant.simulated"),
        attribute("seat", "seat.number"),
        attribute("position"),
        attribute("kind"),
        attribute("question", "question.key"),
        attribute("domain", "question.domain"),
        attribute("state"),
        attribute("void_reason"),
        attribute("repeat_of", "repeat_of.opaque_id"),
        attribute("arm_a", arm=True),
        attribute("arm_b", arm=True),
        attribute("a_is_first", arm=True),
        attribute("generation_a", "generation_a_id", arm=True),
        attribute("generation_b", "generation_b_id", arm=True),
        attribute("words_a", "generation_a.words", arm=True),
        attribute("words_b", "generation_b.words", arm=True),
        attribute("flags_a", "generation_a.flags", arm=True),
        attribute("flags_b", "generation_b.flags", arm=True),
        attribute("presented_at"),
        attribute("judged_at"),
        attribute("voided_at"),
        attribute("ready_at", arm=True),
        attribute("waited_ms", arm=True),
        _side(first=True),
        _side(first=False),
    ),
    _comparisons,
)

JUDGMENTS = Table(
    "judgments",
    (
        attribute("comparison", "comparison.opaque_id"),
        attribute("participant", "participant.code"),
        attribute("simulated", "participant.simulated"),
        attribute("position", "comparison.position"),
        attribute("kind", "comparison.kind"),
        attribute("question", "comparison.question.key"),
        attribute("domain", "comparison.question.domain"),
        attribute("choice"),
        attribute("strength"),
        Column("attention_passed", checks.passed),
        attribute("page_ms"),
        attribute("server_ms"),
        attribute("input"),
        attribute("created_at"),
        attribute("arm_a", "comparison.arm_a", arm=True),
        attribute("arm_b", "comparison.arm_b", arm=True),
        attribute("a_is_first", "comparison.a_is_first", arm=True),
        Column("outcome_a", _outcome, arm=True),
        attribute("reason", text=True),
    ),
    _judgments,
)

EVENTS = Table(
    "events",
    (
        attribute("event", "id"),
        attribute("at"),
        attribute("kind"),
        attribute("participant", "participant.code"),
        attribute("actor", "actor_id"),
        attribute("data"),
    ),
    _events,
)

TABLES = (PARTICIPANTS, PREFERENCES, GENERATIONS, COMPARISONS, JUDGMENTS, EVENTS)
