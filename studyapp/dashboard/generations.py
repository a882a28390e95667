"""Texts and their attempts: state, need and errors; everything that tells arms apart only after unblinding."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from unfold.decorators import action, display

from inference.models import Attempt, Generation, Need
from studyapp.dashboard import asking
from studyapp.dashboard.asking import Question, Refused
from studyapp.dashboard.masking import scrub, unless_blind
from studyapp.dashboard.readonly import ReadOnlyAdmin, ReadOnlyInline
from studyapp.dashboard.studies import RETRY, retry
from studyapp.models import Study

State = Generation.State
STATE_LABELS = {
    State.RUNNING.value: "info",
    State.READY.value: "success",
    State.FAILED.value: "danger",
    State.QUEUED.value: "warning",
}
LONG_COLUMNS = ("request", "prompt", "raw_text", "text", "study__protocol", "study__documents")
ALWAYS = ("study", "state", "need", "purpose", "tries", "trouble")
RECORD = (
    "arm", "model_key", "adapter", "owner", "question", "replicate", "position", "shots_used", "shots_dropped", "words",
    "flag_list", "finish_reason", "seed", "prompt_tokens", "completion_tokens", "cached_tokens", "engine", "device",
    "model_digest", "tokenizer_digest", "adapter_digest", "abilities", "library_versions", "context_hash", "queued_at",
    "started_at", "finished_at",
)  # fmt: skip
WORDS = ("prompt", "text")


class AttemptInline(ReadOnlyInline):
    """Every try of a text, with its typed outcome."""

    model = Attempt
    verbose_name_plural = "attempts"
    ordering = ("number",)
    hide_title = True

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Times, workers and seeds would say whose text it is: only after unblinding."""
        fields: tuple[str, ...] = ("number", "outcome", "what_happened")
        if obj is not None and obj.study.is_unblinded:
            fields += ("worker", "seed", "words", "started_at", "finished_at")
        return fields

    get_readonly_fields = get_fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Attempt]:
        """With the study, which decides what is masked."""
        long = ("raw_text", *(f"generation__{name}" for name in LONG_COLUMNS))
        return super().get_queryset(request).select_related("generation__study").defer(*long)

    @display(description="What happened")
    def what_happened(self, attempt: Attempt) -> str:
        """The error's words, scrubbed before unblinding."""
        return scrub(attempt.generation.study, attempt.detail) or "–"


class GenerationAdmin(ReadOnlyAdmin):
    """Texts. Before unblinding a row says how the work goes, never for whom, about what or by which model."""

    list_display = ("name", "study", "state_label", "need_name", "purpose", "tries", "trouble")
    list_filter = ("study", "state", "need", "purpose")
    ordering = ("-id",)
    inlines = (AttemptInline,)
    actions = ("retry_selected",)
    actions_detail = ("retry_one",)

    def get_list_display(self, request: HttpRequest) -> tuple[str, ...]:
        """Arm, model, question and person join the list once some study is unblinded."""
        shown = tuple(super().get_list_display(request))
        some = Study.objects.filter(unblinded_at__isnull=False).exists()
        return (*shown, "arm_name", "model_name", "question_key", "owner_code") if some else shown

    def get_queryset(self, request: HttpRequest) -> QuerySet[Generation]:
        """A list needs none of the long columns."""
        rows = super().get_queryset(request).select_related("study", "owner", "question")
        match = request.resolver_match
        on_list = match is not None and match.url_name == "inference_generation_changelist"
        return (
            rows.defer(*LONG_COLUMNS, "owner__study") if on_list else rows.defer("study__protocol", "study__documents")
        )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """The record and the words themselves follow unblinding."""
        if obj is None or not obj.study.is_unblinded:
            note = "Arm, model, prompt, text, person, question and times are masked until the study is unblinded."
            return [(None, {"fields": ALWAYS, "description": note})]
        return [
            (None, {"fields": ALWAYS}),
            ("Record", {"fields": RECORD}),
            ("Prompt and text", {"fields": WORDS, "classes": ["collapse"]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """All of them."""
        return tuple(name for _, options in self.get_fieldsets(request, obj) for name in options["fields"])

    @display(description="Text")
    def name(self, row: Generation) -> str:
        """A number of the ledger; it says nothing about a pair."""
        return f"#{row.pk}"

    @display(description="State", label=STATE_LABELS)
    def state_label(self, row: Generation) -> str:
        """A badge."""
        return row.state

    @display(description="Need")
    def need_name(self, row: Generation) -> str:
        """The need in one word."""
        return Need(row.need).name.lower()

    @display(description="Last error")
    def trouble(self, row: Generation) -> str:
        """The last error's words, scrubbed before unblinding."""
        return scrub(row.study, row.error) or "–"

    @display(description="Arm")
    def arm_name(self, row: Generation) -> str:
        """Masked before unblinding."""
        return unless_blind(row.study, row.arm)

    @display(description="Model")
    def model_name(self, row: Generation) -> str:
        """Masked before unblinding."""
        return unless_blind(row.study, row.model_key)

    @display(description="Question")
    def question_key(self, row: Generation) -> str:
        """Masked before unblinding."""
        return unless_blind(row.study, row.question.key)

    @display(description="Participant")
    def owner_code(self, row: Generation) -> str:
        """Masked before unblinding."""
        return unless_blind(row.study, row.owner.code if row.owner else "–")

    @display(description="Flags")
    def flag_list(self, row: Generation) -> str:
        """Leaks and window misses."""
        return ", ".join(map(str, row.flags)) or "none"

    @display(description="Versions")
    def library_versions(self, row: Generation) -> str:
        """Libraries of the worker."""
        return json.dumps(row.versions, sort_keys=True)

    # --- asking again ------------------------------------------------------------------------------------------------
    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask again."""
        return request.user.has_perm(RETRY)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only a failed text can be asked for again."""
        failed = str(object_id).isdigit() and Generation.objects.filter(pk=object_id, state=State.FAILED).exists()
        return super().get_actions_detail(request, object_id) if failed else []

    @action(description="Retry", url_path="retry", icon="refresh", permissions=["retry"])
    def retry_one(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """One failed text goes back into the queue."""
        row = self.must_find(request, object_id, RETRY)
        lines = ("It goes back into the queue with a fresh budget of tries. Its attempts stay on record.",)

        def act(values: dict[str, Any]) -> str:
            retry(row.study, [row.pk], request.user)
            self.log_change(request, row, "Asked again.")
            return "The text is back in the queue."

        return asking.ask(self, request, row, Question("Ask again for this text?", lines, "Ask again"), act)

    @admin.action(description="Retry failed texts", permissions=["retry"])
    def retry_selected(self, request: HttpRequest, rows: QuerySet[Generation]) -> None:
        """The failed ones of the selected texts go back into the queue."""
        groups: dict[int, list[int]] = defaultdict(list)
        for study_id, pk in rows.filter(state=State.FAILED).order_by("pk").values_list("study_id", "pk"):
            groups[study_id].append(pk)
        number = 0
        for study in Study.objects.filter(pk__in=groups):
            try:
                number += retry(study, groups[study.pk], request.user)
            except Refused:
                continue
        if number:
            messages.success(request, f"{number} texts are back in the queue.")
        else:
            messages.warning(request, "None of the selected texts is failed: there is nothing to ask again.")


def register() -> None:
    """Put the table on the site."""
    admin.site.register(Generation, GenerationAdmin)
