"""Tables of people, their seats, and what happened to them."""

from __future__ import annotations

from typing import Any

from django.db.models import F, QuerySet

from studyapp.exports.columns import Column, Columns, Table
from studyapp.models import Event, Exclusion, Identity, Participant, Seat, Study

WITHDRAWN = Participant.State.WITHDRAWN
# Staff looking at or taking away data: in the log, but two exports of the same data are the same bytes.
UNEXPORTED = ("exported", "export_requested", "export_downloaded", "archived_to_file", "restored")


def _people(study: Study) -> QuerySet[Any]:
    """Everybody but the withdrawn, who are gone from every export."""
    return Participant.objects.filter(study=study).exclude(state=WITHDRAWN).order_by("id")


def _seats(study: Study) -> QuerySet[Any]:
    return Seat.objects.filter(study=study).order_by("number")


def _identities(study: Study) -> QuerySet[Any]:
    people = Identity.objects.filter(participant__study=study).exclude(participant__state=WITHDRAWN)
    return people.order_by("participant_id")


def _events(study: Study) -> QuerySet[Any]:
    rows = Event.objects.filter(study=study).exclude(participant__state=WITHDRAWN).exclude(kind__in=UNEXPORTED)
    return rows.order_by("id")


def _exclusions(study: Study) -> QuerySet[Any]:
    """Who is left out by which rule; nothing before unblinding, which settles them."""
    return Exclusion.objects.filter(study=study).exclude(participant__state=WITHDRAWN).order_by("id")


person = Columns(Participant)
PARTICIPANTS = Table(
    "participants",
    "One row a person who entered, in order of entry.",
    (
        person("participant", "code", "Pseudonymous code."),
        person("simulated", meaning="Sent by `manage.py simulate`."),
        person("state", meaning="Where the person is."),
        person("state_before", meaning="Where a timed-out person was; empty otherwise."),
        person("panel", meaning="How they came: open, invite, prolific, connect, sona."),
        person("device", meaning="phone, tablet or desktop."),
        person("seat", "seat__number", "Number of their seat; missing when they have none."),
        person("enrolled_at", meaning="The entry page's button was pressed."),
        person("consented_at", meaning="Consent was given."),
        person("eliciting_at", meaning="The instructions were left."),
        person("shots_done_at", meaning="The last shot was stored; personal texts were asked for."),
        person("waiting_at", meaning="The last elicitation pair was stored."),
        person("judging_at", meaning="The first pair was ready."),
        person("judged_at", meaning="The last judgment was stored."),
        person("debriefed_at", meaning="The debrief was left."),
        person("ended_at", meaning="Completed, or out for good."),
        person("waited_ms", meaning="All waits for texts, milliseconds."),
        person("breaks_taken", meaning="Break pages left."),
        person("consent_hash", meaning="SHA-256 of the consent text agreed to."),
    ),
    _people,
)

seat = Columns(Seat)
SEATS = Table(
    "seats",
    "One row a seat that was drawn: a person's whole plan, made before anyone needed it. `manage.py verify` checks the "
    "digests and the seal.",
    (
        seat("seat", "number", "Number; joins `participants` and `comparisons`."),
        seat("block", meaning="The block it was drawn in, from 1."),
        seat("state", meaning="free, held or taken."),
        seat("digest", meaning="SHA-256 of salt, number and plan."),
        seat("plan", meaning="The plan: pairs to label, pairs to judge, their sides and places.", arm=True),
    ),
    _seats,
    # a plan has kilobytes
    chunk=500,
)

identity = Columns(Identity)
IDENTITIES = Table(
    "identities",
    "Written with `--include-pii` alone. One row a person who came from a panel; it joins the panel's own records.",
    (
        identity("participant", "participant__code", "Code of the person."),
        identity("panel", "participant__panel", "prolific, connect or sona."),
        identity("panel_id", meaning="The panel's id of the person.", pii=True),
        identity("panel_study", meaning="The panel's id of the study.", pii=True),
        identity("panel_session", meaning="The panel's id of the session.", pii=True),
    ),
    _identities,
    personal=True,
)

excluded = Columns(Exclusion)
EXCLUSIONS = Table(
    "exclusions",
    "One row a person and a rule that leaves them out of an analysis set, with the evidence.",
    (
        excluded("participant", "participant__code", "Code of the person."),
        excluded("simulated", "participant__simulated", "Sent by `manage.py simulate`."),
        excluded("rule", meaning="The rule's `id`."),
        excluded("metric", meaning="What was measured."),
        excluded("op", meaning="How it was compared with the threshold."),
        excluded("threshold", meaning="The rule's `value`."),
        excluded("measured", meaning="What was measured of the person: the evidence."),
        excluded("post_hoc", meaning="The rule was added after unblinding."),
        excluded("decided_at", meaning="When the rule was settled."),
    ),
    _exclusions,
)

event = Columns(Event)
EVENTS = Table(
    "events",
    "The history of the study and its people. Staff looking at data and taking them away are in the log of the site, "
    "not here, so that an export changes no later one.",
    (
        event("event", "id", "Number."),
        event("at", meaning="When."),
        event("kind", meaning="What: a state reached, seats drawn, an unblinding."),
        event("participant", "participant__code", "Whom it concerns; missing for the study's own."),
        Column("actor", "whole number", "Staff account that did it; missing for commands and participants.",
               F("actor_id")),
        event("data", meaning="Ids, codes and logged reasons, never a participant's text."),
    ),
    _events,
)  # fmt: skip
