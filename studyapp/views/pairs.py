"""What the elicitation and the judging page share: a pair by its blind view, progress, and the values of a form."""

from __future__ import annotations

from django.http import HttpRequest

from annotations import selectors
from annotations.blinding import BlindView
from annotations.models import Comparison, Preference
from studyapp.models import Participant
from studyapp.views.pages import Context

ELICITATION_PROMPT = "Which answer do you prefer?"


def pair_context(
    participant: Participant, row: Preference | Comparison, pair: BlindView, prompt: str, action: str
) -> Context:
    """The context of a page with a pair: the view itself, the wording, how far along the person is."""
    spec = participant.study.spec
    asked = spec.elicitation.shots + spec.elicitation.probes + spec.elicitation.repeats
    done = selectors.progress_before(row, elicited=asked, judged=spec.main_items + spec.control_items)
    return {
        "title": f"Pair {done.done + 1} of {done.total}",
        "pair": pair,
        "prompt": prompt,
        "action": action,
        "number": done.done + 1,
        "progress": done,
        "may_stop": True,
    }


def whole_number(text: str | None) -> int | None:
    """A form's whole number; None for anything else."""
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def opaque_id(request: HttpRequest) -> str:
    """The pair a form answers; empty for what cannot be an id."""
    given = request.POST.get("pair", "")
    return given if given.isascii() and given.isprintable() and len(given) <= 32 else ""


def page_ms(request: HttpRequest) -> int | None:
    """The page's own time to decision, milliseconds."""
    return whole_number(request.POST.get("page_ms"))


def input_kind(request: HttpRequest) -> str:
    """How the choice was made, as the page noticed: key, pointer or empty."""
    kind = request.POST.get("input", "")
    return kind if kind in ("key", "pointer") else ""
