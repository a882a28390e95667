"""The openai engine: any server that speaks OpenAI's HTTP interface, such as `vllm serve` on another machine.

`source` is the model's name on the server. Where the servers are and how to get in is this machine's affair, not the
protocol's, and comes from the environment:

    PALATE_OPENAI_URLS        addresses up to and with `/v1`, separated by commas; several must serve the same model
    PALATE_OPENAI_KEY         bearer token, where they want one
    PALATE_OPENAI_TIMEOUT_S   seconds one request may take, default 120
    PALATE_OPENAI_SLOTS       requests on their way at once, default 32

Options (part of the model's key): `max_context` (tokens; asked of the server if left out), `tokenize` (true: count and
send tokens by the server's own `/tokenize`, as vLLM has it; false: send text; left out: whatever the server can).
Prompts go out as tokens without any special token where the server can tokenise, so that none is added in front.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar
from urllib.parse import urlsplit

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    FinishReason,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
    TransientError,
)
from inference.engines.base import check_options, check_sampling, checked_number, words_of
from inference.engines.servers import Servers

TIMEOUT = "PALATE_OPENAI_TIMEOUT_S"
SLOTS = "PALATE_OPENAI_SLOTS"
OPTIONS = ("max_context", "tokenize")
T = TypeVar("T")
FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length"}
SENSIBLE = (1, 86_400)  # seconds, and requests at once
CHARACTERS_A_TOKEN = 3  # a cautious guess where the server does not count
# The prompt's own log-probabilities come back; one new token has to be asked for, and comes last.
ECHO = {"max_tokens": 1, "temperature": 0, "echo": True, "logprobs": 0}
REMEMBERED = 4096  # prompts whose tokens are kept between counting and sending


class OpenAIEngine:
    """Requests to one model behind one or several servers, as many at once as `slots`."""

    alive = True
    ahead = 0

    def __init__(self, spec: ModelSpec, servers: Servers, facts: EngineFacts, slots: int, tokenizes: bool) -> None:
        self.facts, self.slots = facts, slots
        self._spec, self._servers, self._tokenizes = spec, servers, tokenizes
        self._pool = ThreadPoolExecutor(slots, thread_name_prefix="openai")
        self._tokens = lru_cache(maxsize=REMEMBERED)(self._ask_for_tokens)

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether prompt and new tokens fit the context, by the server's count or by a cautious guess."""
        return self._count(prompt) + sampling.max_tokens <= self.facts.max_context

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        """See `Engine.generate`."""
        return list(self._pool.map(self._one, requests))

    def begin(self, request: EngineRequest) -> Future[Completion | InferenceError]:
        """See `StreamingEngine.begin`."""
        return self._pool.submit(self._one, request)

    def _one(self, request: EngineRequest) -> Completion | InferenceError:
        def ask() -> Completion:
            check_sampling(request.sampling)
            path, body = self._body(request)
            return self._completion(request, self._servers.post(path, body, near=_prefix(request.prompt)))

        return _answered(ask)

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scored | InferenceError]:
        """See `Engine.score`: the prompt's own log-probabilities, echoed; needs a server that tokenises."""
        return list(self._pool.map(self._score, requests))

    def pieces(self, text: str) -> list[str]:
        """See `Engine.pieces`: words."""
        return words_of(text)

    def _score(self, request: ScoreRequest) -> Scored | InferenceError:
        def ask() -> Scored:
            if not self.facts.can_score:
                raise PermanentError("the server does not tokenise, so that no text can be scored: use a vLLM server")
            prompt = request.prompt
            before, after = self._tokens(prompt.text, _frozen(prompt)), self._tokens(request.continuation, ())
            if not after:
                raise PermanentError("the text to be scored is empty")
            body = {"model": request.adapter or self._spec.source, "prompt": [*before, *after], **ECHO}
            (choice,) = self._servers.post("/completions", body, near=_prefix(prompt))["choices"]
            given = choice["logprobs"]["token_logprobs"][len(before) : len(before) + len(after)]
            return Scored(request.id, float(sum(given)), len(after))

        return _answered(ask)

    def _count(self, prompt: Prompt) -> int:
        if self._tokenizes:
            return len(self._tokens(prompt.text, _frozen(prompt)))
        text = prompt.text or " ".join(message["content"] for message in prompt.messages or ())
        return len(text) // CHARACTERS_A_TOKEN + 1

    def _ask_for_tokens(self, text: str | None, messages: tuple[tuple[str, str], ...]) -> list[int]:
        body: dict[str, Any] = {"model": self._spec.source, "add_special_tokens": False}
        if text is not None:
            body["prompt"] = text
        else:
            body["messages"] = [{"role": role, "content": content} for role, content in messages]
            body["add_generation_prompt"] = True
        found: list[int] = self._servers.post("/tokenize", body, at_root=True)["tokens"]
        return found

    def _body(self, request: EngineRequest) -> tuple[str, dict[str, Any]]:
        """Path and body. Wherever tokens are known they are what is completed: a chat template is applied by then."""
        sampling, prompt = request.sampling, request.prompt
        body: dict[str, Any] = {
            "model": request.adapter or self._spec.source,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": request.seed % 2**63,
            "stop": list(prompt.stop[:MOST_STOPS]) or None,
        }
        if self._tokenizes:
            return "/completions", body | {"prompt": self._tokens(prompt.text, _frozen(prompt))}
        if prompt.text is not None:
            return "/completions", body | {"prompt": prompt.text}
        return "/chat/completions", body | {"messages": list(prompt.messages or ())}

    def _completion(self, request: EngineRequest, answer: dict[str, Any]) -> Completion:
        (choice,) = answer["choices"]
        text = (choice["text"] if "text" in choice else choice["message"]["content"]) or ""
        for stop in request.prompt.stop[MOST_STOPS:]:
            text = text.partition(stop)[0]
        usage = answer.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Completion(
            id=request.id,
            text=text,
            finish_reason=FINISHES.get(choice.get("finish_reason") or "", "abort"),
            prompt_tokens=int(usage.get("prompt_tokens") or self._count(request.prompt)),
            completion_tokens=int(usage.get("completion_tokens") or 0),
            cached_tokens=details.get("cached_tokens"),
            prompt_text=request.prompt.text,
        )


# As many as the interface allows; a text is cut at the others when it is here.
MOST_STOPS = 4


def _answered(ask: Callable[[], T]) -> T | InferenceError:
    """What `ask` brings, or its typed error; an answer of another shape may be another one next time."""
    try:
        return ask()
    except InferenceError as error:
        return error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        return TransientError(f"the server's answer cannot be read ({error!r}): is it an OpenAI-compatible one?")


def _frozen(prompt: Prompt) -> tuple[tuple[str, str], ...]:
    return tuple((message["role"], message["content"]) for message in prompt.messages or ())


def _prefix(prompt: Prompt) -> str:
    """What requests of one participant share: the prompt before its last question."""
    text = prompt.text if prompt.text is not None else str(prompt.messages)
    before, _, _ = text.rpartition("# Task")
    return before or text


def load(spec: ModelSpec, *, bundled_root: Any) -> OpenAIEngine:
    """Find the servers and ask them for the model. Raises PermanentError, or TransientError while none is up."""
    options = check_options(spec, OPTIONS)
    servers = Servers(
        _urls(),
        os.environ.get("PALATE_OPENAI_KEY", ""),
        checked_number(TIMEOUT, os.environ.get(TIMEOUT), 120, *SENSIBLE),
    )
    card = _card(servers, spec)
    tokenizes = _can_tokenize(servers, spec) if options.get("tokenize") is None else bool(options["tokenize"])
    facts = EngineFacts(
        engine="openai",
        model_digest="",
        tokenizer_digest="",
        versions={"server": servers.version(), "root": str(card.get("root") or card["id"])},
        device="remote",
        max_context=_max_context(options, card),
        can_seed=True,
        can_score=tokenizes,
    )
    return OpenAIEngine(
        spec, servers, facts, int(checked_number(SLOTS, os.environ.get(SLOTS), 32, *SENSIBLE)), tokenizes
    )


def _urls() -> list[str]:
    urls = [url.strip().rstrip("/") for url in os.environ.get("PALATE_OPENAI_URLS", "").split(",") if url.strip()]
    if not urls:
        raise PermanentError(
            "the openai engine knows no server: set PALATE_OPENAI_URLS, for example to http://127.0.0.1:8001/v1"
        )
    for url in urls:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise PermanentError(f"PALATE_OPENAI_URLS: {url!r} is no address: write it like http://127.0.0.1:8001/v1")
    return urls


def _card(servers: Servers, spec: ModelSpec) -> dict[str, Any]:
    cards: list[dict[str, Any]] = servers.get("/models")["data"]
    for card in cards:
        if card.get("id") == spec.source:
            return card
    there = ", ".join(str(card.get("id")) for card in cards) or "none"
    raise PermanentError(
        f"the server has no model {spec.source!r}: source must be one of the models it serves: {there}"
    )


def _can_tokenize(servers: Servers, spec: ModelSpec) -> bool:
    try:
        servers.post("/tokenize", {"model": spec.source, "prompt": "a", "add_special_tokens": False}, at_root=True)
    except PermanentError:
        return False
    return True


def _max_context(options: dict[str, Any], card: dict[str, Any]) -> int:
    own = card.get("max_model_len")
    wanted = options.get("max_context", own)
    if type(wanted) is not int or wanted < 1 or (own and wanted > own):
        raise PermanentError(
            f"max_context {wanted!r}: the server does not say how long its context is, or less: "
            f"give a whole number of tokens{f' up to {own}' if own else ''}"
        )
    return wanted
