"""A study's life: load, open, pause, close, unblind. Each arrow is one conditional UPDATE with its event."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Count
from django.utils import timezone

from inference.models import Generation
from studyapp.models import UNFINISHED, Event, Participant, Seat, Study
from studyapp.protocol import Loaded, availability, load_folder
from studyapp.services import banks, exclusions, leaving, progress, seats, standing, texts
from studyapp.services.errors import StudyError
from studyapp.services.events import log

State = Study.State
MAX_REASON = 500
# History rows that carry a staff reason, as `status` tells them.
REASONED = ("preflight_skipped", "ended", State.UNBLINDED.value)


def find(name: str) -> Study:
    """The study called SLUG (newest version) or SLUG@2; raises StudyError."""
    slug, at, version = name.partition("@")
    rows = Study.objects.filter(slug=slug)
    if at:
        if not (version.isascii() and version.isdigit()):
            raise StudyError(f"{name}: a version is a whole number, as in {slug}@2.")
        rows = rows.filter(version=int(version))
    study = rows.order_by("-version").first()
    if study is None:
        known = ", ".join(str(s) for s in Study.objects.order_by("slug", "-version")[:10]) or "none yet"
        raise StudyError(
            f"There is no study {name}; loaded studies: {known}. Load one with: manage.py study load FOLDER"
        )
    return study


def load(path: Path) -> tuple[Study, bool]:
    """Read a study folder into the database; returns the study and whether anything changed.

    Idempotent. Raises StudyError when the folder has problems or asks for what is not built, or when the version is
    frozen and its files differ.
    """
    loaded = load_folder(path)
    missing = tuple(availability(loaded)) if loaded.protocol else ()
    if loaded.problems or loaded.protocol is None:
        raise StudyError(f"{path} has {len(loaded.problems)} problem(s).", loaded.problems)
    if missing:
        raise StudyError(f"{path} asks for what is not available yet.", missing)
    with transaction.atomic():
        return _store(path, loaded)


def _store(path: Path, loaded: Loaded) -> tuple[Study, bool]:
    spec = loaded.protocol
    assert spec is not None
    study = Study.objects.select_for_update().filter(slug=spec.slug, version=spec.version).first()
    if study and study.protocol_hash == loaded.hash:
        return study, False
    if study and study.is_frozen:
        raise StudyError(
            f"{study} was opened on {study.opened_at:%Y-%m-%d} and is frozen; its files in {path} have changed. "
            f"Put the files back, or set version = {spec.version + 1} in study.toml and load it as a new version."
        )
    values = {
        "title": spec.title,
        "protocol": spec.model_dump(mode="json"),
        "protocol_hash": loaded.hash,
        "documents": loaded.documents,
        "seed": spec.sampling.seed,
        "folder": str(path),
    }
    if study is None:
        study = Study(
            slug=spec.slug,
            version=spec.version,
            seat_salt=secrets.token_hex(16),
            panel_secret=secrets.token_hex(32),
        )
    for field, value in values.items():
        setattr(study, field, value)
    study.save()
    banks.write_rows(study, loaded)
    log(study, "loaded", hash=loaded.hash)
    return study, True


def _reason(given: str, owed: str) -> str:
    """A reason as it is kept. Raises StudyError, naming what is `owed`, when it is blank or too long."""
    reason = " ".join(given.split())
    if not reason:
        raise StudyError(owed)
    if len(reason) > MAX_REASON:
        raise StudyError(f"The reason has {len(reason)} characters; at most {MAX_REASON} are kept. Shorten it.")
    return reason


def _way(study: Study, to: str) -> str:
    """What to do instead of an arrow that does not exist."""
    if study.state == to:
        return " Nothing needs to be done."
    if to == State.UNBLINDED and study.state in (State.PILOT, State.OPEN, State.PAUSED):
        return f" Close it first: manage.py study close {study}"
    if to in (State.PAUSED, State.CLOSED) and study.state == State.DRAFT:
        return f" Nobody can enter it before: manage.py study open {study}"
    if to in (State.OPEN, State.PAUSED) and study.closed_at:
        return f" Closed is closed: for more people set version = {study.version + 1} in its study.toml and load that."
    return ""


def _move(
    study: Study, to: str, allowed: tuple[str, ...], actor: Any, said: dict[str, Any] | None = None, **values: Any
) -> None:
    """One arrow and its history row, which holds what was `said`."""
    changed = Study.objects.filter(pk=study.pk, state__in=allowed).update(state=to, **values)
    if not changed:
        study.refresh_from_db(fields=["state"])
        raise StudyError(
            f"{study} is {study.state}; only a study that is {' or '.join(allowed)} can become {to}.{_way(study, to)}"
        )
    study.refresh_from_db()
    log(study, to, actor=actor, **(said or {}))


def open_study(study: Study, *, skip_preflight: str = "", actor: Any = None) -> Study:
    """draft or paused -> open. The first time: freeze, draw and seal the seats, ask for the unpersonalised texts.

    A draft that is no demonstration needs `skip_preflight`, the reason, which is kept.
    """
    with transaction.atomic():
        if study.state == State.PAUSED:
            _move(study, State.OPEN, (State.PAUSED,), actor)
            return study
        if missing := tuple(availability(study.spec)):
            raise StudyError(f"{study} asks for what is not available yet; it was loaded by another release.", missing)
        if study.state == State.DRAFT and (skip_preflight or not study.spec.demo):
            owed = f'{study} has no preflight on record. Open it with --skip-preflight "your reason"; it is logged.'
            log(study, "preflight_skipped", actor=actor, reason=_reason(skip_preflight, owed))
        _move(study, State.OPEN, (State.DRAFT, State.PILOT), actor, opened_at=timezone.now())
        seats.draw(study)
        texts.request_stock(study)
    return study


def pause(study: Study, actor: Any = None) -> Study:
    """open -> paused: nobody new, those under way finish."""
    with transaction.atomic():
        _move(study, State.PAUSED, (State.OPEN,), actor)
    return study


def close(study: Study, *, end: str = "", actor: Any = None) -> Study:
    """open or paused -> closed. With `end` (a reason) those under way are timed out and every resume window shut."""
    with transaction.atomic():
        if study.state != State.CLOSED or not end:
            _move(study, State.CLOSED, (State.OPEN, State.PAUSED, State.PILOT), actor, closed_at=timezone.now())
        if end:
            log(study, "ended", actor=actor, reason=_reason(end, 'Ending needs a reason; it is logged: --end "why".'))
            _end_everybody(study)
    return study


def _end_everybody(study: Study) -> None:
    for person in Participant.objects.filter(study=study, state__in=UNFINISHED):
        locked = progress.lock(person)
        if locked.is_unfinished:
            leaving.mark_timed_out(locked)
    for person in Participant.objects.filter(study=study, state=Participant.State.TIMED_OUT, ended_at__isnull=True):
        leaving.shut_window(person)


def under_way(study: Study) -> int:
    """People unfinished, or timed out with the resume window open."""
    unfinished = Participant.objects.filter(study=study, state__in=UNFINISHED).count()
    timed_out = Participant.objects.select_related("study").filter(
        study=study, state=Participant.State.TIMED_OUT, ended_at__isnull=True
    )
    return unfinished + sum(leaving.may_resume(person) for person in timed_out)


def unblind(study: Study, reason: str, actor: Any = None) -> Study:
    """closed -> unblinded, with a logged reason; refused while anybody is under way. Exclusions are settled before."""
    kept = _reason(reason, 'Unblinding needs a reason; it is logged: --reason "why now".')
    with transaction.atomic():
        if study.state == State.CLOSED and (people := under_way(study)):
            raise StudyError(
                f"{study} has {people} participant(s) under way. Wait for them, or end them with: "
                f'manage.py study close {study} --end "REASON"'
            )
        if study.state == State.CLOSED:
            exclusions.settle(study, actor)
        _move(study, State.UNBLINDED, (State.CLOSED,), actor, {"reason": kept}, unblinded_at=timezone.now())
        standing.ask(study)
    return study


def status(study: Study) -> dict[str, Any]:
    """Counts and seals of a study; nothing that speaks of arms or outcomes."""

    def counts(rows: Any) -> dict[str, int]:
        return {row["state"]: row["n"] for row in rows.values("state").annotate(n=Count("id")).order_by("state")}

    return {
        "study": str(study),
        "title": study.title,
        "state": study.state,
        "protocol_hash": study.protocol_hash,
        "seats": {
            "capacity": seats.capacity(study),
            "seal": study.seat_seal,
            **counts(Seat.objects.filter(study=study)),
        },
        "participants": counts(Participant.objects.filter(study=study)),
        "generations": counts(Generation.objects.filter(study=study)),
        "under_way": under_way(study),
        "reasons": _reasons(study),
    }


def _reasons(study: Study) -> list[dict[str, Any]]:
    """What staff did and said why, oldest first; `by` is empty for a command."""
    rows = Event.objects.filter(study=study, kind__in=REASONED).select_related("actor")
    return [
        {"kind": row.kind, "at": row.at, "by": row.actor.get_username() if row.actor else "", **row.data}
        for row in rows
    ]
