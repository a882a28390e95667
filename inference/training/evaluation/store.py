"""Texts kept on disk as they are made, so that no text is made twice.

A file is JSON lines, one text each, under a key: a digest of everything that decides the text (weights, tokenizer,
prompt, decoding, seed). What another configuration or checkpoint has left in the file is never used by mistake, and a
line that a killed run left half-written is made again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from inference.contracts import Completion, EngineFacts, EngineRequest, InferenceError
from inference.engines import Engine
from inference.training.evaluation.errors import EvaluationError

CHUNK = 64  # rows between two writes


@dataclass(frozen=True, slots=True)
class Text:
    """One raw completion. `seconds` is its share of the time its chunk took; `finish` as in `Completion`."""

    key: str
    id: str
    text: str
    finish: str
    prompt_tokens: int
    new_tokens: int
    seconds: float


def seed_of(*names: object) -> int:
    """A seed for one row, 63 bits, from whatever names it."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, names)).encode()).digest()[:8], "big") >> 1


def key_of(request: EngineRequest, facts: EngineFacts) -> str:
    """The digest under which the text of a request is kept."""
    dtype = facts.versions.get("dtype", "")
    decided_by = [facts.model_digest, facts.tokenizer_digest, dtype, asdict(request.prompt), asdict(request.sampling)]
    return hashlib.sha256(json.dumps([*decided_by, request.seed], sort_keys=True).encode()).hexdigest()[:24]


def kept(path: Path) -> dict[str, Text]:
    """What a file holds, by key; empty without the file. EvaluationError for a line of another shape."""
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").split("\n")
    # Every whole line ends with a newline: what follows the last one was being written when a run was killed.
    texts = [_parsed(path, number, line) for number, line in enumerate(lines[:-1], start=1)]
    return {text.key: text for text in texts}


def _parsed(path: Path, number: int, line: str) -> Text:
    try:
        row: dict[str, Any] = json.loads(line)
        return Text(**row)
    except (ValueError, TypeError) as error:
        raise EvaluationError(
            f"{path} line {number}: is no kept text ({error}): delete the file, its texts are then made again"
        ) from error


def make(engine: Engine, requests: Sequence[EngineRequest], path: Path, title: str) -> list[Text]:
    """The texts of `requests`, in their order: kept ones from `path`, the others made and appended to it.

    Raises EvaluationError when a row fails twice; everything made until then is kept.
    """
    keys = [key_of(request, engine.facts) for request in requests]
    found = kept(path)
    todo = [(key, request) for key, request in zip(keys, requests, strict=True) if key not in found]
    # By length, so that a batch holds little padding.
    todo.sort(key=lambda item: _length(item[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    if todo:
        _end_line(path)
    with (
        path.open("a", encoding="utf-8") as file,
        tqdm(total=len(todo), desc=title, unit="text", disable=not todo) as bar,
    ):
        for start in range(0, len(todo), CHUNK):
            chunk = todo[start : start + CHUNK]
            for text in _made(engine, chunk):
                found[text.key] = text
                file.write(json.dumps(asdict(text), ensure_ascii=False) + "\n")
            file.flush()
            bar.update(len(chunk))
    return [found[key] for key in keys]


def missing(engine: Engine, requests: Sequence[EngineRequest], path: Path) -> int:
    """How many of the requests have no kept text."""
    found = kept(path)
    return sum(key_of(request, engine.facts) not in found for request in requests)


def _made(engine: Engine, chunk: Sequence[tuple[str, EngineRequest]]) -> list[Text]:
    started = time.perf_counter()
    answers = _answers(engine, [request for _, request in chunk])
    each = round((time.perf_counter() - started) / len(chunk), 4)
    return [
        Text(key, request.id, done.text, done.finish_reason, done.prompt_tokens, done.completion_tokens, each)
        for (key, request), done in zip(chunk, answers, strict=True)
    ]


def _answers(engine: Engine, requests: Sequence[EngineRequest]) -> list[Completion]:
    try:
        answers = engine.generate(requests)
    except InferenceError as error:
        raise EvaluationError(_stopped(requests[0], error)) from error
    done = []
    for request, answer in zip(requests, answers, strict=True):
        result = answer if isinstance(answer, Completion) else engine.generate([request])[0]
        if not isinstance(result, Completion):
            raise EvaluationError(_stopped(request, result))
        done.append(result)
    return done


def _stopped(request: EngineRequest, error: InferenceError) -> str:
    return f"{request.id}: {error}\nThe texts made so far are kept: run the same command again to go on"


def _length(request: EngineRequest) -> int:
    prompt = request.prompt
    return len(prompt.text) if prompt.text is not None else sum(len(part["content"]) for part in prompt.messages or ())


def _end_line(path: Path) -> None:
    """Cut off what a killed run left of a line, so that the next one starts on its own."""
    if path.exists():
        whole = path.read_bytes()
        if whole and not whole.endswith(b"\n"):
            path.write_bytes(whole[: whole.rfind(b"\n") + 1])
