"""What crosses the border of the inference room: frozen requests in, completions out, typed errors.

Everything here is plain data: no Django, no torch. A `GenerationRequest` is a full snapshot; a worker needs
nothing else to make the text again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Literal

Layout = Literal["fspo", "chat"]
Purpose = Literal["answer", "description"]
FinishReason = Literal["stop", "length", "abort"]


@dataclass(frozen=True, slots=True)
class Shot:
    """One labelled preference of a person: a question and the two texts, by their choice."""

    question: str
    preferred: str
    dispreferred: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """Decoding parameters. `temperature` 0 is greedy; `max_tokens` counts new tokens."""

    temperature: float = 0.7
    top_p: float = 0.95
    max_tokens: int = 512


@dataclass(frozen=True, slots=True)
class Window:
    """The length window of a shown text, in words (inclusive), and how often to ask again."""

    min_words: int
    max_words: int
    tries: int = 3
    plain_text: bool = True


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Where a base model comes from. `engine` names the implementation, `source` the weights.

    `source` is a path, a hub id or ``bundled:<name>``; `options` are engine options that change the text.
    """

    engine: str
    source: str
    revision: str = ""
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Short digest of engine, source, revision and options: one queue and one batch per key."""
        canonical = json.dumps([self.engine, self.source, self.revision, self.options], sort_keys=True)
        return f"{self.engine}-{hashlib.sha256(canonical.encode()).hexdigest()[:12]}"


REQUEST_VERSION = 1
"""Goes up when a stored request gets a field that workers must understand; older workers leave such rows to others."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """Everything that decides a text: frozen when it is asked for, stored with the generation as JSON.

    `shots` are in the order they enter the context. `context_hash` covers the ordered shots and the description.
    """

    model: ModelSpec
    layout: Layout
    question: str
    shots: tuple[Shot, ...] = ()
    description: str | None = None
    rationale: bool = False
    instruction: str | None = None
    adapter: str | None = None
    purpose: Purpose = "answer"
    sampling: Sampling = field(default_factory=Sampling)
    window: Window | None = None

    @property
    def context_hash(self) -> str:
        """SHA-256 over the ordered shots and the description; equal contexts share it."""
        shots = [[s.question, s.preferred, s.dispreferred] for s in self.shots]
        return hashlib.sha256(json.dumps([shots, self.description]).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The request as plain JSON values."""
        parts: dict[str, Any] = {"model": _plain(self.model), "shots": [_plain(shot) for shot in self.shots]}
        parts |= {"sampling": _plain(self.sampling), "window": _plain(self.window) if self.window else None}
        return _plain(self) | parts

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> GenerationRequest:
        """Rebuild a request from `to_json`; raises KeyError or TypeError on another shape."""
        values = dict(data)
        values["model"] = ModelSpec(**values["model"])
        values["shots"] = tuple(Shot(**shot) for shot in values["shots"])
        values["sampling"] = Sampling(**values["sampling"])
        values["window"] = Window(**values["window"]) if values["window"] else None
        return cls(**values)


def _plain(record: Shot | Sampling | Window | ModelSpec | GenerationRequest) -> dict[str, Any]:
    """The fields by name: a tenth of the time of `asdict`, which copies every value."""
    return {name: getattr(record, name) for name in record.__slots__}


@dataclass(frozen=True, slots=True)
class Prompt:
    """An exact prompt. `text` is set for plain completion, `messages` for the chat layout (role, content)."""

    text: str | None
    messages: tuple[dict[str, str], ...] | None
    stop: tuple[str, ...]
    shots_used: int
    shots_dropped: int


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """One row of an engine call: prompt, decoding, and the seed that alone decides its randomness.

    `urgency` orders rows that wait inside an engine, the lowest first; it never changes a text.
    """

    id: str
    prompt: Prompt
    sampling: Sampling
    seed: int
    adapter: str | None = None
    urgency: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What an engine returns for one request. Token counts are whole numbers; `cached_tokens` None = unknown.

    `adapter_digest` is empty without an adapter, and where the engine does not see the adapter's files.
    """

    id: str
    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    prompt_text: str | None = None
    adapter_digest: str = ""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """A given text after a prompt, whose probability is asked for."""

    id: str
    prompt: Prompt
    continuation: str
    adapter: str | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """The log-probability (natural, summed over `tokens` tokens) of a continuation after its prompt.

    The continuation is tokenised apart from the prompt, as in training; its end-of-text token does not count.
    """

    id: str
    logprob: float
    tokens: int


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What a loaded engine says of itself, kept with every generation it makes."""

    engine: str
    model_digest: str
    tokenizer_digest: str
    versions: dict[str, str]
    device: str
    max_context: int
    can_seed: bool
    can_score: bool
    can_cache: bool = False

    @property
    def abilities(self) -> list[str]:
        """What the engine can do, for the ledger: of ``seeds``, ``scores`` and ``prefix_cache``."""
        able = {"seeds": self.can_seed, "scores": self.can_score, "prefix_cache": self.can_cache}
        return [name for name, can in able.items() if can]


class InferenceError(Exception):
    """Base of the typed errors. `code` is a short stable word for the ledger."""

    code = "error"


class TransientError(InferenceError):
    """Worth trying again: a lost connection, an exhausted device, a lost worker."""

    code = "transient"


class PermanentError(InferenceError):
    """Will fail again: a missing model, an invalid request."""

    code = "permanent"


class RefusedError(InferenceError):
    """The model declined to answer."""

    code = "refused"
