"""Judgments: that they were made, when and how surely; what they say about arms only after unblinding."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from annotations import blinding
from annotations.models import Comparison, Judgment
from studyapp.dashboard.masking import MASKED
from studyapp.dashboard.readonly import ReadOnlyAdmin, time_column
from studyapp.models import Study

OUTCOMES = {1.0: "win", 0.5: "tie", 0.0: "loss"}
OPEN = ("pair", "study", "participant", "position", "kind", "question", "choice", "strength")
TIMINGS = ("page_ms", "server_ms", "input", "created_at")
SIDES = ("arm_a", "arm_b", "side_of_a", "outcome_of_a")
LONG_COLUMNS = (
    "reason", "participant__study__protocol", "participant__study__documents", "comparison__question__text",
)  # fmt: skip


class JudgmentAdmin(ReadOnlyAdmin):
    """What a blinded export shows, column for column: first or second, never whose text that was, never the reason."""

    list_display = (*OPEN, "made")
    list_filter = ("participant__study", "comparison__kind")
    search_fields = ("participant__code",)
    search_help_text = "A participant's code."
    ordering = ("-id",)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Arms and outcomes join the list once some study is unblinded."""
        some = Study.objects.filter(unblinded_at__isnull=False).exists()
        return (*OPEN, *SIDES, "made") if some else (*OPEN, "made")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Judgment]:
        """With what the columns read; the reason stays in the database."""
        related = ("participant__study", "comparison__question")
        return super().get_queryset(request).select_related(*related).defer(*LONG_COLUMNS)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Sides and outcomes follow unblinding. Reasons are free text: they leave by export, asked for by name."""
        if obj is None or not obj.participant.study.is_unblinded:
            note = "Arms, sides and outcomes are masked until the study is unblinded."
            return [(None, {"fields": OPEN, "description": note}), ("Times", {"fields": TIMINGS})]
        return [(None, {"fields": OPEN}), ("Arms", {"fields": SIDES}), ("Times", {"fields": TIMINGS})]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them."""
        return tuple(name for _, options in self.get_fieldsets(request, obj) for name in options["fields"])

    made = time_column("created_at", "Made")

    @display(description="Pair")
    def pair(self, row: Judgment) -> str:
        """The pair's opaque id."""
        return row.comparison.opaque_id

    @display(description="Study")
    def study(self, row: Judgment) -> str:
        """Which study."""
        return str(row.participant.study)

    @display(description="Position")
    def position(self, row: Judgment) -> int:
        """Planned order of presentation."""
        return row.comparison.position

    @display(description="Kind")
    def kind(self, row: Judgment) -> str:
        """A main pair or a control."""
        return row.comparison.kind

    @display(description="Question")
    def question(self, row: Judgment) -> str:
        """The question's key in the bank."""
        return row.comparison.question.key

    def _unblinded(self, row: Judgment) -> blinding.Unblinded | None:
        return blinding.unblind(row.comparison, row.choice) if row.participant.study.is_unblinded else None

    @display(description="Arm a")
    def arm_a(self, row: Judgment) -> str:
        """Masked before unblinding."""
        seen = self._unblinded(row)
        return (seen.arm_a or "–") if seen else MASKED

    @display(description="Arm b")
    def arm_b(self, row: Judgment) -> str:
        """Masked before unblinding."""
        seen = self._unblinded(row)
        return (seen.arm_b or "–") if seen else MASKED

    @display(description="a was")
    def side_of_a(self, row: Judgment) -> str:
        """Masked before unblinding."""
        return str(blinding.side_of_a(row.comparison)) if self._unblinded(row) else MASKED

    @display(description="Outcome of a")
    def outcome_of_a(self, row: Judgment) -> str:
        """Masked before unblinding; controls have arms alike or none."""
        seen = self._unblinded(row)
        if seen is None:
            return MASKED
        return OUTCOMES[seen.score] if row.comparison.kind == Comparison.Kind.ARMS else "–"


def register() -> None:
    """Put the table on the site."""
    admin.site.register(Judgment, JudgmentAdmin)
