"""The generation ledger: what was asked, what came, every try. Postgres is the queue of record."""

from __future__ import annotations

from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property

from inference.contracts import REQUEST_VERSION


class Need(models.IntegerChoices):
    """Order of need, most urgent first: the first key by which work is claimed."""

    WAITING = 0, "a participant waits for it"
    PERSONAL = 1, "a participant will reach it"
    STOCK = 2, "made ahead of arrivals"
    SCORE = 3, "nobody waits for it"


class Work(models.Model):
    """What generations and scores share: state, claim, lease and fence."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        READY = "ready"
        FAILED = "failed"
        DISCARDED = "discarded"

    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    model_key = models.CharField(max_length=64, help_text="Base model's key: one queue and one batch.")
    adapter = models.CharField(max_length=500, blank=True)
    request_version = models.PositiveSmallIntegerField(
        default=REQUEST_VERSION, help_text="What a worker must understand to claim it."
    )
    need = models.PositiveSmallIntegerField(choices=Need.choices, default=Need.PERSONAL)
    position = models.PositiveIntegerField(default=0, help_text="Planned position, the second key of need.")
    claim_id = models.UUIDField(null=True, blank=True, help_text="The fence: only its holder may write.")
    lease_until = models.DateTimeField(null=True, blank=True)
    not_before = models.DateTimeField(null=True, blank=True, help_text="Back-off after a transient error.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="Claims so far.")
    error = models.CharField(max_length=500, blank=True, help_text="The last error, for staff.")
    queued_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True


class Generation(Work):
    """One text to make, once. `request` is the frozen snapshot; the rest is the record of how it came."""

    class Purpose(models.TextChoices):
        ANSWER = "answer"
        DESCRIPTION = "description"

    study = models.ForeignKey("studyapp.Study", on_delete=models.CASCADE, related_name="generations")
    owner = models.ForeignKey(
        "studyapp.Participant",
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="generations",
        help_text="Null for unpersonalised texts; a row with an owner is never shared.",
    )
    arm = models.CharField(max_length=64)
    question = models.ForeignKey("studyapp.Question", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=12, choices=Purpose.choices, default=Purpose.ANSWER)
    context_hash = models.CharField(max_length=64)
    replicate = models.PositiveIntegerField(default=0)
    request = models.JSONField(help_text="inference.contracts.GenerationRequest as JSON.")
    least_words = models.PositiveIntegerField(
        null=True, blank=True, help_text="Fewest words beside the pair's other text; set once that one is there."
    )
    most_words = models.PositiveIntegerField(null=True, blank=True, help_text="Most words beside it.")

    prompt = models.TextField(blank=True, help_text="Exact prompt; the chat layout as JSON.")
    shots_used = models.PositiveSmallIntegerField(null=True, blank=True)
    shots_dropped = models.PositiveSmallIntegerField(null=True, blank=True)
    raw_text = models.TextField(blank=True)
    text = models.TextField(blank=True, help_text="The shown text.")
    words = models.PositiveIntegerField(null=True, blank=True)
    flags = models.JSONField(default=list, blank=True, help_text="Leaks and window misses of the shown text.")
    finish_reason = models.CharField(max_length=10, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    prompt_tokens = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    cached_tokens = models.PositiveIntegerField(null=True, blank=True)
    engine = models.CharField(max_length=40, blank=True)
    model_digest = models.CharField(max_length=64, blank=True)
    tokenizer_digest = models.CharField(max_length=64, blank=True)
    adapter_digest = models.CharField(max_length=64, blank=True)
    abilities = models.JSONField(
        default=list, blank=True, help_text="What the engine could do: seeds, scores, prefix_cache."
    )
    versions = models.JSONField(default=dict, blank=True)
    device = models.CharField(max_length=60, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "owner", "arm", "question", "purpose", "context_hash", "replicate"],
                nulls_distinct=False,
                name="a_text_is_asked_for_once",
            ),
            models.CheckConstraint(
                condition=models.Q(state__in=["queued", "running", "ready", "failed", "discarded"]),
                name="a_generation_is_in_a_known_state",
            ),
            models.CheckConstraint(
                condition=~models.Q(state="running")
                | (models.Q(claim_id__isnull=False) & models.Q(lease_until__isnull=False)),
                name="a_running_generation_has_claim_and_lease",
            ),
        ]
        indexes = [
            # serves claim: queued work of a model in order of need
            models.Index(
                fields=["model_key", "need", "position", "id"],
                condition=models.Q(state="queued"),
                name="generation_queue",
            ),
            # serves the sweep: leases that are over
            models.Index(fields=["lease_until"], condition=models.Q(state="running"), name="generation_leases"),
        ]

    def __str__(self) -> str:
        return f"generation {self.pk}"

    @cached_property
    def history(self) -> list[Attempt]:
        """Its attempts, by number; a claim sets it."""
        return list(self.attempts.all())


class Attempt(models.Model):
    """One try at a generation: when, by whom, with which seed, and how it ended."""

    class Outcome(models.TextChoices):
        RUNNING = "running"
        READY = "ready"
        TRANSIENT = "transient"
        PERMANENT = "permanent"
        REFUSED = "refused"
        TIMEOUT = "timeout"
        OUT_OF_MEMORY = "out_of_memory"
        TRUNCATED = "truncated"
        EMPTY = "empty"
        DEGENERATE = "degenerate"
        WINDOW_MISSED = "window_missed"
        RATIO_MISSED = "ratio_missed"
        WORKER_LOST = "worker_lost"
        RETURNED = "returned"

    generation = models.ForeignKey(Generation, on_delete=models.CASCADE, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    claim_id = models.UUIDField()
    worker = models.CharField(max_length=120, blank=True)
    seed = models.BigIntegerField(null=True, blank=True)
    outcome = models.CharField(max_length=14, choices=Outcome.choices, default=Outcome.RUNNING)
    detail = models.CharField(max_length=500, blank=True)
    raw_text = models.TextField(blank=True)
    words = models.PositiveIntegerField(null=True, blank=True)
    completion_tokens = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["generation_id", "number"]
        constraints = [
            models.UniqueConstraint(fields=["generation", "number"], name="an_attempt_number_is_used_once"),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number}"


class Score(Work):
    """The log-probability of a given text under a conditioned model; asked for at the lowest need."""

    study = models.ForeignKey("studyapp.Study", on_delete=models.CASCADE, related_name="scores")
    owner = models.ForeignKey(
        "studyapp.Participant", on_delete=models.CASCADE, null=True, blank=True, related_name="scores"
    )
    arm = models.CharField(max_length=64)
    probe = models.ForeignKey("annotations.Preference", on_delete=models.CASCADE, related_name="scores")
    candidate = models.ForeignKey("studyapp.Candidate", on_delete=models.PROTECT, related_name="+")
    context_hash = models.CharField(max_length=64)
    request = models.JSONField()
    logprob = models.FloatField(null=True, blank=True)
    reference_logprob = models.FloatField(null=True, blank=True)
    tokens = models.PositiveIntegerField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["study", "owner", "arm", "probe", "candidate", "context_hash"],
                nulls_distinct=False,
                name="a_score_is_asked_for_once",
            ),
        ]

    def __str__(self) -> str:
        return f"score {self.pk}"
