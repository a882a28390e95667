"""Studies: the list, the live page, and the arrows between states."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.views import ChangeList

from inference import queue
from inference.models import Generation
from studyapp.dashboard import asking, counts, exports, facts, results
from studyapp.dashboard.asking import Question, ReasonForm, Refused
from studyapp.dashboard.readonly import ReadOnlyAdmin, time_column
from studyapp.models import Event, Participant, Seat, Study
from studyapp.services import studies
from studyapp.services.events import log

VIEW, CHANGE = "studyapp.view_study", "studyapp.change_study"
RETRY = "inference.change_generation"
State = Study.State
STATE_LABELS = {
    State.PILOT.value: "info",
    State.OPEN.value: "success",
    State.PAUSED.value: "warning",
    State.CLOSED.value: "danger",
    State.UNBLINDED.value: "primary",
}
# Which arrows a study's page offers; the services decide whether they may be gone.
OFFERED = {
    State.DRAFT: {"open_action"},
    State.PILOT: {"open_action", "close_action", "end_action"},
    State.OPEN: {"pause_action", "close_action", "end_action"},
    State.PAUSED: {"open_action", "close_action", "end_action"},
    State.CLOSED: {"end_action", "unblind_action"},
}
HOW_TO_LOAD = (
    "Studies are loaded from a folder on the server: manage.py study check studies/NAME shows every problem at once, "
    "manage.py study load studies/NAME brings it here."
)


class StudyList(ChangeList):
    """The list with the counts of its page: two queries, however many studies."""

    result_list: Any

    def get_results(self, request: HttpRequest) -> None:
        """Attach people and texts by state to the rows of this page."""
        super().get_results(request)
        ids = [study.pk for study in self.result_list]
        people, texts = counts.by_study(Participant, ids), counts.by_study(Generation, ids)
        self.result_list = list(self.result_list)
        for study in self.result_list:
            study.people, study.texts = people[study.pk], texts[study.pk]


def _tally(numbers: Any) -> str:
    return " · ".join(f"{n} {state.replace('_', ' ')}" for state, n in sorted(numbers.items(), key=lambda i: -i[1]))


class StudyAdmin(ReadOnlyAdmin):
    """Studies of every version. Everything a page says holds before unblinding too: counts, never outcomes."""

    list_display = ("name", "title", "state_label", "people_by_state", "texts_by_state", "opened", "closed")
    list_filter = ("state",)
    search_fields = ("slug", "title")
    ordering = ("slug", "-version")
    change_form_template = "admin/palate/study.html"
    list_before_template = "admin/palate/how_to_load.html"
    actions_detail = (
        "results_action", "open_action", "pause_action", "close_action", "end_action", "unblind_action", "retry_action",
        "export_action",
    )  # fmt: skip
    actions_detail_hide_default = False

    opened = time_column("opened_at", "Opened")
    closed = time_column("closed_at", "Closed")

    @display(description="Study")
    def name(self, study: Study) -> str:
        """SLUG@VERSION, as commands take it."""
        return str(study)

    @display(description="State", label=STATE_LABELS)
    def state_label(self, study: Study) -> str:
        """A badge."""
        return study.state

    @display(description="People")
    def people_by_state(self, study: Any) -> str:
        """Numbers by state, most first."""
        return _tally(study.people) or "nobody yet"

    @display(description="Texts")
    def texts_by_state(self, study: Any) -> str:
        """Numbers by state, most first."""
        return _tally(study.texts) or "none yet"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Study]:
        """Without the long columns."""
        return super().get_queryset(request).defer("protocol", "documents")

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """The study of a page, read once a request."""
        kept = getattr(request, "palate_study", None)
        if kept is None or str(kept.pk) != str(object_id):
            kept = super().get_object(request, object_id, from_field)
            request.palate_study = kept  # type: ignore[attr-defined]
        return kept

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that counts."""
        return StudyList

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The page is a template of its own; Django's form would only repeat columns."""
        return []

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        """The list, and how studies come into it."""
        return super().changelist_view(request, {**(extra_context or {}), "how_to_load": HOW_TO_LOAD})

    # --- the page ----------------------------------------------------------------------------------------------------
    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Counts and progress, seals, the protocol's numbers, and the last staff actions."""
        study = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if study is not None and self.has_view_permission(request, study):
            context |= self._page_context(study)
        return super().change_view(request, object_id, form_url, context)

    def _page_context(self, study: Study) -> dict[str, Any]:
        staff = Event.objects.filter(study=study, actor__isnull=False).select_related("actor", "participant")
        return {
            "title": str(study),
            "study": study,
            "study_state_label": STATE_LABELS.get(study.state, ""),
            "facts": [*facts.main_numbers(study), facts.waiting(study)],
            "arms": facts.arms(study),
            "comparisons": facts.comparisons(study),
            "staff_events": staff.order_by("-id")[:8],
            **live_context(study),
        }

    def get_custom_urls(self) -> Any:
        """The live part of a study's page, and where its socket is (`studyapp.sockets`)."""
        return (
            ("<int:study_id>/live/", "studyapp_study_live", self.live_view),
            ("<int:study_id>/socket/", "studyapp_study_socket", self.socket_over_http),
            ("<int:study_id>/results/<slug:name>.svg", "studyapp_study_figure", self.figure_view),
            ("<int:study_id>/results/report/", "studyapp_study_report", self.report_view),
            ("<int:study_id>/results/table.tex", "studyapp_study_latex", self.latex_view),
        )

    def socket_over_http(self, request: HttpRequest, study_id: int, model_admin: Any = None) -> HttpResponse:
        """The socket's address, asked without a socket."""
        return HttpResponse("This address speaks websocket only.", status=426, content_type="text/plain")

    def live_view(self, request: HttpRequest, study_id: int, model_admin: Any = None) -> HttpResponse:
        """The counts alone: what the page fetches when its socket says "look", and every few seconds without one."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        study = Study.objects.defer("documents").filter(pk=study_id).first()
        if study is None:
            raise Http404("There is no such study.")
        return TemplateResponse(request, "admin/palate/_live.html", live_context(study))

    def figure_view(self, request: HttpRequest, study_id: int, name: str, model_admin: Any = None) -> HttpResponse:
        """A figure of the results."""
        return results.figure(self.must_find(request, str(study_id), VIEW), name)

    def report_view(self, request: HttpRequest, study_id: int, model_admin: Any = None) -> HttpResponse:
        """The report."""
        return results.report(self.must_find(request, str(study_id), VIEW))

    def latex_view(self, request: HttpRequest, study_id: int, model_admin: Any = None) -> HttpResponse:
        """The table for print."""
        return results.latex(self.must_find(request, str(study_id), VIEW))

    # --- the arrows --------------------------------------------------------------------------------------------------
    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what fits the study's state."""
        study = self.get_object(request, object_id)
        offered = set(OFFERED.get(State(study.state), set())) if study else set()
        if study:
            offered.add("export_action")
        if study and study.is_unblinded:
            offered.add("results_action")
        if study and Generation.objects.filter(study=study, state=Generation.State.FAILED).exists():
            offered.add("retry_action")
        prefix = "studyapp_study_"
        allowed = super().get_actions_detail(request, object_id)
        return [one for one in allowed if one.action_name.removeprefix(prefix) in offered]

    def has_steer_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may move a study on. (A method: Unfold looks permission names up in a database that may not be there.)"""
        return bool(request.user.has_perm(CHANGE))

    def has_retry_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for failed texts again."""
        return bool(request.user.has_perm(RETRY))

    def has_export_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may ask for a release."""
        return bool(request.user.has_perm(exports.ADD))

    @action(
        description="Results", url_path="results", icon="insights", variant=ActionVariant.PRIMARY, permissions=["view"]
    )
    def results_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Win rates, figures, the report; nothing before unblinding."""
        return results.show(self, request, self.must_find(request, object_id, VIEW))

    @action(description="Export", url_path="export", icon="download", permissions=["export"])
    def export_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Ask for a release; its page shows how far it is, and the download."""
        study = self.must_find(request, object_id, exports.ADD)
        act = partial(exports.act, request, study)
        return asking.ask(self, request, study, exports.question(study), act)

    @action(
        description="Open", url_path="open", icon="play_arrow", variant=ActionVariant.PRIMARY, permissions=["steer"]
    )
    def open_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """draft, pilot or paused -> open."""
        study = self.must_find(request, object_id, CHANGE)
        needs_reason = study.state == State.DRAFT and not study.spec.demo
        again = study.state == State.PAUSED
        lines: tuple[str, ...] = ("People may enrol again." if again else f"People may enrol at /s/{study.slug}/.",)
        if study.state != State.PAUSED:
            lines += (
                f"The protocol is frozen by its hash, {study.protocol_hash[:16]}: changes need a new version.",
                "Seats are drawn and sealed, and the texts that need no participant are asked for.",
            )
        if needs_reason:
            lines += ("There is no pilot or preflight on record. Say why it may open without.",)
        question = Question(
            f"Open {study}?", lines, "Open", form_class=ReasonForm if needs_reason else asking.ConfirmForm
        )

        def act(values: dict[str, Any]) -> str:
            reason = values.get("reason", "")
            studies.open_study(study, skip_preflight=reason, actor=request.user)
            self.log_change(request, study, f"Opened. {'Without preflight: ' + reason if reason else ''}".strip())
            return f"{study} is open: people enter at /s/{study.slug}/."

        return asking.ask(self, request, study, question, act)

    @action(description="Pause", url_path="pause", icon="pause", permissions=["steer"])
    def pause_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """open -> paused."""
        study = self.must_find(request, object_id, CHANGE)
        lines = ("Nobody new may enrol. Those under way go on and finish.", "It can be opened again at any time.")

        def act(values: dict[str, Any]) -> str:
            studies.pause(study, actor=request.user)
            self.log_change(request, study, "Paused.")
            return f"{study} is paused: nobody new, those under way finish."

        return asking.ask(self, request, study, Question(f"Pause {study}?", lines, "Pause"), act)

    @action(description="Close", url_path="close", icon="lock", permissions=["steer"])
    def close_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """open or paused -> closed."""
        study = self.must_find(request, object_id, CHANGE)
        lines = (
            "Enrolment ends for good: a closed study is never opened again.",
            f"{_persons(counts.people(study).under_way)} under way or may still come back; they may finish.",
        )

        def act(values: dict[str, Any]) -> str:
            studies.close(study, actor=request.user)
            self.log_change(request, study, "Closed.")
            return f"{study} is closed; {_persons(counts.people(study).under_way)} under way."

        question = Question(f"Close {study}?", lines, "Close for good", danger=True)
        return asking.ask(self, request, study, question, act)

    @action(
        description="End for everybody", url_path="end", icon="stop_circle", variant=ActionVariant.DANGER,
        permissions=["steer"],
    )  # fmt: skip
    def end_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Close and time out everybody under way."""
        study = self.must_find(request, object_id, CHANGE)
        lines = (
            "The study is closed for good.",
            f"{_persons(counts.people(study).under_way)} under way or may still come back. "
            "They are timed out now, and nobody can resume. What they gave is kept.",
        )

        def act(values: dict[str, Any]) -> str:
            studies.close(study, end=values["reason"], actor=request.user)
            self.log_change(request, study, f"Ended for everybody: {values['reason']}")
            return f"{study} is closed and nobody is under way."

        question = Question(f"End {study} for everybody?", lines, "End for everybody", True, ReasonForm)
        return asking.ask(self, request, study, question, act)

    @action(
        description="Unblind",
        url_path="unblind",
        icon="visibility",
        variant=ActionVariant.WARNING,
        permissions=["steer"],
    )
    def unblind_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """closed -> unblinded."""
        study = self.must_find(request, object_id, CHANGE)
        lines = (
            "Arms, models and outcomes become visible here, in exports and in win rates. This cannot be undone.",
            "Collect everything and settle the analysis first.",
        )

        def act(values: dict[str, Any]) -> str:
            studies.unblind(study, values["reason"], actor=request.user)
            self.log_change(request, study, f"Unblinded: {values['reason']}")
            return f"{study} is unblinded. Its win rates: manage.py winrates {study}"

        return asking.ask(self, request, study, Question(f"Unblind {study}?", lines, "Unblind", True, ReasonForm), act)

    @action(description="Retry failed texts", url_path="retry-failed", icon="refresh", permissions=["retry"])
    def retry_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Every failed text of the study goes back into the queue."""
        study = self.must_find(request, object_id, RETRY)
        failed = Generation.objects.filter(study=study, state=Generation.State.FAILED)
        lines = (f"{failed.count()} failed texts go back into the queue with a fresh budget of tries.",)

        def act(values: dict[str, Any]) -> str:
            number = retry(study, list(failed.values_list("pk", flat=True)), request.user)
            self.log_change(request, study, f"Asked again for {number} failed texts.")
            return f"{number} texts are back in the queue."

        return asking.ask(self, request, study, Question("Ask again for failed texts?", lines, "Ask again"), act)


def _persons(n: int) -> str:
    return "1 person is" if n == 1 else f"{n} people are"


def retry(study: Study, generation_ids: list[int], actor: Any) -> int:
    """Put failed texts back into the queue and log it; how many. Raises Refused when none is failed any more."""
    with transaction.atomic():
        number = queue.retry(generation_ids)
        if not number:
            raise Refused("No text is failed any more: somebody asked again before, or they were discarded.")
        log(study, "texts_retried", actor=actor, number=number)
    return number


def live_context(study: Study) -> dict[str, Any]:
    """What the live part shows: nine queries whatever the study's size."""
    people, texts, answers = counts.people(study), counts.texts(study), counts.answers(study)
    seats = counts.seats(study)
    completed = people.count(Participant.State.COMPLETED)
    target = study.spec.target_participants or study.spec.seats or people.total
    waited, waited_ms = counts.waited(study)
    ready = texts.states[Generation.State.READY]
    return {
        "live_study": study,
        "people": people,
        "completed": completed,
        "target": target,
        "completed_share": _share(completed, target),
        "answers": answers,
        "judged_share": _share(answers.judged, answers.planned),
        "texts": texts,
        "text_states": [(state, texts.states[state]) for state in Generation.State.values if texts.states[state]],
        "ready": ready,
        "ready_share": _share(ready, texts.total),
        "seats": [(state, seats[state]) for state in Seat.State.values],
        "seats_total": seats.total(),
        "seats_share": _share(seats[Seat.State.TAKEN], seats.total()),
        "longest_wait_s": _age_s(people.waiting_since),
        "oldest_queued_s": _age_s(texts.oldest),
        "waited": waited,
        "mean_wait_s": waited_ms / waited / 1000 if waited else None,
        "now": timezone.now(),
    }


def _share(part: int, whole: int) -> int | None:
    """Whole per cent, never more than 100; None of nothing."""
    return min(100, int(100 * part / whole)) if whole else None


def _age_s(since: Any) -> int | None:
    return max(0, int((timezone.now() - since).total_seconds())) if since else None


def register() -> None:
    """Put the table on the site."""
    admin.site.register(Study, StudyAdmin)
