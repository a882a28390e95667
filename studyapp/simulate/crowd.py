"""A crowd: C at a time, then the account: what was acknowledged against what is stored."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from annotations.models import Judgment, Preference
from studyapp.models import Participant, Study
from studyapp.services import entry
from studyapp.services.studies import StudyError
from studyapp.simulate.browser import Browser
from studyapp.simulate.habits import Mind
from studyapp.simulate.person import Diary, Person


@dataclass(slots=True)
class Crowd:
    """The account of a simulation. `lost`: acknowledged and not stored, or otherwise; `doubled`: stored twice."""

    participants: int
    seconds: float
    finished: int
    ended: dict[str, int]
    acknowledged: int
    stored: int
    lost: int
    doubled: int
    waits_s: dict[str, float]
    requests: int
    reconnects: int
    errors: int
    messages: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The account as plain values."""
        return asdict(self)

    @property
    def is_clean(self) -> bool:
        """True without errors, losses and doubles."""
        return not (self.errors or self.lost or self.doubled)


def refuse_mixing(study: Study) -> None:
    """Simulated people stay out of a study with real ones, unless its protocol says demo. Raises StudyError."""
    if not study.takes_people:
        raise StudyError(f"{study} is {study.state}; simulated people need an open study.")
    if not study.spec.demo and Participant.objects.filter(study=study, simulated=False).exists():
        raise StudyError(
            f"{study} has real participants. Simulate in a copy of the study folder with another slug, "
            "or in a study whose protocol says demo = true."
        )


def refuse_silence(base_url: str) -> None:
    """Nobody is sent where no Palate answers. Raises StudyError."""
    try:
        answer = httpx.get(f"{base_url}/healthz", timeout=10)
        answers = answer.status_code == 200 and answer.json() == {"status": "ok"}
        what = f"its /healthz says {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as problem:
        answers, what = False, str(problem) or type(problem).__name__
    if not answers:
        raise StudyError(
            f"No Palate answers at {base_url} ({what}). Start it with make demo, or name another: "
            "--base-url http://127.0.0.1:8000"
        )


def simulate(
    study: Study,
    *,
    participants: int,
    concurrency: int,
    think: float,
    base_url: str,
    seed: int,
    on_done: Callable[[Diary], None] = lambda diary: None,
) -> Crowd:
    """Send `participants` people, `concurrency` at a time, to the server at `base_url`; `think` in seconds a pair."""
    refuse_mixing(study)
    refuse_silence(base_url)
    invites = entry.make_invites(study, participants, simulated=True)
    started = time.monotonic()
    diaries = asyncio.run(_run(study.slug, invites, concurrency, think, base_url, seed, on_done))
    return _account(diaries, invites, time.monotonic() - started)


async def _run(
    slug: str, invites: list[str], concurrency: int, think: float, base_url: str, seed: int,
    on_done: Callable[[Diary], None],
) -> list[Diary]:  # fmt: skip
    gate = asyncio.Semaphore(concurrency)

    async def one(number: int, invite: str) -> Diary:
        async with gate:
            person = Person(Mind.of(number, seed), Browser(base_url), slug, invite, think)
            diary = await person.live()
            on_done(diary)
            return diary

    return await asyncio.gather(*(one(number, invite) for number, invite in enumerate(invites)))


def _account(diaries: list[Diary], invites: list[str], seconds: float) -> Crowd:
    kept = [diary for diary in diaries if not diary.erased]
    choices = {pair: values for diary in kept for pair, values in diary.choices.items()}
    judgments = {pair: values for diary in kept for pair, values in diary.judgments.items()}
    stored_choices = _stored(Preference.objects.filter(opaque_id__in=choices, choice__isnull=False), "opaque_id")
    stored_judgments = _stored(Judgment.objects.filter(comparison__opaque_id__in=judgments), "comparison__opaque_id")
    stored = stored_choices + stored_judgments
    right = {pair for pair, choice in stored if choice in (choices.get(pair) or judgments.get(pair) or ())}
    waits = [diary.wait_s for diary in kept if diary.judgments]
    return Crowd(
        participants=len(diaries),
        seconds=round(seconds, 2),
        finished=sum(diary.end == "done" for diary in diaries),
        ended=dict(Counter(diary.end or "error" for diary in diaries)),
        acknowledged=len(choices) + len(judgments),
        stored=len(stored),
        lost=len((choices.keys() | judgments.keys()) - right),
        doubled=len(stored) - len({pair for pair, _ in stored}),
        waits_s={
            "median": round(statistics.median(waits), 2) if waits else 0.0,
            "p95": round(sorted(waits)[int(0.95 * (len(waits) - 1))], 2) if waits else 0.0,
            "max": round(max(waits), 2) if waits else 0.0,
        },
        requests=sum(diary.requests for diary in diaries),
        reconnects=sum(diary.reconnects for diary in diaries),
        errors=sum(bool(diary.error) for diary in diaries),
        messages=[f"{message} ({n}x)" for message, n in Counter(d.error for d in diaries if d.error).most_common(5)],
    )


def _stored(rows: Any, key: str) -> list[tuple[str, str]]:
    return list(rows.values_list(key, "choice"))
