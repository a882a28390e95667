"""The contract of every engine: prompts in, completions out, row by row, with typed errors."""

from __future__ import annotations

import hashlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
)


class Engine(Protocol):
    """A loaded model. Calls may come from several threads; an engine serialises what it must."""

    @property
    def facts(self) -> EngineFacts:
        """What the ledger keeps about this engine with every text."""

    @property
    def slots(self) -> int:
        """How many rows are worth giving to one `generate`; more are accepted and done in turns."""

    @property
    def alive(self) -> bool:
        """Whether it can go on; one that cannot is loaded anew."""

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether the prompt and `sampling.max_tokens` new tokens fit the model's context."""

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        """One result a request, in their order: a completion, or the typed error of that row alone.

        A request's result depends on its prompt, sampling, seed and adapter only, never on the rest of the batch.
        Raises InferenceError only when the call as a whole failed and says nothing about any row.
        """

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scored | InferenceError]:
        """One result a request, in their order; where `facts.can_score` is false, a PermanentError each."""

    def pieces(self, text: str) -> list[str]:
        """The text cut into the model's tokens, or into words where the engine does not know them."""


@runtime_checkable
class StreamingEngine(Engine, Protocol):
    """An engine that batches by itself whatever is at work in it."""

    @property
    def ahead(self) -> int:
        """How many rows it takes beyond its slots; it starts the most urgent of them as soon as a slot is free."""

    def begin(self, request: EngineRequest) -> Future[Completion | InferenceError]:
        """Take a row in and return at once; what `generate` would say of it comes later. Raises nothing."""


def check_sampling(sampling: Sampling) -> None:
    """Raise PermanentError for decoding parameters that no engine can honour."""
    if not (math.isfinite(sampling.temperature) and sampling.temperature >= 0):
        raise PermanentError(f"temperature {sampling.temperature} is no finite number >= 0: use 0 for greedy decoding")
    if not 0 < sampling.top_p <= 1:
        raise PermanentError(f"top_p {sampling.top_p} is outside (0, 1]: use 1 to keep every token")
    if sampling.max_tokens < 1:
        raise PermanentError(f"max_tokens {sampling.max_tokens} leaves no room for an answer: use at least 1")


def check_options(spec: ModelSpec, allowed: Iterable[str]) -> dict[str, Any]:
    """The engine options of `spec`; PermanentError names an unknown one and what is allowed."""
    unknown = sorted(set(spec.options) - set(allowed))
    if unknown:
        raise PermanentError(
            f"engine {spec.engine!r} knows no option {unknown[0]!r}: use {', '.join(sorted(allowed)) or 'none'}"
        )
    return spec.options


def words_of(text: str) -> list[str]:
    """The text cut into words, each with the space after it; joined they are the text."""
    return re.findall(r"\s*\S+\s*|\s+", text)


def files_digest(files: Iterable[Path]) -> str:
    """One SHA-256 for several files, as ``sha256sum FILES | sha256sum`` prints it for their sorted names."""
    listing = hashlib.sha256()
    for path in sorted(files, key=lambda file: file.name):
        with path.open("rb") as opened:
            listing.update(f"{hashlib.file_digest(opened, 'sha256').hexdigest()}  {path.name}\n".encode())
    return listing.hexdigest()


def checked_context(options: dict[str, Any], own: int) -> int:
    """The option `max_context`, tokens, or the model's `own`; PermanentError when it is not within that."""
    wanted = options.get("max_context", own)
    if type(wanted) is not int or not 1 <= wanted <= own:
        raise PermanentError(f"max_context {wanted!r}: expected a whole number from 1 to the model's {own}")
    return wanted


def checked_number(name: str, given: str | None, default: float, least: float, most: float) -> float:
    """The number `given` in the environment variable `name`; PermanentError when it is none from `least` to `most`."""
    try:
        value = float(given or default)
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise PermanentError(f"{name}={given!r}: expected a number from {least:g} to {most:g}")
    return value


def cpu_threads() -> int:
    """Threads an engine computes with on a CPU: PALATE_TORCH_THREADS, else half of the cores. Raises PermanentError."""
    given = os.environ.get("PALATE_TORCH_THREADS", "")
    if not given:
        return max(1, (os.cpu_count() or 1) // 2)
    if not given.isdecimal() or int(given) < 1:
        raise PermanentError(f"PALATE_TORCH_THREADS={given!r}: expected a whole number of threads, 1 or more")
    return int(given)


def first_line(error: BaseException) -> str:
    """What a library's error says, on one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"
