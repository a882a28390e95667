"""The configuration of an evaluation: one TOML file, read and checked before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from inference.contracts import ModelSpec, Sampling
from inference.training.evaluation.arms import ARMS, BASE
from inference.training.evaluation.errors import EvaluationError
from inference.training.toml_file import read_toml
from inference.world import EXPLANATIONS, OPEN, REVIEWS

MOST_SHOTS = 16
REMEDIES = {
    "extra_forbidden": "remove it, or see docs/evaluation.md for the keys there are",
    "missing": "add it",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Checkpoints(_Strict):
    """Where the checkpoints lie: `folder` with `plain`, `pref-ft`, `population` and `fspo`; `fspo` names its own."""

    folder: Path | None = None
    fspo: Path | None = None


class People(_Strict):
    """How many people answer, by domain, and in the parts of the evaluation that take fewer (of each domain)."""

    reviews: int = Field(default=750, ge=1)
    explanations: int = Field(default=750, ge=1)
    open_ended: int = Field(default=1500, ge=1, alias="open-ended")
    curve: int = Field(default=300, ge=1)
    splits: int = Field(default=500, ge=1)
    trained: int = Field(default=400, ge=1)
    fields: int = Field(default=550, ge=1)

    def of(self, domain: str) -> int:
        """The number for a domain of the main part; raises KeyError for a domain there is not."""
        return {REVIEWS: self.reviews, EXPLANATIONS: self.explanations, OPEN: self.open_ended}[domain]


class Shots(_Strict):
    """`number` of shots everywhere but on the curve, which has its own, rising."""

    number: int = Field(default=8, ge=1, le=MOST_SHOTS)
    curve: tuple[int, ...] = (0, 1, 2, 4, 8)

    @field_validator("curve")
    @classmethod
    def _rises(cls, curve: tuple[int, ...]) -> tuple[int, ...]:
        if not curve or list(curve) != sorted(set(curve)) or curve[0] < 0:
            raise ValueError("expected different numbers from 0 on, in rising order, such as [0, 1, 2, 4, 8]")
        return curve

    @model_validator(mode="after")
    def _are_drawn(self) -> Shots:
        if self.curve[-1] > self.number:
            raise ValueError(f"curve goes to {self.curve[-1]} but number is {self.number}: raise number or cut curve")
        return self


class Decoding(_Strict):
    """Decoding of every arm alike; the defaults are the demo study's."""

    temperature: float = Field(default=0.7, ge=0, le=10)
    top_p: float = Field(default=0.95, gt=0, le=1)
    max_tokens: int = Field(default=128, ge=1)

    @property
    def sampling(self) -> Sampling:
        """As engines take it."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


class Full(_Strict):
    """What `--full` adds: so many shot sets (and questions) a user."""

    shot_sets: int = Field(default=3, ge=1)


class Judge(_Strict):
    """A language model that judges the first `people` of each domain, besides the exact judge."""

    engine: str
    source: str
    options: dict[str, Any] = Field(default_factory=dict)
    layout: Literal["chat", "text"] = "chat"
    people: int = Field(default=100, ge=1)
    arms: tuple[str, ...] = ("fspo",)

    @property
    def spec(self) -> ModelSpec:
        """As engines are loaded by."""
        return ModelSpec(self.engine, self.source, options=self.options)

    @field_validator("arms")
    @classmethod
    def _are_arms(cls, arms: tuple[str, ...]) -> tuple[str, ...]:
        return known_arms(arms)


class Config(_Strict):
    """The whole file. Without `arms` every arm whose checkpoint is there is measured; named ones must be there."""

    seed: int = 1
    arms: tuple[str, ...] | None = None
    checkpoints: Checkpoints = Checkpoints()
    people: People = People()
    shots: Shots = Shots()
    sampling: Decoding = Decoding()
    full: Full = Full()
    language_judge: Judge | None = None

    @field_validator("arms")
    @classmethod
    def _are_arms(cls, arms: tuple[str, ...] | None) -> tuple[str, ...] | None:
        return known_arms(arms) if arms is not None else None

    @model_validator(mode="after")
    def _judges_what_is_made(self) -> Config:
        if self.language_judge and self.arms:
            unmade = sorted(set(self.language_judge.arms) - set(self.arms))
            if unmade:
                raise ValueError(f"language_judge.arms names {unmade[0]!r}, which arms does not: add it there")
        return self


def known_arms(arms: tuple[str, ...]) -> tuple[str, ...]:
    """The same arms, base apart; raises ValueError for one there is not, for none and for one named twice."""
    allowed = [name for name in ARMS if name != BASE]
    for arm in arms:
        if arm not in allowed:
            raise ValueError(f"unknown arm {arm!r}: use {', '.join(allowed)} (base is always made)")
    if not arms or len(set(arms)) < len(arms):
        raise ValueError("name at least one arm, and each once")
    return arms


def load_config(path: Path) -> Config:
    """Read a configuration; EvaluationError names file, key and remedy when it cannot be used."""
    tables = read_toml(path, EvaluationError)
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise EvaluationError("\n".join(f"{path}: {_problem(item)}" for item in error.errors())) from error


def _problem(item: Any) -> str:
    key = ".".join(map(str, item["loc"])) or "the file"
    said = item["msg"].removeprefix("Value error, ")
    remedy = REMEDIES.get(item["type"])
    if item["type"].startswith(("greater", "less")):
        remedy = f"it is {item['input']!r}; give another number"
    return f"{key}: {said[:1].lower()}{said[1:]}{f': {remedy}' if remedy else ''}"
