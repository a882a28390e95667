"""A person's way through a study: every step takes the participant's row lock, and every repeat is harmless."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection, transaction
from django.utils import timezone

from annotations import selectors
from annotations import services as judging
from annotations.models import Comparison, Judgment, Preference
from annotations.services import Stored
from annotations.written import Written
from studyapp import live
from studyapp.models import Participant
from studyapp.services import scoring, settling, strides, texts
from studyapp.services.events import log

State = Participant.State
MAX_PAGE_MS = 24 * 3600 * 1000
MAX_REASON = 4000


class Invalid(ValueError):
    """A form value that cannot be stored; `messages` maps field to what to do."""

    def __init__(self, messages: dict[str, str]) -> None:
        super().__init__("; ".join(messages.values()))
        self.messages = messages


# What a step may change of a participant, and the pages look at.
MOVING = ("state", "debriefed_at", "breaks_taken", "wait_started_at", "waited_ms", "shots_done_at", "last_seen_at")


FIELDS = ("study_id", "seat_id", "code", "state_before", "ended_at", *MOVING)
LOCKED = Written(lambda pk: Participant.objects.select_for_update().filter(pk=pk), *FIELDS)


def lock(participant: Participant) -> Participant:
    """The participant's row as it is now, locked until the transaction ends.

    Raises Participant.DoesNotExist when it is gone, and TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("a row can only be locked within a transaction")
    person = LOCKED.first(participant.pk)
    if person is None:
        raise Participant.DoesNotExist
    person.study = participant.study
    return person


def _tell(participant: Participant, person: Participant) -> None:
    """Bring the caller's object up to what was stored, the pair just read included."""
    for field in MOVING:
        setattr(participant, field, getattr(person, field))
    participant.upcoming = person.upcoming


def _move(participant: Participant, state: str, **stamps: object) -> None:
    """Write a state, its times and its event; the caller holds the lock."""
    participant.state = state
    for field, value in stamps.items():
        setattr(participant, field, value)
    participant.save(update_fields=["state", *stamps])
    log(participant.study, state, participant=participant)


def begin(participant: Participant) -> Participant:
    """The instructions were read: consented -> eliciting."""
    with transaction.atomic():
        person = lock(participant)
        if person.state == State.CONSENTED:
            now = timezone.now()
            _move(person, State.ELICITING, eliciting_at=now, last_seen_at=now)
    _tell(participant, person)
    return person


def choose(participant: Participant, opaque_id: str, choice: str, page_ms: int | None) -> Stored:
    """Store an elicitation choice; the last shot asks for the person's texts, the last pair ends elicitation.

    Raises Invalid when no side was chosen.
    """
    if choice not in ("first", "second"):
        raise Invalid({"choice": "Please choose the first or the second answer."})
    if _chosen_in_stride(participant, opaque_id, choice, page_ms):
        return Stored.NEW
    with transaction.atomic():
        person = lock(participant)
        if person.state != State.ELICITING:
            stored = Stored.OUT_OF_TURN
        else:
            stored = judging.record_choice(person.pk, opaque_id, choice, clean_ms(page_ms))
        if stored is Stored.NEW:
            _after_choice(person)
            live.study_changed(person.study_id)
    _tell(participant, person)
    return stored


def _chosen_in_stride(participant: Participant, opaque_id: str, choice: str, page_ms: int | None) -> bool:
    """True when this choice was as most are, and is stored."""
    if participant.state != State.ELICITING:
        return False
    participant.upcoming = strides.choose(participant, opaque_id, choice, clean_ms(page_ms))
    if participant.upcoming is None:
        return False
    live.study_changed(participant.study_id)
    return True


def _after_choice(person: Participant) -> None:
    coming = selectors.next_preference(person.pk)
    now = timezone.now()
    if person.shots_done_at is None and (coming is None or coming.role != Preference.Role.SHOT):
        person.shots_done_at = person.last_seen_at = now
        person.save(update_fields=["shots_done_at", "last_seen_at"])
        texts.request_personal(person, person.study)
        settling.settle_all(person)
    if coming is None:
        scoring.request_scores(person)
        _move(person, State.WAITING, waiting_at=now, last_seen_at=now)
        _advance(person)
    else:
        person.upcoming = coming
        judging.present(coming)  # this answer shows it


def judge(
    participant: Participant,
    opaque_id: str,
    *,
    choice: str,
    strength: int | None = None,
    reason: str = "",
    page_ms: int | None = None,
    input: str = "",
) -> Stored:
    """Store a judgment of the pair whose turn it is and move on; raises Invalid for values the scale refuses."""
    if _judged_in_stride(participant, opaque_id, (choice, strength, reason), page_ms=page_ms, input=input):
        return Stored.NEW
    with transaction.atomic():
        person = lock(participant)
        stored = Stored.OUT_OF_TURN
        current, coming = selectors.next_two(person.pk) if person.state == State.JUDGING else (None, None)
        if current is not None and current.opaque_id == opaque_id:
            values = check_judgment(person, choice, strength, reason)
            stored = judging.record_judgment(current, **values, page_ms=clean_ms(page_ms), input=input[:8])  # type: ignore[arg-type]
        elif judging.is_judged(person.pk, opaque_id):
            stored = Stored.AGAIN
        if stored is Stored.NEW:
            _advance(person, coming)
    _tell(participant, person)
    return stored


def _judged_in_stride(
    participant: Participant, opaque_id: str, given: tuple[str, int | None, str], *, page_ms: int | None, input: str
) -> bool:
    """True when this judgment was as most are, and is stored."""
    if participant.state != State.JUDGING:
        return False
    try:
        values = check_judgment(participant, *given)
    except Invalid:
        return False  # a repeat is answered as one, whatever its values
    page = {"page_ms": clean_ms(page_ms), "input": input[:8]}
    participant.upcoming = strides.judge(participant, opaque_id, **values, **page)  # type: ignore[arg-type]
    return participant.upcoming is not None


def check_judgment(person: Participant, choice: str, strength: int | None, reason: str) -> dict[str, object]:
    """The values to store under the study's scale; raises Invalid."""
    rules, problems = person.study.spec.judging, {}
    allowed = {"first", "second"} | ({"tie"} if rules.scale == "choice+tie" else set())
    if choice not in allowed:
        problems["choice"] = "Please choose one of the answers."
    wants_strength = rules.scale == "choice+strength"
    if wants_strength and (strength is None or not 1 <= strength <= 5):
        problems["strength"] = "Please say how strong your preference is, from 1 to 5."
    if rules.reason == "required" and not reason.strip():
        problems["reason"] = "Please say in a few words why."
    if len(reason) > MAX_REASON:
        problems["reason"] = f"Please keep your reason under {MAX_REASON} characters."
    if problems:
        raise Invalid(problems)
    kept = reason.strip().replace("\x00", "") if rules.reason != "off" else ""
    return {"choice": choice, "strength": strength if wants_strength else None, "reason": kept}


def clean_ms(value: int | None) -> int | None:
    """A page's own milliseconds, None unless believable (0 to a day)."""
    return value if value is not None and 0 <= value <= MAX_PAGE_MS else None


def advance(participant: Participant) -> Participant:
    """Look again: what the pages call. Idempotent; returns the fresh participant."""
    with transaction.atomic():
        person = lock(participant)
        if person.state in (State.WAITING, State.JUDGING):
            settling.settle_all(person)
            _advance(person)
    return person


def skip_missing(participant: Participant) -> bool:
    """Go on with a later pair that is ready; those before it are void, whatever their arms. Only past the deadline.

    False, and nothing changed, where nothing later is ready.
    """
    with transaction.atomic():
        person = lock(participant)
        if person.state not in (State.WAITING, State.JUDGING) or not past_deadline(person):
            return False
        settling.settle_all(person)
        missing = selectors.missing_before_ready(person.pk)
        if missing:
            judging.waited(missing[0], _stop_clock(person, timezone.now()))
            judging.void(missing, Comparison.VoidReason.DEADLINE)
            _advance(person)
    return bool(missing)


def _advance(person: Participant, coming: Comparison | None = None) -> None:
    """waiting -> judging when the next pair in planned order is ready; the wait clock; completion.

    `coming`: the next pair, where the caller has read it already.
    """
    current = coming if coming is not None and not settling.is_lost(coming) else _next_after_voids(person)
    now = timezone.now()
    if current is None:
        _stop_clock(person, now)
        if person.state == State.WAITING:
            _move(person, State.JUDGING, judging_at=now)
        _move(person, State.COMPLETED, judged_at=now, ended_at=now)
    elif current.state == Comparison.State.READY:
        person.upcoming = current
        judging.waited(current.pk, _stop_clock(person, current.ready_at or now))
        if person.state == State.WAITING:
            _move(person, State.JUDGING, judging_at=now)
        if not break_due(person, current):
            judging.present(current)  # the page that looks again shows it
    elif person.wait_started_at is None:
        person.wait_started_at = now
        person.save(update_fields=["wait_started_at"])
        texts.hurry(person)


def _next_after_voids(person: Participant) -> Comparison | None:
    """The next comparison; pairs reached with a failed text are voided on the way."""
    while (current := selectors.next_comparison(person.pk)) is not None:
        if not settling.is_lost(current):
            return current
        judging.void([current.pk], Comparison.VoidReason.GENERATION_FAILED)
    return None


def _stop_clock(person: Participant, until: datetime) -> int:
    """Add the current wait, if there is one, to the person's; its milliseconds."""
    if person.wait_started_at is None:
        return 0
    waited = max(0, int((until - person.wait_started_at).total_seconds() * 1000))
    person.waited_ms += waited
    person.wait_started_at = None
    person.save(update_fields=["waited_ms", "wait_started_at"])
    return waited


def past_deadline(person: Participant) -> bool:
    """True when the current wait has outlasted the study's deadline."""
    if person.wait_started_at is None:
        return False
    return timezone.now() - person.wait_started_at > timedelta(seconds=person.study.spec.wait.deadline_s)


def break_due(person: Participant, upcoming: Comparison | None) -> bool:
    """True when a break page comes before the pair `upcoming`."""
    every = person.study.spec.judging.break_every
    if not every or upcoming is None or person.state != State.JUDGING:
        return False
    return (upcoming.position - 1) // every > person.breaks_taken


def take_break(participant: Participant) -> Participant:
    """The break page was left."""
    with transaction.atomic():
        person = lock(participant)
        every = person.study.spec.judging.break_every
        current = selectors.next_comparison(person.pk)
        if person.state == State.JUDGING and every and current is not None:
            person.breaks_taken = (current.position - 1) // every
            person.last_seen_at = timezone.now()
            person.save(update_fields=["breaks_taken", "last_seen_at"])
            person.upcoming = current
    _tell(participant, person)
    return person


def debriefed(participant: Participant) -> Participant:
    """The debrief was read; the completion page is next."""
    Participant.objects.filter(pk=participant.pk, state=State.COMPLETED, debriefed_at__isnull=True).update(
        debriefed_at=timezone.now()
    )
    participant.refresh_from_db(fields=["debriefed_at"])
    return participant


def seen(participant: Participant) -> None:
    """Note that somebody is still there, at most once a minute."""
    now = timezone.now()
    if participant.is_unfinished and now - participant.last_seen_at > timedelta(seconds=60):
        Participant.objects.filter(pk=participant.pk).update(last_seen_at=now)


__all__ = [
    "Invalid",
    "Judgment",
    "Stored",
    "advance",
    "begin",
    "break_due",
    "choose",
    "debriefed",
    "judge",
    "lock",
    "past_deadline",
    "seen",
    "take_break",
]
