"""The scripted engine: generic prose decided by prompt and seed alone, with delays and failures on demand.

It ships with the product and honours the real contract, so that a study, the queue and the pages can be tried without
a model. Options (all optional; "every" counts by a digest of prompt and seed, so a retry with a new seed may pass):

    words          [least, most] words of an answer           default [60, 90]
    delay_s        seconds one `generate` takes                default 0
    hang_s         seconds a hanging call takes; with hang_every (default: every call that holds such a row)
    fail_every     1 = every row fails; with fail_with         "transient" (default) | "permanent" | "refused"
    empty_every    the completion is empty                     truncate_every   it is cut off at half its length
    loop_every     it repeats one sentence                     leak_every       it speaks of "as you preferred earlier"
    slots          rows worth giving at once, default 16       max_context      in words, default 8192
    stream         true: rows come and go one by one, each after `delay_s`, instead of in batches
    judge          "reader": play the parts that a prompt's tagged sections give, see `scripted_reader`
    first_every    a judge that says "1" whatever it reads

The environment variable PALATE_SCRIPTED (a JSON object of the same options) overrides them for fault drills.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import random
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from inference import prompts
from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    FinishReason,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    RefusedError,
    Sampling,
    Scored,
    ScoreRequest,
    TransientError,
)
from inference.engines.base import check_options, check_sampling, files_digest, words_of
from inference.engines.scripted_reader import play

OPTIONS = (
    *("words", "delay_s", "hang_s", "hang_every", "fail_every", "fail_with", "empty_every", "truncate_every"),
    *("loop_every", "leak_every", "slots", "max_context"),
    *("judge", "first_every", "stream"),
)
FAILURES: dict[str, type[InferenceError]] = {
    error.code: error for error in (TransientError, PermanentError, RefusedError)
}
DESCRIPTION_WORDS = (18, 30)
HABIT_WORDS = 24
DRILL_VARIABLE = "PALATE_SCRIPTED"
NO_ADAPTERS = "adapter {!r}: the scripted engine has no adapters: remove the key"

_OPENERS = (
    *(
        "In most places",
        "Over a long week",
        "For a start",
        "Seen from nearby",
        "On an ordinary day",
        "With some patience",
    ),
    *("After the first surprise", "In small towns", "As a rule", "Looked at closely", "At home", "Among friends"),
)
_SUBJECTS = (
    *("a quiet routine", "the simplest plan", "a shared meal", "careful planning", "an honest talk", "a short walk"),
    *("the older habit", "a clear example", "the local library", "a good map", "steady practice", "the first attempt"),
)
_VERBS = (
    *("saves", "brings", "costs", "explains", "changes", "supports", "slows", "improves", "asks for", "rewards"),
    *("replaces", "deepens"),
)
_OBJECTS = (
    *(
        "more time than people expect",
        "a little trust",
        "the whole afternoon",
        "what words alone cannot",
        "small worries",
    ),
    *(
        "the mood of a street",
        "some patience on both sides",
        "a second look",
        "the way a day ends",
        "most of the effort",
    ),
    *("a fair share of luck", "the shape of the week"),
)
_CLOSERS = (
    *("and that is enough to begin with", "though not for everyone", "because details matter", "when nobody hurries"),
    *("and the result tends to last", "even if it looks modest", "so it is worth trying", "unless the weather turns"),
    *("which few people regret", "and it costs next to nothing", "long before it shows", "whatever the season"),
)


class ScriptedEngine:
    """Deterministic texts without a model; see the module's docstring for its options."""

    alive = True

    def __init__(self, options: dict[str, Any]) -> None:
        """`options` as in the module's docstring; raises PermanentError for values of another shape."""
        self._options = options
        least, most = _pair(options.get("words", [60, 90]))
        self._words = (least, most)
        self.slots = _whole(options, "slots", 16)
        self._fail_with = options.get("fail_with", "transient")
        if self._fail_with not in FAILURES:
            raise PermanentError(f"fail_with {self._fail_with!r} is unknown: use {', '.join(FAILURES)}")
        self._every = {
            name: _whole(options, f"{name}_every", 0)
            for name in ("fail", "empty", "truncate", "loop", "leak", "hang", "first")
        }
        if options.get("judge", "reader") != "reader":
            raise PermanentError(f'judge {options["judge"]!r} is unknown: use "reader" or leave it out')
        self._delay_s = _seconds(options, "delay_s")
        self._hang_s = _seconds(options, "hang_s")
        self.facts = EngineFacts(
            engine="scripted",
            model_digest=files_digest([Path(__file__)]),
            tokenizer_digest="",
            versions={"python": platform.python_version()},
            device="cpu",
            max_context=_whole(options, "max_context", 8192),
            can_seed=True,
            can_score=True,
        )

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether prompt and answer fit; a word counts as a token."""
        return len(_text(prompt).split()) + sampling.max_tokens <= self.facts.max_context

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        """See `Engine.generate`."""
        hit = self._hang_s and any(self._due("hang", _digest(request), unset=True) for request in requests)
        time.sleep(self._hang_s if hit else self._delay_s)
        return [self._row(request) for request in requests]

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scored | InferenceError]:
        """See `Engine.score`: 1 to 3 nats a word, by a digest of the prompt and of the words so far."""
        time.sleep(self._delay_s)
        return [self._scored(request) for request in requests]

    def _scored(self, request: ScoreRequest) -> Scored | InferenceError:
        words = request.continuation.split()
        if not words:
            return PermanentError("the text to be scored is empty")
        if request.adapter:
            return PermanentError(NO_ADAPTERS.format(request.adapter))
        digest, nats = hashlib.sha256(_text(request.prompt).encode()), 0.0
        if self._due("fail", int.from_bytes(digest.digest()[:8], "big")):
            return FAILURES[self._fail_with](f"scripted {self._fail_with} failure of a score: asked for by fail_every")
        for word in words:
            digest.update(f" {word}".encode())
            nats += 1 + digest.digest()[0] / 127.5
        return Scored(request.id, -nats, len(words))

    def pieces(self, text: str) -> list[str]:
        """See `Engine.pieces`: words."""
        return words_of(text)

    def _row(self, request: EngineRequest) -> Completion | InferenceError:
        try:
            check_sampling(request.sampling)
        except InferenceError as error:
            return error
        if request.adapter:
            return PermanentError(NO_ADAPTERS.format(request.adapter))
        digest = _digest(request)
        if self._due("fail", digest):
            return FAILURES[self._fail_with](
                f"scripted {self._fail_with} failure of {request.id}: asked for by fail_every"
            )
        text, finish = self._say(request, digest)
        prompt = _text(request.prompt)
        tokens = len(text.split())
        return Completion(request.id, text, finish, len(prompt.split()), tokens, prompt_text=prompt)

    def _say(self, request: EngineRequest, digest: int) -> tuple[str, FinishReason]:
        if self._due("empty", digest):
            return "", "stop"
        # Greedy decoding has no randomness: the seed must not matter.
        rng = random.Random(digest if request.sampling.temperature > 0 else _digest(request, seed=0))
        describe = request.prompt.stop == prompts.DESCRIPTION_STOPS
        words = _prose(rng, rng.randint(*(DESCRIPTION_WORDS if describe else self._words)))
        if self._options.get("judge"):
            words = self._played(request, words, digest, rng).split(" ")
        if self._due("leak", digest):
            words = ["As", "you", "preferred", "earlier,", *words]
        if self._due("loop", digest):
            words = words[:6] * max(1, len(words) // 6)
        room = request.sampling.max_tokens
        if self._due("truncate", digest):
            room = min(room, len(words) // 2)
        finish: FinishReason = "stop" if len(words) <= room else "length"
        return _laid_out(words[:room], request.prompt, describe), finish

    def _played(self, request: EngineRequest, words: list[str], digest: int, rng: random.Random) -> str:
        # A model has habits: most of what it says to a prompt is the same at every seed.
        habit = _prose(random.Random(_digest(request, seed=0)), HABIT_WORDS)
        said = play(_shown(request.prompt), " ".join([*habit, *_prose(rng, len(words) // 2 + 1)]), rng)
        return "1" if said in ("0", "1", "2") and self._due("first", digest) else said

    def _due(self, what: str, digest: int, *, unset: bool = False) -> bool:
        every = self._every[what]
        return digest % every == 0 if every else unset


class StreamingScriptedEngine(ScriptedEngine):
    """The scripted engine as one that batches by itself: a thread a place."""

    ahead = 0

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(options)
        self._pool = ThreadPoolExecutor(max(1, self.slots), thread_name_prefix="scripted")

    def begin(self, request: EngineRequest) -> Future[Completion | InferenceError]:
        """See `StreamingEngine.begin`."""
        return self._pool.submit(lambda: self.generate([request])[0])


def load(spec: ModelSpec, *, bundled_root: Path) -> ScriptedEngine:
    """The engine with the options of `spec` and of PALATE_SCRIPTED; `bundled_root` is not needed."""
    options = dict(check_options(spec, OPTIONS))
    drill = os.environ.get(DRILL_VARIABLE)
    if drill:
        try:
            options |= check_options(ModelSpec(spec.engine, spec.source, options=dict(json.loads(drill))), OPTIONS)
        except (ValueError, TypeError) as error:
            raise PermanentError(f"{DRILL_VARIABLE} is no JSON object of options: {error}") from error
    return StreamingScriptedEngine(options) if options.get("stream") else ScriptedEngine(options)


def _laid_out(words: list[str], prompt: Prompt, describe: bool) -> str:
    half = len(words) // 2
    breaks = [at + 1 for at in range(half, len(words)) if words[at].endswith(".")]
    at = breaks[0] if breaks and len(words) > 70 else len(words)
    text = "\n\n".join(" ".join(part) for part in (words[:at], words[at:]) if part)
    if prompt.text is None:
        return text
    return prompts.description_target(text) if describe else prompts.fspo_target(text)


def _prose(rng: random.Random, length: int) -> list[str]:
    """Sentences of exactly `length` words in all; the last one is shortened to fit."""
    words: list[str] = []
    while len(words) < length:
        parts = [rng.choice(part) for part in (_OPENERS, _SUBJECTS, _VERBS, _OBJECTS)]
        sentence = f"{parts[0]}, {parts[1]} {parts[2]} {parts[3]}, {rng.choice(_CLOSERS)}."
        words += sentence.split()
    words = words[:length]
    words[-1] = words[-1].rstrip(",.") + "."
    return words


def _digest(request: EngineRequest, *, seed: int | None = None) -> int:
    key = json.dumps([_text(request.prompt), request.seed if seed is None else seed])
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def _text(prompt: Prompt) -> str:
    return prompt.text if prompt.text is not None else json.dumps(prompt.messages, ensure_ascii=False)


def _shown(prompt: Prompt) -> str:
    """The prompt as its reader sees it, without quoting."""
    return prompt.text if prompt.text is not None else "\n".join(m["content"] for m in prompt.messages or ())


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, list | tuple) and len(value) == 2 and all(type(each) is int for each in value):
        least, most = value
        if 1 <= least <= most:
            return least, most
    raise PermanentError(f"words {value!r}: expected [least, most] with whole numbers 1 <= least <= most")


def _whole(options: dict[str, Any], name: str, default: int) -> int:
    value = options.get(name, default)
    if type(value) is not int or value < 0:
        raise PermanentError(f"{name} {value!r}: expected a whole number >= 0")
    return value


def _seconds(options: dict[str, Any], name: str) -> float:
    value = options.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 86400:
        raise PermanentError(f"{name} {value!r}: expected seconds, 0 or more")
    return float(value)
