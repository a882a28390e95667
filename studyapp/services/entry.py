"""Entry: a seat and a participant in one transaction, consent, and every way of coming back."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from functools import reduce
from operator import or_

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from annotations import services as judging
from annotations.models import Comparison, Preference
from annotations.plan import SeatPlan
from annotations.written import Written
from studyapp.models import Candidate, Identity, Invite, Participant, Question, Seat, Study
from studyapp.services import seats, texts
from studyapp.services.events import log


class EntryRefused(Exception):
    """Base of the kind refusals at the door."""


class StudyFull(EntryRefused):
    """No free seat: nothing was created."""


class StudyClosed(EntryRefused):
    """The study takes nobody now."""


class BadInvite(EntryRefused):
    """The invite token is unknown or over."""


class KnownPerson(EntryRefused):
    """This panel id or invite has entered before. `may_resume` when the proof (session, token) matches."""

    def __init__(self, participant: Participant, may_resume: bool) -> None:
        super().__init__("known person")
        self.participant = participant
        self.may_resume = may_resume


@dataclass(frozen=True, slots=True)
class Entry:
    """How somebody arrives. `panel` is open, invite, prolific, connect or sona; ids are claims, not proofs."""

    panel: str = Participant.Panel.OPEN
    panel_id: str = ""
    panel_study: str = ""
    panel_session: str = ""
    invite: str = ""
    device: str = ""


def token_hash(token: str) -> str:
    """SHA-256 of a token of 128 random bits or more; tokens themselves are never stored."""
    return hashlib.sha256(token.encode()).hexdigest()


def panel_key(study: Study, panel: str, panel_id: str) -> str:
    """Keyed hash of a panel id: tells re-entry, says nothing once the study's key is gone."""
    return hmac.new(study.panel_secret.encode(), f"{panel}:{panel_id}".encode(), hashlib.sha256).hexdigest()


def serving(slug: str) -> Study | None:
    """The newest version that takes people; without one, the newest that people may still be inside."""
    versions = list(Study.objects.serving(slug).defer("protocol", "documents"))
    return next((s for s in versions if s.takes_people), versions[0] if versions else None)


def enrol(study: Study, entry: Entry) -> Participant:
    """Hold the lowest free seat and create the participant, together or not at all.

    Raises StudyClosed, BadInvite, KnownPerson or StudyFull; then nothing was created.
    """
    invite = _find_invite(study, entry)
    simulated = invite is not None and invite.simulated
    # Simulated people are exempt from the enrolment limit, not from the seats.
    if not study.takes_people:
        raise StudyClosed
    _refuse_mixing(study, simulated)
    key = panel_key(study, entry.panel, entry.panel_id) if entry.panel_id else None
    if key:
        _refuse_known(study, entry)
    seats.ensure_free(study)
    try:
        with transaction.atomic():
            participant = _create(study, entry, key, invite)
    except IntegrityError:
        if key:
            _refuse_known(study, entry)
        raise
    return participant


def _find_invite(study: Study, entry: Entry) -> Invite | None:
    if not entry.invite:
        return None
    invite = (
        Invite.objects.select_related("participant").filter(study=study, token_hash=token_hash(entry.invite)).first()
    )
    if invite is None or (invite.expires_at and invite.expires_at < timezone.now()):
        raise BadInvite
    if invite.participant:
        raise KnownPerson(invite.participant, may_resume=True)
    return invite


def _refuse_mixing(study: Study, simulated: bool) -> None:
    """A study has real or simulated people, never both, unless its protocol says demo."""
    if study.spec.demo:
        return
    if study.participants.filter(simulated=not simulated).exists():
        raise StudyClosed


def _refuse_known(study: Study, entry: Entry) -> None:
    known = _known(study.slug, entry.panel, entry.panel_id)
    if known:
        raise KnownPerson(known, may_resume=_session_matches(known, entry.panel_session))


def _known(slug: str, panel: str, panel_id: str) -> Participant | None:
    """Who of any version of the study entered with this panel id, the newest version first."""
    versions = Study.objects.filter(slug=slug).exclude(panel_secret="").only("id", "panel_secret")
    keys = [Q(study=version, panel=panel, panel_key=panel_key(version, panel, panel_id)) for version in versions]
    if not keys:
        return None
    people = Participant.objects.filter(reduce(or_, keys)).select_related("study", "identity")
    return people.order_by("-study__version").first()


def _session_matches(participant: Participant, session: str) -> bool:
    identity = getattr(participant, "identity", None)
    return bool(session and identity and hmac.compare_digest(identity.panel_session.encode(), session.encode()))


def _create(study: Study, entry: Entry, key: str | None, invite: Invite | None) -> Participant:
    seat = (
        Seat.objects.select_for_update(skip_locked=True)
        .filter(study=study, state=Seat.State.FREE)
        .defer("plan")
        .order_by("number")
        .first()
    )
    if seat is None:
        raise StudyFull
    Seat.objects.filter(pk=seat.pk).update(state=Seat.State.HELD)
    participant = Participant.objects.create(
        study=study,
        seat=seat,
        panel=Participant.Panel.INVITE if invite else entry.panel,
        panel_key=key,
        simulated=bool(invite and invite.simulated),
        device=entry.device,
    )
    if entry.panel_id:
        Identity.objects.create(
            participant=participant,
            panel_id=entry.panel_id,
            panel_study=entry.panel_study,
            panel_session=entry.panel_session,
        )
    if invite and not Invite.objects.filter(pk=invite.pk, participant__isnull=True).update(participant=participant):
        raise BadInvite
    log(study, "enrolled", participant=participant, seat=seat.number, panel=participant.panel)
    return participant


def consent(participant: Participant) -> str | None:
    """Take the seat, write the person's plan as rows, return the resume token; None when consent was given before."""
    token = secrets.token_urlsafe(16)
    with transaction.atomic():
        locked = (
            Participant.objects.select_for_update(of=("self",))
            .select_related("study", "seat")
            .defer("study__protocol")
            .get(pk=participant.pk)
        )
        if locked.state != Participant.State.ENROLLED or locked.seat is None:
            return None
        study, seat = locked.study, locked.seat
        Seat.objects.filter(pk=seat.pk).update(state=Seat.State.TAKEN)
        now = timezone.now()
        Participant.objects.filter(pk=locked.pk).update(
            state=Participant.State.CONSENTED,
            consented_at=now,
            last_seen_at=now,
            consent_hash=hashlib.sha256(study.documents.get("consent", "").encode()).hexdigest(),
            resume_hash=token_hash(token),
        )
        _write_plan(locked, study, seat)
        log(study, "consented", participant=locked)
    participant.refresh_from_db(fields=["state", "consented_at", "last_seen_at", "consent_hash", "resume_hash"])
    return token


def new_resume_token(participant: Participant) -> str:
    """A fresh resume token; the one before stops working."""
    token = secrets.token_urlsafe(16)
    Participant.objects.filter(pk=participant.pk).exclude(state=Participant.State.WITHDRAWN).update(
        resume_hash=token_hash(token)
    )
    return token


def _write_plan(participant: Participant, study: Study, seat: Seat) -> None:
    plan = SeatPlan.from_json(seat.plan)
    questions = {question.key: question for question in Question.objects.filter(study=study).only("key", "text")}
    _write_preferences(participant, plan, questions)
    _write_comparisons(participant, seat, plan, questions)
    judging.settle_person(participant.pk)


def _write_preferences(participant: Participant, plan: SeatPlan, questions: dict[str, Question]) -> None:
    asked = {questions[pair.question].pk for pair in plan.pairs}
    found = Candidate.objects.filter(question_id__in=asked).order_by().values_list("question_id", "key", "id")
    candidates = {(question_id, key): pk for question_id, key, pk in found}
    rows: dict[int, Preference] = {}
    for pair in plan.pairs:
        question = questions[pair.question]
        rows[pair.position] = Preference(
            participant=participant,
            position=pair.position,
            role=pair.role,
            question=question,
            first_id=candidates[question.pk, pair.first],
            second_id=candidates[question.pk, pair.second],
            repeat_of=rows[pair.repeat_of] if pair.repeat_of is not None else None,
        )
    # A row that repeats another is inserted when that one has its id.
    Preference.objects.bulk_create([row for row in rows.values() if row.repeat_of is None])
    Preference.objects.bulk_create([row for row in rows.values() if row.repeat_of is not None])


def _write_comparisons(participant: Participant, seat: Seat, plan: SeatPlan, questions: dict[str, Question]) -> None:
    spec = participant.study.spec
    rows: dict[int, Comparison] = {}
    for planned in plan.comparisons:
        arms = (planned.arm_a or "", planned.arm_b or "")
        rows[planned.position] = Comparison(
            participant=participant,
            seat=seat,
            position=planned.position,
            kind=planned.kind,
            question=questions[planned.question],
            arm_a=arms[0],
            arm_b=arms[1],
            replicate_a=texts.replicate_of(spec, arms[0], seat.number),
            replicate_b=texts.replicate_of(spec, arms[1], seat.number),
            a_is_first=planned.a_is_first,
            repeat_of=rows[planned.repeat_of] if planned.repeat_of is not None else None,
        )
    texts.link_ready_made(participant.study, list(rows.values()))
    Comparison.objects.bulk_create([row for row in rows.values() if row.repeat_of is None])
    Comparison.objects.bulk_create([row for row in rows.values() if row.repeat_of is not None])


def decline(participant: Participant) -> None:
    """No consent, kindly: the seat is free again at once, and who came is forgotten but for the keyed hash."""
    with transaction.atomic():
        changed = Participant.objects.filter(pk=participant.pk, state=Participant.State.ENROLLED).update(
            state=Participant.State.DECLINED, ended_at=timezone.now(), seat=None, device=""
        )
        if changed:
            Identity.objects.filter(participant=participant).delete()
            seats.free(participant.seat_id)
            log(participant.study, "declined", participant=participant)
    participant.refresh_from_db()


_BY_CODE = Written(
    lambda code: Participant.objects.filter(code=code),
    # What pages of every choice read; the rest of the row is read when a page asks for it.
    *("code", "seat_id", "state", "state_before", "panel", "shots_done_at", "wait_started_at", "waited_ms"),
    *("breaks_taken", "last_seen_at", "debriefed_at", "ended_at"),
    *(f"study__{field}" for field in ("slug", "version", "title", "state", "protocol_hash")),
)


def by_code(slug: str, code: str) -> Participant | None:
    """The participant of a signed cookie, with the study."""
    found = _BY_CODE.first(code)
    return found if found is not None and found.study.slug == slug else None


def by_resume_token(slug: str, token: str) -> Participant | None:
    """The participant whose resume link this is."""
    return Participant.objects.select_related("study").filter(study__slug=slug, resume_hash=token_hash(token)).first()


def by_invite(slug: str, token: str) -> Participant | None:
    """The participant who entered by this invite."""
    return (
        Participant.objects.select_related("study")
        .defer("study__protocol", "study__documents")
        .filter(study__slug=slug, invite__token_hash=token_hash(token))
        .first()
    )


def by_panel(slug: str, panel: str, panel_id: str, session: str) -> Participant | None:
    """The participant of this panel id, only with the session id of the entry: an id alone proves nothing."""
    known = _known(slug, panel, panel_id)
    return known if known and _session_matches(known, session) else None


def make_invites(study: Study, number: int, *, simulated: bool = False) -> list[str]:
    """New invite tokens of 128 random bits; only their hashes are kept."""
    tokens = [secrets.token_urlsafe(16) for _ in range(number)]
    Invite.objects.bulk_create(Invite(study=study, token_hash=token_hash(t), simulated=simulated) for t in tokens)
    return tokens
