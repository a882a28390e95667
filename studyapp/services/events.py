"""One door for history rows: ids, codes and the reasons that staff gave; never a participant's text."""

from __future__ import annotations

from typing import Any

from studyapp import live
from studyapp.models import Event, Participant, Study


def log(study: Study, kind: str, *, participant: Participant | None = None, actor: Any = None, **data: Any) -> None:
    """Write one history row, inside the transaction of the change it tells of; who watches the study looks again."""
    Event.objects.create(
        study_id=study.pk,
        participant_id=participant.pk if participant else None,
        actor_id=actor.pk if actor is not None and getattr(actor, "pk", None) else None,
        kind=kind,
        data=data,
    )
    live.study_changed(study.pk)
