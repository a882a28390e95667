"""The answers of one arm to some people: requests, prompts, texts, and the text that is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inference.contracts import EngineRequest, ModelSpec, Purpose, Sampling
from inference.engines import Engine
from inference.normalise import normalise
from inference.prompts import build
from inference.training.evaluation.arms import Arm, request
from inference.training.evaluation.errors import EvaluationError
from inference.training.evaluation.people import Person
from inference.training.evaluation.store import Text, make, seed_of

CHECKED = 8  # longest prompts of a job that are measured before the first text is made


@dataclass(frozen=True, slots=True)
class Job:
    """One arm with a number of shots over the people of one part and shot set; one file of texts (RAT: two)."""

    arm: Arm
    shots: int
    people: tuple[Person, ...]

    @property
    def folder(self) -> str:
        """Part and shot set, such as ``held-out-1``."""
        return f"{self.people[0].part}-{self.people[0].shot_set}"

    @property
    def title(self) -> str:
        """Folder and treatment, such as ``held-out-1/fspo@8``."""
        return f"{self.folder}/{self.arm.shown(self.shots)}"

    @property
    def texts(self) -> int:
        """How many texts it makes; RAT describes first."""
        return len(self.people) * (2 if self.arm.rationale else 1)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a file of texts cost when it was made: texts, seconds, tokens read and written."""

    name: str
    texts: int
    seconds: float
    prompt_tokens: int
    new_tokens: int


@dataclass(frozen=True, slots=True)
class Maker:
    """A loaded checkpoint that does jobs; texts go under `folder`, what they cost into `costs`."""

    engine: Engine
    spec: ModelSpec
    sampling: Sampling
    seed: int
    folder: Path
    costs: list[Cost] = field(default_factory=list)

    def check_room(self, job: Job) -> None:
        """EvaluationError when the longest prompts do not fit the model's context with all their shots."""
        purpose: Purpose = "description" if job.arm.rationale else "answer"
        requests = self._requests(job, purpose, [None] * len(job.people))
        requests.sort(key=lambda each: -len(each.prompt.text or ""))
        if not all(self.engine.fits(each.prompt, each.sampling) for each in requests[:CHECKED]):
            raise EvaluationError(
                f"{job.title}: a prompt with {job.shots} shots and sampling.max_tokens = {self.sampling.max_tokens} "
                f"does not fit the context of {self.engine.facts.max_context} tokens of {self.spec.source}: lower "
                "shots.number or sampling.max_tokens, or take a checkpoint with a longer context"
            )

    def answers(self, job: Job) -> list[str]:
        """One answer a person, as it would be shown (but for the length window of a study)."""
        described: list[str | None] = [None] * len(job.people)
        if job.arm.rationale:
            raw = self._make(job, "description", described)
            # An empty description is none: the second step is then asked with the shots alone.
            described = [_shown(text, "description") or None for text in raw]
        return [_shown(text, "answer") for text in self._make(job, "answer", described)]

    def _make(self, job: Job, purpose: Purpose, described: Sequence[str | None]) -> list[Text]:
        name = job.title if purpose == "answer" else f"{job.title}-descriptions"
        path = self.folder / f"{name}.jsonl"
        texts = make(self.engine, self._requests(job, purpose, described), path, name)
        self.costs.append(_cost(name, texts))
        return texts

    def _requests(self, job: Job, purpose: Purpose, described: Sequence[str | None]) -> list[EngineRequest]:
        return [
            self._request(job, person, purpose, description)
            for person, description in zip(job.people, described, strict=True)
        ]

    def _request(self, job: Job, person: Person, purpose: Purpose, description: str | None) -> EngineRequest:
        asked = request(
            *(job.arm, person, job.shots),
            spec=self.spec,
            sampling=self.sampling,
            purpose=purpose,
            description=description,
        )
        name = f"{job.title}/{person.domain}/{person.number}"
        return EngineRequest(name, build(asked), self.sampling, seed_of(self.seed, name, purpose))


def _shown(text: Text, purpose: Purpose) -> str:
    return normalise(text.text, purpose=purpose).shown


def _cost(name: str, texts: Sequence[Text]) -> Cost:
    return Cost(
        name,
        len(texts),
        sum(text.seconds for text in texts),
        sum(text.prompt_tokens for text in texts),
        sum(text.new_tokens for text in texts),
    )
