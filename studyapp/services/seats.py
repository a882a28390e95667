"""Seats: drawn in whole blocks before anyone needs them, sealed, freed when their person leaves unseen."""

from __future__ import annotations

import secrets

from django.db import connection, transaction
from django.db.models import Max

from annotations.models import Comparison
from annotations.plan import PlanSpec, SeatPlan, block_size, draw_block, seal_of, seat_digest
from studyapp.models import Participant, Seat, Study
from studyapp.protocol import plan_spec
from studyapp.services.banks import loaded_from_rows
from studyapp.services.events import log
from studyapp.services.texts import request_stock


def capacity(study: Study) -> int | None:
    """The planned number of seats; None when blocks are drawn as needed."""
    return study.spec.seats


def draw(study: Study, number: int | None = None) -> int:
    """Draw seats up to `number` (default: the capacity, or one block) and seal them; returns how many were drawn."""
    with transaction.atomic():
        _lock(study)
        have = Seat.objects.filter(study=study).count()
        wanted = number if number is not None else capacity(study)
        spec = plan_spec(loaded_from_rows(study))
        if wanted is None:
            wanted = have + block_size(spec)
        rows = _draw_rows(study, spec, have, wanted)
        Seat.objects.bulk_create(rows, batch_size=500)
        if rows:
            _seal(study)
            log(study, "seats_drawn", number=len(rows), seal=study.seat_seal)
    return len(rows)


def _draw_rows(study: Study, spec: PlanSpec, have: int, wanted: int) -> list[Seat]:
    rows: list[Seat] = []
    plans = Seat.objects.filter(study=study).order_by("number").values_list("plan", flat=True)
    drawn = [SeatPlan.from_json(plan) for plan in plans]
    block = (Seat.objects.filter(study=study).aggregate(last=Max("block"))["last"] or 0) + 1
    while have + len(rows) < wanted:
        size = min(block_size(spec), wanted - have - len(rows))
        fresh = draw_block(spec, size, secrets.SystemRandom(), drawn)
        drawn += fresh
        for plan in fresh:
            number, document = have + len(rows) + 1, plan.to_json()
            digest = seat_digest(number, document, study.seat_salt)
            rows.append(Seat(study=study, number=number, block=block, plan=document, digest=digest))
        block += 1
    return rows


def _seal(study: Study) -> None:
    digests = Seat.objects.filter(study=study).order_by("number").values_list("digest", flat=True)
    study.seat_seal = seal_of(digests)
    study.save(update_fields=["seat_seal"])


def _lock(study: Study) -> None:
    """One drawer at a time per study: an advisory lock that dies with the transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [0x5EA7, study.pk % 2**31])


def ensure_free(study: Study) -> None:
    """Without a cap, draw the next block when no seat is free."""
    if capacity(study) is not None or Seat.objects.filter(study=study, state=Seat.State.FREE).exists():
        return
    with transaction.atomic():
        _lock(study)
        if not Seat.objects.filter(study=study, state=Seat.State.FREE).exists():
            draw(study)
            request_stock(study)


def free(seat_id: int | None) -> None:
    """Give a seat back, whoever holds it."""
    if seat_id is not None:
        Seat.objects.filter(pk=seat_id).exclude(state=Seat.State.FREE).update(state=Seat.State.FREE)


def free_if_unseen(participant: Participant) -> bool:
    """Give the seat of somebody out for good back, unless a judged pair was ever shown; True when it was."""
    if participant.seat_id is None:
        return False
    shown = Comparison.objects.filter(participant=participant, presented_at__isnull=False).exists()
    if shown:
        return False
    Participant.objects.filter(pk=participant.pk).update(seat=None)
    free(participant.seat_id)
    return True
