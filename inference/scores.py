"""What a worker does with claimed scores: log-probabilities with and without the shots, and how each row ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.conf import settings

from inference.contracts import (
    GenerationRequest,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
    TransientError,
)
from inference.engines import Engine
from inference.models import Score
from inference.prompts import build
from inference.queue.scores import ScoreEnding
from inference.verdicts import backoff

State = Score.State


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question to the engine: which row and which of its columns the answer fills."""

    row: Score
    column: str
    request: ScoreRequest


def score_rows(engine: Engine, rows: Sequence[Score]) -> list[ScoreEnding]:
    """Endings of claimed scores of the engine's model. A row whose reference is another model goes on to its queue."""
    asked: list[_Asked] = []
    endings: list[ScoreEnding] = []
    for row in rows:
        try:
            asked += _questions(engine, row)
        except InferenceError as error:
            endings.append(_failed(row, error))
    answers = _score(engine, [one.request for one in asked])
    by_row: dict[int, dict[str, Scored | InferenceError]] = {}
    for one, answer in zip(asked, answers, strict=True):
        by_row.setdefault(one.row.pk, {})[one.column] = answer
    return endings + [_ended(row, by_row[row.pk]) for row in rows if row.pk in by_row]


def _questions(engine: Engine, row: Score) -> list[_Asked]:
    try:
        request = GenerationRequest.from_json(row.request["request"])
        continuation, reference = str(row.request["continuation"]), _reference(row)
    except (KeyError, TypeError, AttributeError) as error:
        raise PermanentError(f"the stored request cannot be read by this version of the worker: {error!r}") from error
    found = []
    if row.logprob is None:
        found.append(_Asked(row, "logprob", _request(engine, request, continuation, row.adapter)))
    if reference.key == row.model_key:
        unconditioned = replace(request, shots=(), description=None)
        adapter = row.request["reference"]["adapter"]
        found.append(_Asked(row, "reference_logprob", _request(engine, unconditioned, continuation, adapter)))
    return found


def _reference(row: Score) -> ModelSpec:
    return ModelSpec(**row.request["reference"]["model"])


def _request(engine: Engine, request: GenerationRequest, continuation: str, adapter: str | None) -> ScoreRequest:
    # What follows takes the place of new tokens: shots are dropped until it fits, as for an answer.
    room = Sampling(max_tokens=max(1, len(engine.pieces(continuation))))

    def fits(prompt: Prompt) -> bool:
        return engine.fits(prompt, room)

    return ScoreRequest("", build(request, fits=fits), continuation, adapter or None)


def _score(engine: Engine, requests: list[ScoreRequest]) -> list[Scored | InferenceError]:
    if not requests:
        return []
    try:
        return engine.score(requests)
    except InferenceError as error:
        return [error for _ in requests]
    except Exception as error:  # an engine's library may raise anything
        return [TransientError(f"the engine failed: {error!r}") for _ in requests]


def _ended(row: Score, answers: dict[str, Scored | InferenceError]) -> ScoreEnding:
    assert row.claim_id is not None
    values: dict[str, Any] = {"error": ""}
    for column, answer in answers.items():
        if isinstance(answer, InferenceError):
            return _failed(row, answer)
        values[column] = answer.logprob
        if column == "logprob":
            values["tokens"] = answer.tokens
    if "reference_logprob" in answers:
        return ScoreEnding(row.pk, row.claim_id, State.READY, values)
    reference = row.request["reference"]
    onward = {"model_key": _reference(row).key, "adapter": reference["adapter"] or "", "tries": 0}
    return ScoreEnding(row.pk, row.claim_id, State.QUEUED, values | onward)


def _failed(row: Score, error: InferenceError) -> ScoreEnding:
    assert row.claim_id is not None
    values = {"error": f"{error.code}: {error}"[:500]}
    if isinstance(error, TransientError) and row.tries < settings.GENERATION_MAX_ATTEMPTS:
        return ScoreEnding(row.pk, row.claim_id, State.QUEUED, values, backoff(row.tries))
    return ScoreEnding(row.pk, row.claim_id, State.FAILED, values)
