"""What becomes of one try: the text arrives, is asked for again with a new seed, or fails visibly. No database here.

A technical error spends the technical budget and waits longer each time; a text that is empty, cut off, degenerate or
outside its window spends the window's tries. When those are spent the text nearest to its window is kept and flagged:
only a generation without any text that could be shown fails.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    PermanentError,
    Prompt,
    TransientError,
    Window,
)
from inference.engines import Engine
from inference.models import Attempt, Generation
from inference.normalise import Normalised, normalise
from inference.prompts import build
from inference.queue import Failed, Finished, Ledger, Tried
from inference.queue.claims import TECHNICAL

Outcome = Attempt.Outcome
Verdict = Finished | Failed

# How often a text without a window is asked for when it comes out empty, cut off or degenerate.
TRIES_WITHOUT_WINDOW = 3
MISSED = (Outcome.WINDOW_MISSED, Outcome.RATIO_MISSED)
TEXTUAL = (Outcome.EMPTY, Outcome.TRUNCATED, Outcome.DEGENERATE, *MISSED)
LONGEST_DELAY_S = 60.0
FURTHEST = 10_000  # positions that an engine tells apart within one need


@dataclass(frozen=True, slots=True)
class Job:
    """One claimed generation, ready for the engine. `attempts` are those since it was last asked for, this one last."""

    generation: Generation
    request: GenerationRequest
    prompt: Prompt
    attempts: Sequence[Attempt]

    @property
    def window(self) -> Window | None:
        """The length that is asked of the text: the study's window, within it what suits the pair's other text."""
        own, least, most = self.request.window, self.generation.least_words, self.generation.most_words
        if own is None or least is None or most is None:
            return own
        low, high = (min(max(words, own.min_words), own.max_words) for words in (least, most))
        return replace(own, min_words=low, max_words=high)

    @property
    def seed(self) -> int:
        """The seed of this attempt."""
        return self.attempts[-1].seed or 0

    def earlier(self, outcomes: Sequence[Outcome]) -> list[Attempt]:
        """Earlier attempts that ended in one of `outcomes`."""
        return [attempt for attempt in self.attempts[:-1] if attempt.outcome in outcomes]


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A text that missed its window: what would be shown, and the try it came from."""

    shown: Normalised
    raw_text: str
    seed: int
    finish_reason: str
    completion_tokens: int | None


def job_of(engine: Engine, row: Generation) -> Job:
    """A claimed row as `engine` will be asked for it; raises PermanentError where that cannot be."""
    try:
        request = GenerationRequest.from_json(row.request)
    except (KeyError, TypeError, AttributeError) as error:
        raise PermanentError(f"the stored request cannot be read by this version of the worker: {error!r}") from error
    prompt = build(request, fits=lambda prompt: engine.fits(prompt, request.sampling))
    return Job(row, request, prompt, attempts_of(row))


def engine_request(job: Job) -> EngineRequest:
    """What the engine is asked for."""
    request, row = job.request, job.generation
    urgency = row.need * FURTHEST + min(row.position, FURTHEST - 1)
    return EngineRequest(str(row.pk), job.prompt, request.sampling, job.seed, request.adapter, urgency)


def attempts_of(generation: Generation) -> list[Attempt]:
    """The attempts since the generation was last asked for, by number; the running one is the last."""
    since, claim = generation.queued_at, generation.claim_id
    return [one for one in generation.history if one.started_at >= since or one.claim_id == claim]


def of_answer(job: Job, answer: Completion | InferenceError, facts: EngineFacts, *, budget: int) -> Verdict:
    """The verdict on whatever an engine said of a job."""
    if isinstance(answer, InferenceError):
        return of_error(job.generation.pk, job.attempts, answer, budget=budget)
    return of_completion(job, answer, facts)


def of_completion(job: Job, completion: Completion, facts: EngineFacts) -> Finished | Failed:
    """The verdict on a completion, by what it looks like normalised and by how many tries went before."""
    shown = _normalise(job, completion.text, completion.finish_reason)
    outcome = _outcome(job, shown)
    tried = Tried(
        outcome,
        "" if outcome is Outcome.READY else _reason(job, shown),
        completion.text,
        shown.words,
        completion.completion_tokens,
    )
    this = _Candidate(shown, completion.text, job.seed, completion.finish_reason, completion.completion_tokens)
    if outcome is Outcome.READY:
        return Finished(job.generation.pk, _ledger(job, this, completion, facts, []), tried)
    spent = 1 + len(job.earlier(TEXTUAL))
    if spent < _tries(job.request):
        return Failed(job.generation.pk, tried, again=True)
    missed = [*_missed_before(job), *([this] if outcome in MISSED else [])]
    if not missed:
        return Failed(job.generation.pk, tried)
    nearest = min(missed, key=lambda candidate: candidate.shown.distance)
    return Finished(job.generation.pk, _ledger(job, nearest, completion, facts, [_outcome(job, nearest.shown)]), tried)


def of_error(generation_id: int, attempts: Sequence[Attempt], error: InferenceError, *, budget: int) -> Failed:
    """The verdict on an error: transient ones come again, later each time, until `budget` tries are spent."""
    outcome = Outcome(error.code) if error.code in Outcome.values else Outcome.PERMANENT
    tried = Tried(outcome, f"{error.code}: {error}")
    spent = 1 + sum(attempt.outcome in TECHNICAL for attempt in attempts[:-1])
    if isinstance(error, TransientError) and spent < budget:
        return Failed(generation_id, tried, again=True, delay_s=backoff(spent))
    return Failed(generation_id, tried)


def backoff(spent: int) -> float:
    """Seconds to wait after the `spent`-th technical error: exponential with jitter, so that workers spread."""
    longest = min(LONGEST_DELAY_S, 2.0 ** (spent - 1))
    return longest * random.uniform(0.5, 1.0)


def prompt_text(prompt: Prompt) -> str:
    """The exact prompt as it is kept: the text, or the chat messages as JSON."""
    return prompt.text if prompt.text is not None else json.dumps(prompt.messages, ensure_ascii=False)


def _tries(request: GenerationRequest) -> int:
    return request.window.tries if request.window else TRIES_WITHOUT_WINDOW


def _outcome(job: Job, shown: Normalised) -> Outcome:
    if shown.reject:
        return Outcome(shown.reject)
    if not shown.outside_window or job.request.window is None:
        return Outcome.READY
    own = job.request.window
    return Outcome.RATIO_MISSED if own.min_words <= shown.words <= own.max_words else Outcome.WINDOW_MISSED


def _reason(job: Job, shown: Normalised) -> str:
    window = job.window
    if shown.reject or window is None:
        return f"the text came out {shown.reject} ({shown.words} words)"
    return f"{shown.words} words, outside the window of {window.min_words} to {window.max_words}"


def _normalise(job: Job, raw: str, finish_reason: str) -> Normalised:
    request, prompt = job.request, job.prompt
    given = prompt.text if prompt.text is not None else "\n".join(m["content"] for m in prompt.messages or ())
    return normalise(
        raw,
        job.window,
        prompt=given,
        names=[request.model.source.rsplit("/", 1)[-1].rsplit(":", 1)[-1]],
        shots=request.shots,
        finish_reason="length" if finish_reason == "length" else "abort" if finish_reason == "abort" else "stop",
        purpose=request.purpose,
    )


def _missed_before(job: Job) -> Iterator[_Candidate]:
    for attempt in job.earlier(MISSED):
        # It was not cut off when it came, or it would have been called so.
        shown = _normalise(job, attempt.raw_text, "stop")
        yield _Candidate(shown, attempt.raw_text, attempt.seed or 0, "stop", attempt.completion_tokens)


def _ledger(job: Job, kept: _Candidate, last: Completion, facts: EngineFacts, extra_flags: list[str]) -> Ledger:
    return Ledger(
        prompt=last.prompt_text if last.prompt_text is not None else prompt_text(job.prompt),
        shots_used=job.prompt.shots_used,
        shots_dropped=job.prompt.shots_dropped,
        raw_text=kept.raw_text,
        text=kept.shown.shown,
        words=kept.shown.words,
        flags=sorted([*kept.shown.flags, *extra_flags]),
        finish_reason=kept.finish_reason,
        seed=kept.seed,
        prompt_tokens=last.prompt_tokens,
        completion_tokens=kept.completion_tokens,
        cached_tokens=last.cached_tokens,
        engine=facts.engine,
        model_digest=facts.model_digest,
        tokenizer_digest=facts.tokenizer_digest,
        device=facts.device,
        adapter_digest=last.adapter_digest,
        abilities=facts.abilities,
        versions=dict(facts.versions),
    )
