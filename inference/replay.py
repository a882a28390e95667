"""Make stored texts again, from their requests and seeds, and say whether they come out the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    PermanentError,
)
from inference.engines import Engine
from inference.models import Generation
from inference.prompts import build
from inference.verdicts import prompt_text

BATCH = 16
SHOWN_TOKENS = 6


@dataclass(frozen=True, slots=True)
class Replayed:
    """One text made again.

    `token` is the number of the first token that differs, from 0; `was` and `now` are a few tokens from there on.
    `notes` say what differs in prompt, weights, versions or device, or why the text could not be made.
    """

    generation_id: int
    verdict: Literal["same", "different", "impossible"]
    token: int | None = None
    was: str = ""
    now: str = ""
    notes: tuple[str, ...] = ()


def replay(engine: Engine, rows: Sequence[Generation], *, batch: int = BATCH) -> Iterator[Replayed]:
    """Verdicts on `rows`, all of the engine's model, in order; `batch` texts are made at once."""
    for some in (rows[start : start + batch] for start in range(0, len(rows), batch)):
        asked: dict[int, EngineRequest] = {}
        refused: dict[int, str] = {}
        for row in some:
            try:
                asked[row.pk] = _request(engine, row)
            except InferenceError as error:
                refused[row.pk] = str(error)
        answers = dict(zip(asked, _generate(engine, list(asked.values())), strict=True))
        for row in some:
            if row.pk in refused:
                yield Replayed(row.pk, "impossible", notes=(refused[row.pk],))
            else:
                yield _verdict(engine, row, asked[row.pk], answers[row.pk])


def _request(engine: Engine, row: Generation) -> EngineRequest:
    if row.state != Generation.State.READY or row.seed is None:
        raise PermanentError(f"it is {row.state}: there is no text to compare with")
    try:
        request = GenerationRequest.from_json(row.request)
    except (KeyError, TypeError, AttributeError) as error:
        raise PermanentError(f"its request cannot be read by this version: {error!r}") from error
    prompt = build(request, fits=lambda prompt: engine.fits(prompt, request.sampling))
    return EngineRequest(str(row.pk), prompt, request.sampling, row.seed, request.adapter)


def _generate(engine: Engine, requests: list[EngineRequest]) -> list[Completion | InferenceError]:
    try:
        return engine.generate(requests) if requests else []
    except InferenceError as error:
        return [error] * len(requests)


def _verdict(
    engine: Engine, row: Generation, request: EngineRequest, answer: Completion | InferenceError
) -> Replayed:
    notes = (*_prompt_note(row, request, answer), *_changes(row, engine.facts))
    if isinstance(answer, InferenceError):
        return Replayed(row.pk, "impossible", notes=(f"{answer.code}: {answer}", *notes))
    if answer.text == row.raw_text:
        # The same text to another prompt is a coincidence, not a replay.
        return Replayed(row.pk, "different" if _prompt_note(row, request, answer) else "same", notes=notes)
    was, now = engine.pieces(row.raw_text), engine.pieces(answer.text)
    place = next((number for number, pair in enumerate(zip_longest(was, now)) if pair[0] != pair[1]), 0)
    shown = slice(place, place + SHOWN_TOKENS)
    return Replayed(row.pk, "different", place, "".join(was[shown]), "".join(now[shown]), notes)


def _prompt_note(row: Generation, request: EngineRequest, answer: Completion | InferenceError) -> list[str]:
    made = answer.prompt_text if isinstance(answer, Completion) else None
    same = row.prompt in (made, prompt_text(request.prompt))
    return [] if same else ["its prompt is built differently by this version"]


def _changes(row: Generation, facts: EngineFacts) -> list[str]:
    """What is not as it was when the text was made."""
    now = {
        "engine": facts.engine,
        "model digest": facts.model_digest,
        "tokenizer digest": facts.tokenizer_digest,
        "device": facts.device,
        **facts.versions,
    }
    was = {
        "engine": row.engine,
        "model digest": row.model_digest,
        "tokenizer digest": row.tokenizer_digest,
        "device": row.device,
        **row.versions,
    }
    names = [name for name in now | was if now.get(name) != was.get(name)]
    return [f"{name} was {was.get(name) or 'none'}, is {now.get(name) or 'none'}" for name in names]
