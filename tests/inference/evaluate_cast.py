"""Who plays in the tests of the evaluation: an engine that knows the world and plays each checkpoint well or badly.

It honours the engine contract: all it gets is a prompt, from which it reads shots, description and question.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from inference import prompts
from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Shot,
)
from inference.world import Question, describe, subject_of, write
from inference.world.answers import Plan, draw_plan
from inference.world.observer import observer
from inference.world.users import User

SKILLS = {"fspo": 0.95, "plain": 0.2, "pref-ft": 0.4, "population": 0.0}
"""How often a checkpoint does what the ideal observer would; else it answers like anybody."""


class WorldEngine:
    """Plays a checkpoint of the given skill. `calls` counts the rows it was asked for."""

    slots = 16
    alive = True

    def __init__(self, name: str, max_context: int = 100_000, fail_after: int | None = None) -> None:
        self.skill = SKILLS.get(name, 0.0)
        self.calls = 0
        self.prompts: list[str] = []
        self.fail_after = fail_after
        versions = {"dtype": "float32"}
        self.facts = EngineFacts("world", f"digest of {name}", "", versions, "cpu", max_context, True, False)

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        return len((prompt.text or "").split()) + sampling.max_tokens <= self.facts.max_context

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        return [self._row(request) for request in requests]

    def _row(self, request: EngineRequest) -> Completion | InferenceError:
        self.calls += 1
        if self.fail_after is not None and self.calls > self.fail_after:
            return PermanentError("the power went: plug it in")
        text = request.prompt.text or ""
        self.prompts.append(text)
        rng = random.Random(request.seed)
        said = self._said(text, request.prompt.stop == prompts.DESCRIPTION_STOPS, rng)
        return Completion(request.id, said, "stop", len(text.split()), len(said.split()))

    def _said(self, text: str, describing: bool, rng: random.Random) -> str:
        examples, _, task = text.partition("# Task\n")
        question = task.split(prompts.QUESTION_HEADING)[1].split("\n")[0]
        subject = subject_of(question)
        assert subject is not None
        shots = shots_in(examples)
        if describing:
            return prompts.description_target(describe(self._likeliest(subject.domain, shots)))
        plan = self._plan(subject.domain, shots, described_in(task), rng)
        return prompts.fspo_target(write(Question(subject, question, "train"), plan, rng))

    def _likeliest(self, domain: str, shots: Sequence[Shot]) -> User:
        watching = observer(domain)
        return watching.users[int(watching.posterior(shots).argmax())]

    def _plan(self, domain: str, shots: Sequence[Shot], described: str | None, rng: random.Random) -> Plan:
        if rng.random() >= self.skill or not (shots or described):
            return draw_plan(domain, rng)
        watching = observer(domain)
        if described:
            user = everybody(domain)[described]
            return max(watching.plans, key=lambda plan: watching.expected(user, plan))
        return watching.answer(shots)


@cache
def everybody(domain: str) -> dict[str, User]:
    """The users of a domain by their descriptions."""
    return {describe(user): user for user in observer(domain).users}


def shots_in(examples: str) -> list[Shot]:
    """The shots that a prompt holds."""
    headings = (prompts.QUESTION_HEADING, prompts.PREFERRED_HEADING, prompts.DISPREFERRED_HEADING)
    blocks = re.split(r"# Example \d+\n", examples)[1:]
    texts = [[block.split(heading)[1].split("\n")[0] for heading in headings] for block in blocks]
    return [Shot(*each) for each in texts]


def described_in(task: str) -> str | None:
    """The description that ends a prompt, if one does."""
    _, heading, rest = task.partition(prompts.DESCRIPTION_HEADING)
    return rest.strip() if heading else None


class Engines:
    """Loads a WorldEngine for a folder by the folder's name, and remembers them."""

    def __init__(self, **options: int | None) -> None:
        self.options = options
        self.loaded: list[WorldEngine] = []

    def __call__(self, spec: ModelSpec) -> WorldEngine:
        self.loaded.append(WorldEngine(Path(spec.source).name, **self.options))  # type: ignore[arg-type]
        return self.loaded[-1]

    @property
    def calls(self) -> int:
        """Rows asked for, of all engines."""
        return sum(engine.calls for engine in self.loaded)


def checkpoints(folder: Path, *names: str) -> Path:
    """A folder with so many empty checkpoints in it."""
    for name in names or SKILLS:
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text("{}")
        (folder / name / "model.safetensors").touch()
    return folder


def configuration(folder: Path, text: str = "", *, people: str = "") -> Path:
    """A small configuration beside the checkpoints."""
    path = folder / "evaluate.toml"
    path.write_text(
        f"""
seed = 5
[checkpoints]
folder = "{folder / "model"}"
[people]
reviews = 24
explanations = 20
open-ended = 40
curve = 16
splits = 8
trained = 8
fields = 12
{people}
{text}
"""
    )
    return path
