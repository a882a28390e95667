"""What an archive is made of: every table with rows of a study, in the order in which they can be restored."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import Field, ForeignKey, Model, QuerySet

from annotations.models import Comparison, Judgment, Preference
from inference.models import Attempt, Generation, Score
from studyapp.models import Candidate, Event, Exclusion, Identity, Invite, Participant, Question, Seat, Study

KIND, SCHEMA_VERSION = "palate-archive", 1
MANIFEST, WIN_RATES, README = "manifest.json", "win_rates.csv", "README.md"
STUDY, ACTORS, IDENTITIES = "study", "actors", "identities"


@dataclass(frozen=True, slots=True)
class Part:
    """A model's rows: `to_study`, the path from a row to its study; `blanked`, columns that do not leave the server."""

    name: str
    model: type[Model]
    to_study: str
    blanked: dict[str, Any] = field(default_factory=dict)

    @property
    def member(self) -> str:
        """Its file in the archive."""
        return f"rows/{self.name}.jsonl"

    @property
    def fields(self) -> list[Field[Any, Any]]:
        """The model's stored fields, in order."""
        return list(self.model._meta.concrete_fields)

    @property
    def columns(self) -> list[str]:
        """Names of the database's columns, in order."""
        return [str(stored.column) for stored in self.fields]

    @property
    def foreign(self) -> dict[str, str]:
        """The part (or the staff accounts) that a column's numbers must be in, by column."""
        owners = {part.model: part.name for part in PARTS}
        found = {}
        for stored in self.fields:
            if isinstance(stored, ForeignKey):
                staff = stored.related_model._meta.label == settings.AUTH_USER_MODEL
                found[str(stored.column)] = ACTORS if staff else owners[stored.related_model]
        return found

    def rows(self, study: Study) -> QuerySet[Any]:
        """The study's rows in the order of their numbers."""
        return self.model._default_manager.filter(**{self.to_study: study.pk}).order_by("pk")


PARTS: tuple[Part, ...] = (
    # The key of the panel hashes is destroyed by archiving; where the folder lay is nobody's business.
    Part(STUDY, Study, "pk", {"panel_secret": "", "folder": ""}),
    Part("questions", Question, "study"),
    Part("candidates", Candidate, "question__study"),
    Part("seats", Seat, "study"),
    Part("participants", Participant, "study", {"panel_key": None}),
    Part(IDENTITIES, Identity, "participant__study"),
    Part("invites", Invite, "study"),
    Part("preferences", Preference, "participant__study"),
    Part("generations", Generation, "study"),
    Part("attempts", Attempt, "generation__study"),
    Part("scores", Score, "study"),
    Part("comparisons", Comparison, "participant__study"),
    Part("judgments", Judgment, "participant__study"),
    Part("exclusions", Exclusion, "study"),
    Part("events", Event, "study"),
)
