"""Participants: where they are, what happened to them, and the two ways staff can end somebody's part."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse
from unfold.decorators import action, display
from unfold.enums import ActionVariant

from studyapp.dashboard import asking, counts
from studyapp.dashboard.asking import Question, Refused
from studyapp.dashboard.readonly import ReadOnlyAdmin, time_column
from studyapp.models import Event, Identity, Participant
from studyapp.services import leaving
from studyapp.services.events import log

CHANGE, ERASE, IDENTITY = "studyapp.change_participant", "studyapp.delete_participant", "studyapp.view_identity"
State = Participant.State
STATE_LABELS = {
    **dict.fromkeys([State.ENROLLED.value, State.CONSENTED.value, State.ELICITING.value, State.JUDGING.value], "info"),
    State.WAITING.value: "warning",
    State.COMPLETED.value: "success",
    State.WITHDRAWN.value: "danger",
}
LONG_COLUMNS = ("study__protocol", "study__documents", "seat__plan")
TIMES = (
    ("enrolled_at", "Entered"),
    ("consented_at", "Consented"),
    ("eliciting_at", "First pair shown"),
    ("shots_done_at", "Last shot stored"),
    ("waiting_at", "Elicitation over"),
    ("judging_at", "Judging began"),
    ("judged_at", "Last judgment stored"),
    ("debriefed_at", "Debrief read"),
    ("ended_at", "Ended"),
    ("last_seen_at", "Last seen"),
)


def seconds(ms: int) -> str:
    """Milliseconds as minutes and seconds; a dash for none."""
    return f"{ms // 60000}:{ms // 1000 % 60:02d} min" if ms else "–"


class ParticipantAdmin(ReadOnlyAdmin):
    """People by pseudonym. The panel's id is on no page but one, behind a permission and a logged act."""

    list_display = (
        "code", "study", "state_label", "mark", "panel", "seat_number", "enrolled", "last_seen", "ended",
        "waited",
    )  # fmt: skip
    list_filter = ("study", "state", "simulated", "panel")
    search_fields = ("code",)
    search_help_text = "A participant's code."
    ordering = ("-id",)
    sortable_by = ("code", "enrolled", "last_seen", "ended", "waited")
    change_form_template = "admin/palate/participant.html"
    actions_detail = ("excuse_action", "identity_action", "withdraw_action")

    enrolled = time_column("enrolled_at", "Entered")
    last_seen = time_column("last_seen_at", "Last seen")
    ended = time_column("ended_at", "Ended")

    @display(description="State", label=STATE_LABELS)
    def state_label(self, person: Participant) -> str:
        """A badge."""
        return person.state

    @display(description="Kind", label={"simulated": "warning"})
    def mark(self, person: Participant) -> str:
        """Real or simulated."""
        return "simulated" if person.simulated else "real"

    @display(description="Seat")
    def seat_number(self, person: Participant) -> int | str:
        """The number of the person's seat."""
        return person.seat.number if person.seat else "–"

    @display(description="Waited", ordering="waited_ms")
    def waited(self, person: Participant) -> str:
        """All waits for texts."""
        return seconds(person.waited_ms)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Participant]:
        """Without plans and protocols."""
        return super().get_queryset(request).select_related("study", "seat").defer(*LONG_COLUMNS)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The page is a template of its own."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """State, times, counts and the events of one person."""
        person = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if person is not None and self.has_view_permission(request, person):
            context |= {
                "title": person.code,
                "person": person,
                "person_state_label": STATE_LABELS.get(person.state, ""),
                "times": [(label, getattr(person, name)) for name, label in TIMES if getattr(person, name)],
                "waited": seconds(person.waited_ms),
                "answers": counts.answers_of(person),
                "events": Event.objects.filter(participant=person).select_related("actor").order_by("id"),
                "study_url": reverse("admin:studyapp_study_change", args=[person.study_id]),
            }
        return super().change_view(request, object_id, form_url, context)

    def get_actions_detail(self, request: HttpRequest, object_id: Any) -> list[Any]:
        """Only what fits the person's state."""
        known = str(object_id).isdigit()
        person = Participant.objects.only("state").filter(pk=object_id).first() if known else None
        offered = set()
        if person and person.state != State.WITHDRAWN:
            offered.add("withdraw_action")
            if Identity.objects.filter(participant=person).exists():
                offered.add("identity_action")
            if person.is_unfinished or person.state == State.TIMED_OUT:
                offered.add("excuse_action")
        allowed = super().get_actions_detail(request, object_id)
        return [one for one in allowed if one.action_name.removeprefix("studyapp_participant_") in offered]

    def has_excuse_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may excuse somebody."""
        return bool(request.user.has_perm(CHANGE))

    def has_erase_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may withdraw somebody."""
        return bool(request.user.has_perm(ERASE))

    def has_identify_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Who may see panel ids."""
        return bool(request.user.has_perm(IDENTITY))

    @action(description="Excuse", url_path="excuse", icon="sentiment_satisfied", permissions=["excuse"])
    def excuse_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Let somebody go, paid, for a technical reason."""
        person = self.must_find(request, object_id, CHANGE)
        lines = (
            "They leave paid for a technical reason and see the code for excused people.",
            "What they gave is kept. Their open pairs become void; they cannot come back.",
        )

        def act(values: dict[str, Any]) -> str:
            if not leaving.excuse(person, request.user):
                person.refresh_from_db(fields=["state"])
                raise Refused(f"{person} is {_words(person.state)}: only somebody under way can be excused.")
            self.log_change(request, person, "Excused for a technical reason.")
            return f"{person} is excused."

        return asking.ask(self, request, person, Question(f"Excuse {person}?", lines, "Excuse"), act)

    @action(
        description="Withdraw", url_path="withdraw", icon="person_remove", variant=ActionVariant.DANGER,
        permissions=["erase"],
    )  # fmt: skip
    def withdraw_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Erase everything of somebody who asks for it."""
        person = self.must_find(request, object_id, ERASE)
        lines = (
            "Everything this person gave and everything made from it is erased: choices, texts, judgments, identity.",
            "Code, state, times and the keyed hash of the panel id stay. This cannot be undone.",
            "The receipt is shown once, on the next page.",
        )

        def act(values: dict[str, Any]) -> HttpResponseBase:
            receipt = leaving.withdraw(person, actor=request.user)
            if receipt is None:
                raise Refused(f"{person} has withdrawn before; the receipt was shown then.")
            self.log_change(request, person, "Withdrawn: everything erased.")
            return asking.page(self, request, person, "receipt", title=f"{person} is withdrawn", receipt=receipt)

        question = Question(f"Withdraw {person} and erase everything?", lines, "Erase everything", danger=True)
        return asking.ask(self, request, person, question, act)

    @action(description="Panel id", url_path="identity", icon="fingerprint", permissions=["identify"])
    def identity_action(self, request: HttpRequest, object_id: str) -> HttpResponseBase:
        """Show who the panel says this is; looking is logged."""
        person = self.must_find(request, object_id, IDENTITY)
        lines = ("The panel's ids of this person are shown once. Your name and the time go into the log.",)

        def act(values: dict[str, Any]) -> HttpResponseBase:
            with transaction.atomic():
                identity = Identity.objects.filter(participant=person).first()
                if identity is None:
                    raise Refused(f"There is no identity of {person}: they came without a panel, or have withdrawn.")
                log(person.study, "identity_viewed", participant=person, actor=request.user)
                self.log_change(request, person, "Looked at the panel id.")
            title = f"Panel id of {person}"
            return asking.page(self, request, person, "identity", title=title, identity=identity)

        return asking.ask(self, request, person, Question(f"Show the panel id of {person}?", lines, "Show"), act)


def _words(state: str) -> str:
    return state.replace("_", " ")


def register() -> None:
    """Put the table on the site."""
    admin.site.register(Participant, ParticipantAdmin)
