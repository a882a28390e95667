"""How somebody arrives, read from the parameters of the entry link. Ids in a link are claims, never proofs."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

from studyapp.models import Participant
from studyapp.services.entry import Entry

Panel = Participant.Panel
# Panels fill these in when they send somebody; a link opened by hand still has them: {{%PROLIFIC_PID%}}, %SURVEY_CODE%.
_PLACEHOLDER = re.compile(r"\{\{.*\}\}|%[A-Z_]+%|\$\{.*\}|\[[A-Z_]+\]")
_LONGEST = 200


@dataclass(frozen=True, slots=True)
class PanelLink:
    """The parameter names of a panel's entry link."""

    panel: str
    name: str
    id: str
    study: str
    session: str
    label: str

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters in use."""
        return tuple(dict.fromkeys(n for n in (self.id, self.study, self.session) if n))


LINKS = (
    PanelLink(Panel.PROLIFIC, "Prolific", "PROLIFIC_PID", "STUDY_ID", "SESSION_ID", "Your Prolific ID"),
    PanelLink(Panel.CONNECT, "Connect", "participantId", "projectId", "assignmentId", "Your Connect participant ID"),
    # A SONA code is made anew for each sign-up, so it is the session too.
    PanelLink(Panel.SONA, "SONA", "survey_code", "", "survey_code", "Your SONA survey code"),
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """An entry, and what its form carries along. `missing` is the panel whose id is not in the link yet."""

    entry: Entry
    hidden: dict[str, str] = field(default_factory=dict)
    missing: PanelLink | None = None

    @property
    def is_personal(self) -> bool:
        """True when the link names somebody."""
        return bool(self.entry.invite or (self.entry.panel != Panel.OPEN and self.entry.panel_id))


def _value(given: Mapping[str, str], name: str) -> str:
    """A parameter, empty when it is absent, an unfilled placeholder, unprintable or absurdly long."""
    value = given.get(name, "").strip() if name else ""
    if len(value) > _LONGEST or not value.isprintable() or _PLACEHOLDER.fullmatch(value):
        return ""
    return value


def arrival_from(given: Mapping[str, str], device: str = "") -> Arrival:
    """Read the parameters of an entry link or form."""
    invite = _value(given, "invite")
    if invite:
        return Arrival(Entry(panel=Panel.INVITE, invite=invite, device=device), {"invite": invite})
    for link in LINKS:
        if any(name in given for name in link.names):
            return _from_panel(link, given, device)
    return _from_open_link(given, device)


def _from_panel(link: PanelLink, given: Mapping[str, str], device: str) -> Arrival:
    panel_id, session = _value(given, link.id), _value(given, link.session)
    hidden = {name: _value(given, name) for name in link.names if name != link.id or panel_id}
    if not session and link.session != link.id:
        # The form's own mark stands in: a second click is the same person, a link with the same id alone is not.
        mark = _mark(given)
        hidden["mark"], session = mark, f"form:{mark}"
    if not panel_id:
        # The form asks for the id by hand, in a field of the same name.
        return Arrival(Entry(panel=link.panel, device=device), hidden, link)
    entry = Entry(
        panel=link.panel, panel_id=panel_id, panel_study=_value(given, link.study), panel_session=session, device=device
    )
    return Arrival(entry, hidden)


def _mark(given: Mapping[str, str]) -> str:
    """128 random bits that a form carries, so that its second click is told from another person's first."""
    return _value(given, "mark") or secrets.token_urlsafe(16)


def _from_open_link(given: Mapping[str, str], device: str) -> Arrival:
    mark = _mark(given)
    return Arrival(Entry(panel_id=mark, panel_session=mark, device=device), {"mark": mark})
