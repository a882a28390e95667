"""Questions and answers from a language model: view-conditioning and persona steering."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from inference.contracts import Sampling
from inference.normalise import normalise
from inference.training.synthesis import instructions
from inference.training.synthesis.calls import Answer, Call, Talk, seed_of
from inference.training.synthesis.config import EngineSource
from inference.training.synthesis.personas import Persona
from inference.world.subjects import Split


@dataclass(frozen=True, slots=True)
class Asked:
    """One question about a topic."""

    domain: str
    topic: str
    text: str
    split: Split


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer; `origin` says how it came about: ``view-2``, ``plain-2`` or ``persona-0003``."""

    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of the configuration, with its questions where they are given."""

    domain: str
    name: str
    held_out: bool
    asked: tuple[str, ...] = ()


def topics(source: EngineSource) -> list[Topic]:
    """All topics; of each domain every `held_out_every`-th is held out."""
    return [
        Topic(
            each.domain,
            name,
            number % source.held_out_every == source.held_out_every - 1,
            tuple(dict.fromkeys(each.asked.get(name, ()))),
        )
        for each in source.topics
        for number, name in enumerate(dict.fromkeys(each.names))
    ]


def ask_about(topic: Topic, source: EngineSource, seed: int) -> Talk[list[Asked]]:
    """The questions about a topic; none when the model's list cannot be read after `tries` tries."""
    if topic.asked:
        return _questions(topic, topic.asked)
    text = instructions.write_questions(topic.name, source.questions)
    for attempt in range(source.judging.tries):
        calls = [Call("questions", text, source.writing.sampling, seed_of(seed, "questions", attempt))]
        answers: list[Answer] = yield calls
        found = instructions.read_list(answers[0].text or "", source.questions)
        if found:
            return _questions(topic, found)
    return []


def _questions(topic: Topic, texts: Sequence[str]) -> list[Asked]:
    last = len(texts) - 1
    return [Asked(topic.domain, topic.name, text, _split(topic, 0 < n == last)) for n, text in enumerate(texts)]


def _split(topic: Topic, is_last: bool) -> Split:
    if topic.held_out:
        return "subjects"
    return "questions" if is_last else "train"


def candidates(
    asked: Asked, personas: Sequence[Persona], source: EngineSource, seed: int, counts: Counter[str]
) -> Talk[list[Candidate]]:
    """The different answers to a question. Counts those that cannot be used, by reason, and repeated ones."""
    viewpoints = (yield from _viewpoints(asked, source, seed)) if source.view_conditioning else []
    if source.view_conditioning and not viewpoints:
        counts["questions without viewpoints"] += 1
    rng = random.Random(f"{seed}/steered/{asked.text}")
    steering = rng.sample(list(personas), min(source.steered, len(personas)))
    prompts = [(f"view-{n}", instructions.answer_from(asked.text, v)) for n, v in enumerate(viewpoints, start=1)]
    if not source.view_conditioning:
        prompts = [(f"plain-{n + 1}", instructions.answer_plainly(asked.text)) for n in range(source.viewpoints)]
    prompts += [(persona.code, instructions.answer_as(asked.text, persona.text)) for persona in steering]
    calls = [_call("answers", text, source.writing.sampling, seed, origin) for origin, text in prompts]
    answers: list[Answer] = yield calls
    found: dict[str, Candidate] = {}
    for (origin, _), answer in zip(prompts, answers, strict=True):
        text, why = usable(answer)
        if not why and text in found:
            why = "repeated"
        if why:
            counts[f"answers {why}"] += 1
        else:
            found[text] = Candidate(text, origin)
    return list(found.values())


def usable(answer: Answer) -> tuple[str, str]:
    """(the text as it is shown, why it cannot be used)."""
    if answer.text is None:
        return "", answer.note
    # A cut answer is of no use as a candidate; neither is an empty or an endlessly repeating one.
    result = normalise(answer.text, finish_reason="stop" if answer.note == "stop" else "length")
    return result.shown, result.reject or ""


def _viewpoints(asked: Asked, source: EngineSource, seed: int) -> Talk[list[str]]:
    text = instructions.write_viewpoints(asked.text, source.viewpoints)
    for attempt in range(source.judging.tries):
        answers: list[Answer] = yield [_call("viewpoints", text, source.writing.sampling, seed, str(attempt))]
        found = instructions.read_list(answers[0].text or "", source.viewpoints)
        if found:
            return found
    return []


def _call(step: str, text: str, sampling: Sampling, seed: int, part: str) -> Call:
    return Call(step, text, sampling, seed_of(seed, step, part))
