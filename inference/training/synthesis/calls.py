"""Asking a language model: from the ledger where it has answered before, else in batches within rate and budget."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from inference.contracts import (
    Completion,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    Prompt,
    RefusedError,
    Sampling,
    TransientError,
)
from inference.engines import Engine
from inference.prompts import build
from inference.training.synthesis.config import Limits, Model
from inference.training.synthesis.errors import BudgetReachedError, SynthesisError
from inference.training.synthesis.ledger import Entry, Ledger

BYTES_PER_TOKEN = 3  # English has four and more, so that estimates err upwards
LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One instruction to the model. `seed` alone decides its randomness; `step` is the line it is counted under."""

    step: str
    text: str
    sampling: Sampling
    seed: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote, None when it refused or the call does not fit its context.

    `note` is the finish reason of a text, else why there is none.
    """

    text: str | None
    note: str


T = TypeVar("T")
Talk = Generator[list[Call], list[Answer], T]
"""A conversation: yields calls, is sent their answers in order, and returns its result."""


def converse(talks: Sequence[Talk[T]], ask: Callable[[Sequence[Call]], list[Answer]]) -> list[T]:
    """Hold several conversations in step, so that their calls share batches; their results in order."""
    results: dict[int, T] = {}
    answers: dict[int, list[Answer] | None] = dict.fromkeys(range(len(talks)))
    while answers:
        wanted: dict[int, list[Call]] = {}
        for index, given in answers.items():
            try:
                wanted[index] = talks[index].send(given) if given is not None else next(talks[index])
            except StopIteration as end:
                results[index] = end.value
        said = iter(ask([call for calls in wanted.values() for call in calls]))
        answers = {index: [next(said) for _ in calls] for index, calls in wanted.items()}
    return [results[index] for index in range(len(talks))]


def seed_of(*parts: object) -> int:
    """A seed of 31 bits, which every server accepts, from anything with a stable text."""
    return int.from_bytes(hashlib.sha256(json.dumps(list(map(str, parts))).encode()).digest()[:4], "big") >> 1


class Pace:
    """At most so many calls a minute, evenly spread; 0 is no limit."""

    def __init__(
        self,
        per_minute: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`clock` gives seconds; `sleep` waits for some."""
        self.gap = 60 / per_minute if per_minute else 0.0
        self._clock, self.sleep = clock, sleep
        self._free_at = clock()

    def most(self, calls: int) -> int:
        """How many of `calls` may share a batch: what ten seconds allow, at least one."""
        return min(calls, max(1, int(10 / self.gap))) if self.gap else calls

    def wait(self, calls: int) -> None:
        """Wait until `calls` more may be sent."""
        now = self._clock()
        if self._free_at > now:
            self.sleep(self._free_at - now)
        self._free_at = max(now, self._free_at) + calls * self.gap


class Caller:
    """The one door to the model."""

    def __init__(
        self,
        engine: Engine,
        model: Model,
        ledger: Ledger,
        limits: Limits,
        pace: Pace,
        told: Callable[[], None] = lambda: None,
    ) -> None:
        """`told` is called whenever something new is in the ledger."""
        self.engine, self.model, self.ledger, self.limits, self.pace, self.told = (
            engine, model, ledger, limits, pace, told,
        )  # fmt: skip

    def ask(self, calls: Sequence[Call]) -> list[Answer]:
        """The answers in the order of the calls; equal calls are one.

        Raises BudgetReachedError before a batch that could cost too much, and SynthesisError when the engine fails for
        good. What was answered until then is kept.
        """
        keys = [self.key(call) for call in calls]
        new = {k: c for k, c in zip(keys, calls, strict=True) if self.ledger.response(k) is None}
        self._refuse_too_long(new)
        waiting = list(new.items())
        while waiting:
            batch = self._affordable(waiting[: self.pace.most(self.engine.slots)])
            self._send(batch)
            waiting = waiting[len(batch) :]
        return [Answer(*(self.ledger.response(key) or (None, "lost"))) for key in keys]

    def key(self, call: Call) -> str:
        """SHA-256 of all that decides a response: model, layout, prompt, decoding and seed."""
        parts = [self.model.spec.key, self.model.layout, call.text, asdict(call.sampling), call.seed]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def prompt(self, call: Call) -> Prompt:
        """The exact prompt of a call."""
        return build(GenerationRequest(self.model.spec, self.model.layout, call.text, sampling=call.sampling))

    def cost_at_most(self, call: Call) -> float:
        """An estimate from above: the prompt's bytes by three, and every token the answer may have."""
        return self.limits.cost(math.ceil(len(call.text.encode()) / BYTES_PER_TOKEN), call.sampling.max_tokens)

    def _refuse_too_long(self, new: dict[str, Call]) -> None:
        for key, call in list(new.items()):
            if not self.engine.fits(self.prompt(call), call.sampling):
                self.ledger.keep([self._entry(key, call, "too long", 0.0)])
                self.told()
                del new[key]

    def _affordable(self, batch: list[tuple[str, Call]]) -> list[tuple[str, Call]]:
        if self.limits.budget is None:
            return batch
        left = self.limits.budget - self.ledger.spent.total
        for count, (_, call) in enumerate(batch):
            left -= self.cost_at_most(call)
            if left < 0:
                if not count:
                    raise BudgetReachedError(f"the budget of {self.limits.budget:g} is used up")
                return batch[:count]
        return batch

    def _send(self, batch: list[tuple[str, Call]]) -> None:
        left = dict(batch)
        for attempt in range(self.limits.retries + 1):
            self.pace.wait(len(left))
            failure = self._try(left, attempt)
            if not left:
                return
            if attempt < self.limits.retries:
                self.pace.sleep(min(LONGEST_WAIT_S, 2.0**attempt))
        raise SynthesisError(
            f"engine {self.model.engine!r}: failed {self.limits.retries + 1} times in a row ({failure}): see to it, "
            "then run the same command again; nothing that was answered is asked twice"
        )

    def _try(self, left: dict[str, Call], attempt: int) -> str:
        """Send what is left, keep what is answered and take it off; the last failure."""
        numbers = self.ledger.send([(key, call.step, self.cost_at_most(call)) for key, call in left.items()])
        start = time.monotonic()
        try:
            results = self.engine.generate([self._request(key, call, attempt) for key, call in left.items()])
        except InferenceError as error:
            self.ledger.end(numbers, error.code)
            if isinstance(error, TransientError):
                return str(error)
            raise self._stopped(error) from error
        return self._sort(left, dict(zip(numbers, results, strict=True)), (time.monotonic() - start) / len(results))

    def _sort(self, left: dict[str, Call], results: dict[int, Completion | InferenceError], seconds: float) -> str:
        failures: dict[int, InferenceError] = {}
        entries, answered = [], []
        for (key, call), (number, result) in zip(list(left.items()), results.items(), strict=True):
            if isinstance(result, InferenceError) and not isinstance(result, RefusedError):
                failures[number] = result
                continue
            entries.append(self._entry(key, call, result if isinstance(result, Completion) else result.code, seconds))
            answered.append(number)
            del left[key]
        self.ledger.keep(entries, answered)
        for number, error in failures.items():
            self.ledger.end([number], error.code)
        self.told()
        for error in failures.values():
            if not isinstance(error, TransientError):
                raise self._stopped(error)
        return str(next(reversed(failures.values()), ""))

    def _request(self, key: str, call: Call, attempt: int) -> EngineRequest:
        # A row that failed may pass with another seed; the ledger files it under the first one.
        seed = seed_of(call.seed, attempt) if attempt else call.seed
        return EngineRequest(key[:16], self.prompt(call), call.sampling, seed)

    def _entry(self, key: str, call: Call, result: Completion | str, seconds: float) -> Entry:
        """`result` is a completion or why there is none."""
        decoding = json.dumps(asdict(call.sampling) | {"seed": call.seed}, sort_keys=True)
        text, note, tokens = None, str(result), (0, 0)
        if isinstance(result, Completion):
            text, note, tokens = result.text, result.finish_reason, (result.prompt_tokens, result.completion_tokens)
        return Entry(key, call.step, call.text, decoding, text, note, *tokens, seconds, self.limits.cost(*tokens))

    def _stopped(self, error: InferenceError) -> SynthesisError:
        return SynthesisError(f"engine {self.model.engine!r}: {error}")
