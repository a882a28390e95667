"""Blind judging: planned pairs and what a person made of them. No views, no URLs."""

from __future__ import annotations

import secrets

from django.db import models
from django.utils import timezone


def opaque_id() -> str:
    """An id from which nothing follows: 128 random bits, URL-safe."""
    return secrets.token_urlsafe(16)


class Side(models.TextChoices):
    """The two places of a text: left and right on a wide screen, above and below on a phone."""

    FIRST = "first"
    SECOND = "second"


class Preference(models.Model):
    """A planned elicitation pair and its choice. Shots go into the context, probes and repeats never do."""

    class Role(models.TextChoices):
        SHOT = "shot"
        PROBE = "probe"
        REPEAT = "repeat"

    participant = models.ForeignKey("studyapp.Participant", on_delete=models.CASCADE, related_name="preferences")
    position = models.PositiveSmallIntegerField(help_text="Order of presentation, from 1.")
    role = models.CharField(max_length=6, choices=Role.choices)
    question = models.ForeignKey("studyapp.Question", on_delete=models.PROTECT, related_name="+")
    first = models.ForeignKey("studyapp.Candidate", on_delete=models.PROTECT, related_name="+")
    second = models.ForeignKey("studyapp.Candidate", on_delete=models.PROTECT, related_name="+")
    repeat_of = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="repeats")
    opaque_id = models.CharField(max_length=32, unique=True, default=opaque_id)
    choice = models.CharField(max_length=6, choices=Side.choices, null=True, blank=True)
    presented_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    page_ms = models.PositiveIntegerField(null=True, blank=True, help_text="Milliseconds to decision, by the page.")

    class Meta:
        ordering = ["participant_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["participant", "position"], name="a_position_holds_one_preference"),
            models.CheckConstraint(
                condition=models.Q(choice__isnull=True) | models.Q(choice__in=["first", "second"]),
                name="a_preference_chooses_first_or_second",
            ),
            models.CheckConstraint(
                condition=models.Q(choice__isnull=True, decided_at__isnull=True)
                | models.Q(choice__isnull=False, decided_at__isnull=False),
                name="a_choice_has_its_time",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.position}"

    @property
    def preferred(self) -> object:
        """The chosen candidate; None while undecided."""
        return {"first": self.first, "second": self.second}.get(self.choice or "")

    @property
    def dispreferred(self) -> object:
        """The candidate that was not chosen; None while undecided."""
        return {"first": self.second, "second": self.first}.get(self.choice or "")


class Comparison(models.Model):
    """A planned blind pair. Only `annotations.blinding` maps its sides to its arms."""

    class State(models.TextChoices):
        PLANNED = "planned"
        READY = "ready"
        JUDGED = "judged"
        VOID = "void"

    class Kind(models.TextChoices):
        ARMS = "arms"
        SWAP = "swap"
        NULL = "null"
        IDENTICAL = "identical"
        REPEAT = "repeat"
        CALIBRATION = "calibration"
        ATTENTION = "attention"

    class VoidReason(models.TextChoices):
        GENERATION_FAILED = "generation_failed"
        UNMATCHED = "unmatched"
        DEADLINE = "deadline"
        REPORTED = "reported"
        LEFT = "left"

    participant = models.ForeignKey("studyapp.Participant", on_delete=models.CASCADE, related_name="comparisons")
    seat = models.ForeignKey("studyapp.Seat", on_delete=models.PROTECT, related_name="comparisons")
    position = models.PositiveSmallIntegerField(help_text="Planned order of presentation, from 1.")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    question = models.ForeignKey("studyapp.Question", on_delete=models.PROTECT, related_name="+")
    arm_a = models.CharField(max_length=64, blank=True)
    arm_b = models.CharField(max_length=64, blank=True)
    replicate_a = models.PositiveIntegerField(default=0)
    replicate_b = models.PositiveIntegerField(default=0)
    a_is_first = models.BooleanField()
    generation_a = models.ForeignKey(
        "inference.Generation", on_delete=models.PROTECT, null=True, blank=True, related_name="comparisons_a"
    )
    generation_b = models.ForeignKey(
        "inference.Generation", on_delete=models.PROTECT, null=True, blank=True, related_name="comparisons_b"
    )
    candidate_a = models.ForeignKey(
        "studyapp.Candidate",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="A ready-made text, for controls that show one.",
    )
    candidate_b = models.ForeignKey(
        "studyapp.Candidate", on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    repeat_of = models.ForeignKey("self", on_delete=models.CASCADE, null=True, blank=True, related_name="repeats")
    dyad = models.CharField(max_length=40, null=True, blank=True)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PLANNED)
    void_reason = models.CharField(max_length=20, choices=VoidReason.choices, blank=True)
    opaque_id = models.CharField(max_length=32, unique=True, default=opaque_id)
    ready_at = models.DateTimeField(null=True, blank=True)
    waited_ms = models.PositiveIntegerField(default=0, help_text="Milliseconds its person waited for it.")
    presented_at = models.DateTimeField(null=True, blank=True)
    judged_at = models.DateTimeField(null=True, blank=True)
    voided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["participant_id", "position"]
        constraints = [
            models.UniqueConstraint(fields=["participant", "position"], name="a_position_holds_one_comparison"),
            models.CheckConstraint(
                condition=models.Q(state__in=["planned", "ready", "judged", "void"]),
                name="a_comparison_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=(models.Q(state="void") & ~models.Q(void_reason=""))
                | (~models.Q(state="void") & models.Q(void_reason="")),
                name="a_void_comparison_has_a_reason",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.position}"


class Judgment(models.Model):
    """What a person made of a blind pair. Append-only: a trigger refuses UPDATE and DELETE but in a withdrawal."""

    class Choice(models.TextChoices):
        FIRST = "first"
        SECOND = "second"
        TIE = "tie"

    comparison = models.OneToOneField(Comparison, on_delete=models.CASCADE, related_name="judgment")
    participant = models.ForeignKey("studyapp.Participant", on_delete=models.CASCADE, related_name="judgments")
    choice = models.CharField(max_length=6, choices=Choice.choices)
    strength = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="1 basically the same - 5 very strong."
    )
    reason = models.TextField(blank=True)
    page_ms = models.PositiveIntegerField(null=True, blank=True, help_text="Milliseconds to decision, by the page.")
    server_ms = models.PositiveIntegerField(help_text="Milliseconds from first presentation to storing, by the server.")
    input = models.CharField(max_length=8, blank=True, help_text="key, pointer or blank when unknown.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(choice__in=["first", "second", "tie"]),
                name="a_judgment_chooses_first_second_or_tie",
            ),
            models.CheckConstraint(
                condition=models.Q(strength__isnull=True) | models.Q(strength__range=(1, 5)),
                name="a_strength_lies_between_1_and_5",
            ),
        ]

    def __str__(self) -> str:
        return f"judgment {self.pk}"
