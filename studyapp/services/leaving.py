"""Every way out: stop, erase, leave paid, time out; and the way back from a time-out."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from annotations import services as judging
from inference import queue
from studyapp.models import UNFINISHED, Event, Exclusion, Identity, Invite, Participant, Seat, Study
from studyapp.services import downloads, seats, standing
from studyapp.services.events import log
from studyapp.services.progress import lock, past_deadline

State = Participant.State


def _leave(person: Participant, state: str, actor: Any = None) -> None:
    """End somebody's way for good but keep their data; the caller holds the lock."""
    person.state, person.ended_at, person.wait_started_at = state, timezone.now(), None
    person.save(update_fields=["state", "ended_at", "wait_started_at"])
    _let_go(person)
    log(person.study, state, participant=person, actor=actor)


def _let_go(person: Participant) -> None:
    judging.void_left(person.pk)
    queue.discard(owner_id=person.pk)
    seats.free_if_unseen(person)


def stop(participant: Participant) -> bool:
    """Stop and keep what was given. False when there was nothing left to stop."""
    with transaction.atomic():
        person = lock(participant)
        if not (person.is_unfinished or person.state == State.TIMED_OUT):
            return False
        _leave(person, State.STOPPED)
    return True


def leave_paid(participant: Participant) -> bool:
    """Leave with pay because a text did not come in time; only past the wait's deadline."""
    with transaction.atomic():
        person = lock(participant)
        if person.state not in (State.WAITING, State.JUDGING) or not past_deadline(person):
            return False
        _leave(person, State.EXCUSED)
    return True


def excuse(participant: Participant, actor: Any) -> bool:
    """Staff excuse somebody for a technical reason."""
    with transaction.atomic():
        person = lock(participant)
        if not (person.is_unfinished or person.state == State.TIMED_OUT):
            return False
        _leave(person, State.EXCUSED, actor)
    return True


def withdraw(participant: Participant, actor: Any = None) -> str | None:
    """Erase everything of a person but code, state, times and the keyed panel hash; returns the receipt.

    None when they had withdrawn before. A worker that finishes later finds no row to write to.
    """
    receipt = "-".join(secrets.token_hex(2).upper() for _ in range(4))
    with transaction.atomic():
        person = lock(participant)
        if person.state == State.WITHDRAWN:
            return None
        seats.free_if_unseen(person)
        judging.erase(person.pk)
        queue.erase(owner_id=person.pk)
        Identity.objects.filter(participant=person).delete()
        Invite.objects.filter(participant=person).delete()
        Exclusion.objects.filter(participant=person).delete()
        Event.objects.filter(participant=person).update(data={})
        Participant.objects.filter(pk=person.pk).update(
            state=State.WITHDRAWN,
            state_before="",
            resume_hash=None,
            device="",
            consent_hash="",
            seat=None,
            breaks_taken=0,
            waited_ms=0,
            wait_started_at=None,
            receipt_hash=hashlib.sha256(receipt.encode()).hexdigest(),
            ended_at=timezone.now(),
        )
        downloads.expire_of(person.study)
        standing.forget(person.study)
        log(person.study, "withdrawn", participant=person, actor=actor)
        standing.ask(person.study)
    participant.refresh_from_db()
    return receipt


def time_out(now: Any = None) -> int:
    """Sweep: silent people time out; seats of those past the resume window go back. Returns people timed out."""
    now = now or timezone.now()
    count = 0
    for study in Study.objects.filter(participants__state__in=UNFINISHED).distinct():
        silent = now - timedelta(minutes=study.spec.sessions.lease_min)
        for person in Participant.objects.filter(study=study, state__in=UNFINISHED, last_seen_at__lt=silent):
            count += _time_out_one(person, silent)
    for study in Study.objects.filter(
        participants__state=State.TIMED_OUT, participants__ended_at__isnull=True
    ).distinct():
        gone = (
            now - timedelta(minutes=study.spec.sessions.lease_min) - timedelta(hours=study.spec.sessions.resume_hours)
        )
        people = Participant.objects.filter(
            study=study, state=State.TIMED_OUT, ended_at__isnull=True, last_seen_at__lt=gone
        )
        for person in people:
            shut_window(person)
    return count


def _time_out_one(participant: Participant, silent: Any) -> int:
    with transaction.atomic():
        person = lock(participant)
        if not person.is_unfinished or person.last_seen_at >= silent:
            return 0
        mark_timed_out(person)
    return 1


def mark_timed_out(person: Participant) -> None:
    """unfinished -> timed_out; without consent the seat is free again. The caller holds the lock."""
    before = person.state
    person.state, person.state_before, person.wait_started_at = State.TIMED_OUT, before, None
    person.save(update_fields=["state", "state_before", "wait_started_at"])
    if before == State.ENROLLED:
        seats.free_if_unseen(person)
    log(person.study, "timed_out", participant=person, was=before)


def shut_window(participant: Participant) -> bool:
    """Close the way back of somebody timed out and give an unseen seat back."""
    with transaction.atomic():
        person = lock(participant)
        if person.state != State.TIMED_OUT or person.ended_at is not None:
            return False
        person.ended_at = timezone.now()
        person.save(update_fields=["ended_at"])
        _let_go(person)
        log(person.study, "resume_window_shut", participant=person)
    return True


def may_resume(person: Participant) -> bool:
    """True while somebody timed out may go on."""
    window = timedelta(minutes=person.study.spec.sessions.lease_min, hours=person.study.spec.sessions.resume_hours)
    return (
        person.state == State.TIMED_OUT and person.ended_at is None and timezone.now() - person.last_seen_at <= window
    )


def resume(participant: Participant) -> bool:
    """timed_out -> where they were, inside the window; somebody without consent needs a free seat again."""
    with transaction.atomic():
        person = lock(participant)
        if not may_resume(person):
            return False
        if person.seat_id is None and not _seat_again(person):
            return False
        person.state, person.state_before, person.last_seen_at = person.state_before, "", timezone.now()
        person.save(update_fields=["state", "state_before", "last_seen_at"])
        log(person.study, "resumed", participant=person, to=person.state)
    participant.refresh_from_db()
    return True


def _seat_again(person: Participant) -> bool:
    seat = (
        Seat.objects.select_for_update(skip_locked=True)
        .filter(study=person.study, state=Seat.State.FREE)
        .defer("plan")
        .order_by("number")
        .first()
    )
    if seat is None or not person.study.takes_people:
        return False
    Seat.objects.filter(pk=seat.pk).update(state=Seat.State.HELD)
    person.seat = seat
    person.save(update_fields=["seat"])
    return True
