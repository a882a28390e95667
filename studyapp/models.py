"""Studies and the people in them. `Identity` holds the only directly identifying data."""

from __future__ import annotations

import secrets
from functools import lru_cache
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from studyapp.protocol import Protocol


@lru_cache(maxsize=64)
def spec_of(study_id: int, protocol_hash: str, version: int) -> Protocol:
    """The parsed protocol of a study, cached by hash."""
    return Protocol.model_validate(Study.objects.values_list("protocol", flat=True).get(pk=study_id))


class StudyQuerySet(models.QuerySet["Study"]):
    """Sets of studies."""

    def serving(self, slug: str) -> StudyQuerySet:
        """Versions of `slug` that a participant may still be inside, newest first."""
        states = [Study.State.PILOT, Study.State.OPEN, Study.State.PAUSED, Study.State.CLOSED, Study.State.UNBLINDED]
        return self.filter(slug=slug, state__in=states).order_by("-version")


class Study(models.Model):
    """One version of one protocol, frozen by its hash from the first `open` on."""

    class State(models.TextChoices):
        DRAFT = "draft"
        PILOT = "pilot"
        OPEN = "open"
        PAUSED = "paused"
        CLOSED = "closed"
        UNBLINDED = "unblinded"
        ARCHIVED = "archived"

    slug = models.SlugField(max_length=64)
    version = models.PositiveIntegerField(default=1)
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=12, choices=State.choices, default=State.DRAFT)
    protocol = models.JSONField(help_text="The validated protocol, as studyapp.protocol dumps it.")
    protocol_hash = models.CharField(max_length=64)
    documents = models.JSONField(default=dict, help_text="Markdown of consent, instructions and debrief.")
    folder = models.CharField(max_length=500, blank=True)
    seed = models.BigIntegerField(help_text="Root of every sampling seed of the study.")
    seat_salt = models.CharField(max_length=64, blank=True)
    seat_seal = models.CharField(max_length=64, blank=True, help_text="Salted hash over all seats drawn so far.")
    panel_secret = models.CharField(
        max_length=64, blank=True, help_text="Key of the panel hashes; destroyed at archive."
    )
    created_at = models.DateTimeField(default=timezone.now)
    opened_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    unblinded_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager[Study]] = StudyQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "studies"
        constraints = [
            models.UniqueConstraint(fields=["slug", "version"], name="a_study_version_exists_once"),
            models.CheckConstraint(
                condition=models.Q(state__in=["draft", "pilot", "open", "paused", "closed", "unblinded", "archived"]),
                name="a_study_is_in_a_known_state",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.slug}@{self.version}"

    @property
    def spec(self) -> Protocol:
        """The parsed protocol (cached by hash)."""
        return spec_of(self.pk, self.protocol_hash, self.version)

    @property
    def is_frozen(self) -> bool:
        """True from the first `open` on: the protocol may not change any more."""
        return self.opened_at is not None

    @property
    def is_unblinded(self) -> bool:
        """True once researchers may see arms next to outcomes."""
        return self.state in (self.State.UNBLINDED, self.State.ARCHIVED) and self.unblinded_at is not None

    @property
    def takes_people(self) -> bool:
        """True while new participants may enrol."""
        return self.state in (self.State.OPEN, self.State.PILOT)


class Question(models.Model):
    """A question of the bank; `use` says where it may appear."""

    class Use(models.TextChoices):
        ELICIT = "elicit"
        JUDGE = "judge"
        ATTENTION = "attention"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="questions")
    key = models.CharField(max_length=100)
    use = models.CharField(max_length=10, choices=Use.choices)
    domain = models.CharField(max_length=100)
    topic = models.CharField(max_length=100, blank=True)
    text = models.TextField()
    only_if = models.JSONField(null=True, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["study", "key"], name="a_question_key_is_unique_in_its_study")]

    def __str__(self) -> str:
        return self.key


class Candidate(models.Model):
    """A ready-made answer to an elicitation or attention question."""

    question = models.ForeignKey(Question, on_delete=models.CASCADE, related_name="candidates")
    key = models.CharField(max_length=100)
    text = models.TextField()
    viewpoint = models.CharField(max_length=200, blank=True)
    rank = models.PositiveSmallIntegerField(default=0)

    class Meta:
        ordering = ["question_id", "rank"]
        constraints = [
            models.UniqueConstraint(fields=["question", "key"], name="a_candidate_key_is_unique_in_its_question")
        ]

    def __str__(self) -> str:
        return self.key


class Seat(models.Model):
    """One person's whole plan, drawn and sealed before anyone needs it. `plan` never changes."""

    class State(models.TextChoices):
        FREE = "free"
        HELD = "held"
        TAKEN = "taken"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="seats")
    number = models.PositiveIntegerField()
    block = models.PositiveIntegerField()
    state = models.CharField(max_length=5, choices=State.choices, default=State.FREE)
    plan = models.JSONField(help_text="annotations.plan.SeatPlan as JSON.")
    digest = models.CharField(max_length=64, help_text="Salted hash of number and plan.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["study", "number"], name="a_seat_number_is_unique_in_its_study"),
            models.CheckConstraint(
                condition=models.Q(state__in=["free", "held", "taken"]), name="a_seat_is_free_held_or_taken"
            ),
        ]
        indexes = [
            # serves enrolment: the lowest free seat of a study
            models.Index(fields=["study", "number"], condition=models.Q(state="free"), name="seat_lowest_free"),
        ]

    def __str__(self) -> str:
        return f"seat {self.number}"


UNFINISHED = ("enrolled", "consented", "eliciting", "waiting", "judging")


def new_code() -> str:
    """A pseudonym that says nothing: ten characters of an alphabet without look-alikes."""
    return "".join(secrets.choice("abcdefghjkmnpqrstuvwxyz23456789") for _ in range(10))


class Participant(models.Model):
    """A person's way through a study, by a pseudonymous code. Times are UTC."""

    class State(models.TextChoices):
        ENROLLED = "enrolled"
        CONSENTED = "consented"
        ELICITING = "eliciting"
        WAITING = "waiting"
        JUDGING = "judging"
        COMPLETED = "completed"
        DECLINED = "declined"
        SCREENED_OUT = "screened_out"
        TIMED_OUT = "timed_out"
        EXCUSED = "excused"
        STOPPED = "stopped"
        WITHDRAWN = "withdrawn"

    class Panel(models.TextChoices):
        OPEN = "open"
        INVITE = "invite"
        PROLIFIC = "prolific"
        CONNECT = "connect"
        SONA = "sona"

    study = models.ForeignKey(Study, on_delete=models.PROTECT, related_name="participants")
    code = models.CharField(max_length=16, unique=True, default=new_code)
    seat = models.ForeignKey(Seat, on_delete=models.PROTECT, null=True, blank=True, related_name="occupants")
    state = models.CharField(max_length=12, choices=State.choices, default=State.ENROLLED)
    state_before = models.CharField(max_length=12, blank=True, help_text="Where a timed-out person was.")
    panel = models.CharField(max_length=10, choices=Panel.choices, default=Panel.OPEN)
    panel_key = models.CharField(max_length=64, null=True, blank=True, help_text="Keyed hash of the panel id.")
    simulated = models.BooleanField(default=False)
    device = models.CharField(max_length=10, blank=True, help_text="phone, tablet or desktop; never the user agent.")
    resume_hash = models.CharField(max_length=64, null=True, blank=True, unique=True)
    receipt_hash = models.CharField(max_length=64, null=True, blank=True, help_text="Hash of the withdrawal receipt.")
    consent_hash = models.CharField(max_length=64, blank=True, help_text="SHA-256 of the consent text agreed to.")
    enrolled_at = models.DateTimeField(default=timezone.now)
    consented_at = models.DateTimeField(null=True, blank=True)
    eliciting_at = models.DateTimeField(null=True, blank=True)
    shots_done_at = models.DateTimeField(null=True, blank=True, help_text="The last shot was stored.")
    waiting_at = models.DateTimeField(null=True, blank=True, help_text="Elicitation was over.")
    judging_at = models.DateTimeField(null=True, blank=True)
    judged_at = models.DateTimeField(null=True, blank=True, help_text="The last judgment was stored.")
    debriefed_at = models.DateTimeField(null=True, blank=True, help_text="The debrief was read.")
    ended_at = models.DateTimeField(null=True, blank=True)
    wait_started_at = models.DateTimeField(null=True, blank=True, help_text="Set while the person waits for a text.")
    waited_ms = models.PositiveIntegerField(default=0, help_text="All waits for texts so far, milliseconds.")
    breaks_taken = models.PositiveSmallIntegerField(default=0)
    last_seen_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "panel", "panel_key"],
                condition=models.Q(panel_key__isnull=False),
                name="a_panel_id_enrols_once_in_a_study",
            ),
            models.UniqueConstraint(
                fields=["seat"],
                condition=models.Q(state__in=[*UNFINISHED, "completed", "timed_out"]),
                name="a_seat_has_one_living_occupant",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    state__in=[
                        *UNFINISHED,
                        "completed",
                        "declined",
                        "screened_out",
                        "timed_out",
                        "excused",
                        "stopped",
                        "withdrawn",
                    ]
                ),
                name="a_participant_is_in_a_known_state",
            ),
        ]
        indexes = [
            # serves the sweep for silent people
            models.Index(fields=["last_seen_at"], condition=models.Q(state__in=UNFINISHED), name="participant_silent"),
        ]

    def __str__(self) -> str:
        return self.code

    # The pair whose turn it is (a Preference or a Comparison), where a service has just read it; no column.
    upcoming: Any = None

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        """Read the row again, and forget the pair read before."""
        self.upcoming = None
        super().refresh_from_db(*args, **kwargs)

    @property
    def is_unfinished(self) -> bool:
        """True while the person is on the way through the study."""
        return self.state in UNFINISHED


class Identity(models.Model):
    """The directly identifying data of a participant, erased on withdrawal."""

    participant = models.OneToOneField(Participant, on_delete=models.CASCADE, related_name="identity")
    panel_id = models.CharField(max_length=200, blank=True)
    panel_study = models.CharField(max_length=200, blank=True)
    panel_session = models.CharField(max_length=200, blank=True)

    class Meta:
        verbose_name_plural = "identities"

    def __str__(self) -> str:
        return f"identity of {self.participant_id}"


class Invite(models.Model):
    """A personal entry token, stored hashed. Simulated people enter by invites that their command makes."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="invites")
    token_hash = models.CharField(max_length=64, unique=True)
    simulated = models.BooleanField(default=False)
    participant = models.OneToOneField(
        Participant, on_delete=models.SET_NULL, null=True, blank=True, related_name="invite"
    )
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"invite {self.pk}"


class Event(models.Model):
    """History of studies and participants: ids, codes and the reasons that staff gave; never a participant's text."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="events")
    participant = models.ForeignKey(Participant, on_delete=models.CASCADE, null=True, blank=True, related_name="events")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=40)
    data: Any = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["study", "kind"], name="event_kind_in_study")]

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:%Y-%m-%d %H:%M:%S}"


class ExportJob(models.Model):
    """A release that somebody of the staff asked for: made by a worker, fetched as a zip, gone when it expires."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        EXPIRED = "expired"

    class Format(models.TextChoices):
        CSV = "csv", "CSV"
        JSONL = "jsonl", "JSONL"
        PARQUET = "parquet", "Parquet"

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="export_jobs")
    actor = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True)
    format = models.CharField(max_length=10, choices=Format.choices, default=Format.CSV)
    include_text = models.BooleanField(default=False)
    include_pii = models.BooleanField(default=False)
    blinded = models.BooleanField(null=True, blank=True, help_text="Whether arms were masked when it was made.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    done = models.PositiveSmallIntegerField(default=0, help_text="Tables written so far.")
    total = models.PositiveSmallIntegerField(default=0, help_text="Tables to write.")
    file = models.CharField(max_length=80, blank=True, help_text="Name below PALATE_DATA/exports.")
    host = models.CharField(max_length=100, blank=True, help_text="The machine on which it was made.")
    bytes = models.BigIntegerField(null=True, blank=True)
    sha256 = models.CharField(max_length=64, blank=True)
    error = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    seen_at = models.DateTimeField(null=True, blank=True, help_text="The last sign of the worker that makes it.")
    finished_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        permissions = [("export_text", "Can export free and personal text")]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "running", "ready", "failed", "expired"]),
                name="an_export_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="ready") | (~models.Q(file="") & models.Q(expires_at__isnull=False)),
                name="a_ready_export_has_a_file_that_expires",
            ),
        ]

    def __str__(self) -> str:
        return f"export {self.pk}"

    @property
    def is_under_way(self) -> bool:
        """True while a worker has still to make it."""
        return self.state in (self.State.QUEUED, self.State.RUNNING)


class Results(models.Model):
    """What the site shows of an unblinded study's outcomes: made by a worker, thrown away when somebody withdraws.

    It follows from other rows and is made again from them whenever `stand`, what it was made from, no longer holds.
    """

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"

    study = models.OneToOneField(Study, on_delete=models.CASCADE, related_name="results")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    stand = models.CharField(max_length=64, help_text="Digest of what the study's results depend on.")
    claim_id = models.UUIDField(null=True, blank=True, help_text="The fence: only its holder may write.")
    asked_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    made_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=500, blank=True)
    shown = models.JSONField(default=dict, help_text="The page's numbers and tables, no row a person.")
    figures = models.JSONField(default=dict, help_text="SVG by name.")
    report = models.TextField(blank=True, help_text="The report as one HTML page.")
    latex = models.TextField(blank=True, help_text="The report's table for print.")

    class Meta:
        verbose_name_plural = "results"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "running", "ready", "failed"]),
                name="results_are_in_a_known_state",
            ),
        ]

    def __str__(self) -> str:
        return f"results of {self.study_id}"


class Exclusion(models.Model):
    """One participant left out of an analysis set by one rule, with the evidence. Their data stay in the study."""

    study = models.ForeignKey(Study, on_delete=models.CASCADE, related_name="exclusions")
    participant = models.ForeignKey(Participant, on_delete=models.CASCADE, related_name="exclusions")
    rule = models.CharField(max_length=100, help_text="The rule's id; unfinished and attention are every study's.")
    metric = models.CharField(max_length=100)
    op = models.CharField(max_length=2)
    threshold = models.FloatField()
    measured = models.FloatField(help_text="What was measured of the person: metric op threshold holds for it.")
    post_hoc = models.BooleanField(default=False, help_text="The rule was added after unblinding.")
    decided_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["participant", "rule"], name="a_rule_leaves_a_person_out_once"),
        ]
        indexes = [models.Index(fields=["study", "rule"], name="exclusion_rule_in_study")]

    def __str__(self) -> str:
        return f"{self.rule}: {self.metric} {self.op} {self.threshold:g}"
