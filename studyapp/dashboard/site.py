"""The first page: every study at a glance."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from inference.models import Generation
from studyapp.dashboard import counts
from studyapp.dashboard.studies import HOW_TO_LOAD, STATE_LABELS
from studyapp.models import UNFINISHED, Participant, Study

SHOWN = 12


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK: cards of the newest studies. Three queries."""
    if not request.user.has_perm("studyapp.view_study"):
        return {**context, "title": "Overview", "cards": None}
    found = list(Study.objects.order_by("-created_at", "-id").defer("documents")[:SHOWN])
    ids = [study.pk for study in found]
    people, texts = counts.by_study(Participant, ids), counts.by_study(Generation, ids)
    cards = [_card(study, people[study.pk], texts[study.pk]) for study in found]
    return {**context, "title": "Overview", "cards": cards, "how_to_load": HOW_TO_LOAD, "more": len(found) == SHOWN}


def _card(study: Study, people: Any, texts: Any) -> dict[str, Any]:
    completed, target = people[Participant.State.COMPLETED], study.spec.target_participants or study.spec.seats
    return {
        "study": study,
        "label": STATE_LABELS.get(study.state, ""),
        "completed": completed,
        "target": target,
        "share": min(100, int(100 * completed / target)) if target else None,
        "under_way": sum(people[state] for state in UNFINISHED),
        "ready": texts[Generation.State.READY],
        "texts": texts.total() - texts[Generation.State.DISCARDED],
        "failed": texts[Generation.State.FAILED],
    }
