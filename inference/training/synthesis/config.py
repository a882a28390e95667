"""The configuration of a synthesis: one TOML file, read and checked before any work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.contracts import Layout, ModelSpec, Sampling
from inference.training.synthesis.errors import SynthesisError
from inference.training.toml_file import read_toml
from inference.world import DOMAINS
from inference.world.answers import SHOTS
from inference.world.subjects import Split

FIELD_USERS = "explanations-by-field"
SPLITS: tuple[Split, ...] = get_args(Split)
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeldOut(_Strict):
    """Weights of the splits among the questions that held-out users are asked."""

    train: float = Field(default=0.2, ge=0)
    questions: float = Field(default=0.4, ge=0)
    subjects: float = Field(default=0.4, ge=0)

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.train + self.questions + self.subjects:
            raise ValueError("all three weights are 0: make one of them positive")
        return self


class Part(_Strict):
    """Rows of one kind of users: `train` rows by users of training and `held_out` rows by the others."""

    users: str
    train: int = Field(default=0, ge=0)
    held_out: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _whole_questionnaires(self) -> Self:
        known = (*DOMAINS, FIELD_USERS)
        if self.users not in known:
            raise ValueError(f"users {self.users!r} is unknown: use one of {', '.join(known)}")
        for name in ("train", "held_out"):
            rows = getattr(self, name)
            if rows % SHOTS:
                raise ValueError(f"{name} = {rows} rows are no whole questionnaires: use {rows + -rows % SHOTS}")
        return self


class WorldSource(_Strict):
    """Preferences of the exact world, without a language model.

    `alike`: the share of questionnaires in which both answers to a question are in the same words but for what they
    say.
    """

    kind: Literal["world"]
    held_out: HeldOut = HeldOut()
    alike: float = Field(default=0.0, ge=0, le=1)
    parts: list[Part] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        names = [part.users for part in self.parts]
        if len(set(names)) < len(names):
            raise ValueError("the same users are named in two parts: join the parts")
        return self


class Model(_Strict):
    """The language model, as everywhere: an engine and where the weights lie."""

    engine: Text
    source: Text
    revision: str = ""
    layout: Layout = "chat"
    options: dict[str, Any] = {}

    @property
    def spec(self) -> ModelSpec:
        """For `load_engine`."""
        return ModelSpec(self.engine, self.source, self.revision, dict(self.options))


class Decoding(_Strict):
    """How texts are sampled. Not greedy: the same prompt is asked several times, and a retry must be able to differ."""

    temperature: float = Field(default=1.0, gt=0)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=400, ge=1)

    @property
    def sampling(self) -> Sampling:
        """For the engine."""
        return Sampling(self.temperature, self.top_p, self.max_tokens)


class Judging(Decoding):
    """The judge: asked twice a pair; `tries` times when its answer cannot be read."""

    temperature: float = Field(default=0.2, gt=0)
    max_tokens: int = Field(default=8, ge=1)
    tries: int = Field(default=3, ge=1)


class Personas(_Strict):
    """Who judges: descriptions as `given`, or cells of a table of `traits`, which the model writes out when `write`.

    From traits, `each` personas come of a cell and all of them belong to one group.
    """

    train: int = Field(ge=1)
    held_out: int = Field(default=0, ge=0)
    each: int = Field(default=1, ge=1)
    write: bool = True
    traits: dict[str, Annotated[list[Text], Field(min_length=1)]] = {}
    given: list[Text] = []

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if bool(self.traits) == bool(self.given):
            raise ValueError("give either a table of traits or a list of given descriptions, not both")
        wanted = self.train + self.held_out
        if self.given and len(set(self.given)) < wanted:
            raise ValueError(f"{wanted} personas are wanted and {len(set(self.given))} different ones given: add some")
        if self.traits and self.cells < -(-self.train // self.each) + -(-self.held_out // self.each):
            raise ValueError(
                f"{wanted} personas, {self.each} a cell, need more than the {self.cells} cells of traits: "
                "add values, raise each, or ask for fewer personas"
            )
        return self

    @property
    def cells(self) -> int:
        """Number of combinations of traits."""
        count = 1
        for values in self.traits.values():
            count *= len(values)
        return count


class Improvement(_Strict):
    """Iterative persona improvement; `rounds` 0 switches it off."""

    rounds: int = Field(default=1, ge=0)


class Topics(_Strict):
    """Topics of one domain; topic -> questions in `asked` are taken as they are instead of asking the model."""

    domain: Text
    names: list[Text] = Field(min_length=1)
    asked: dict[str, Annotated[list[Text], Field(min_length=1)]] = {}

    @model_validator(mode="after")
    def _named(self) -> Self:
        unknown = sorted(set(self.asked) - set(self.names))
        if unknown:
            raise ValueError(f"asked has questions about {unknown[0]!r}, which is not among names: add it there")
        return self


class EngineSource(_Strict):
    """The same pipeline on a language model.

    A question gets `viewpoints` answers, each from a viewpoint of its own (or, with `view_conditioning` off, that many
    plain ones), and `steered` more, each as a random persona would write it. A user judges `pairs` pairs.
    `questions` are asked about a topic; the last of several about a topic of training and every `held_out_every`-th
    topic are for held-out users only.
    """

    kind: Literal["engine"]
    model: Model
    personas: Personas
    topics: list[Topics] = Field(min_length=1)
    questions: int = Field(default=3, ge=2)
    held_out_every: int = Field(default=5, ge=2)
    view_conditioning: bool = True
    viewpoints: int = Field(default=4, ge=2)
    steered: int = Field(default=2, ge=0)
    pairs: int = Field(default=16, ge=1)
    held_out: HeldOut = HeldOut()
    users_per_shard: int = Field(default=20, ge=1)
    writing: Decoding = Decoding()
    judging: Judging = Judging()
    improvement: Improvement = Improvement()


class Limits(_Strict):
    """What a run may use. Not part of the data: they may change between a run and its continuation.

    Prices are for 1,000 tokens; `budget` is in the same currency, None is no limit, and so is 0 calls a minute.
    """

    calls_per_minute: float = Field(default=0, ge=0)
    price_in: float = Field(default=0, ge=0)
    price_out: float = Field(default=0, ge=0)
    budget: float | None = Field(default=None, ge=0)
    retries: int = Field(default=5, ge=0)

    def cost(self, prompt_tokens: float, completion_tokens: float) -> float:
        """Of tokens in and out."""
        return (prompt_tokens * self.price_in + completion_tokens * self.price_out) / 1000


class Measure(_Strict):
    """The panel on which coherence is measured, and the world's `prompts` for diversity. Not part of the data either.

    `users` of each kind judge the three pairs among three answers to each of `questions` questions, `times` times.
    0 users measure no coherence. An engine is asked 6 x users x questions x times calls for it.
    """

    users: int = Field(default=4, ge=0)
    questions: int = Field(default=4, ge=1)
    times: int = Field(default=4, ge=2)
    prompts: int = Field(default=40, ge=1)


class Config(_Strict):
    """Everything that decides the rows, and the limits. `shots` (0 to 8) go into the prompts of the TRL view."""

    seed: int
    shots: int = Field(default=0, ge=0, le=SHOTS)
    shard_rows: int = Field(default=50_000, ge=SHOTS)
    source: Annotated[WorldSource | EngineSource, Field(discriminator="kind")]
    limits: Limits = Limits()
    measure: Measure = Measure()

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides the rows: everything but limits and measure."""
        data = self.model_dump(mode="json", exclude={"limits", "measure"})
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def load_config(path: Path) -> Config:
    """Read a configuration; raises SynthesisError when the file is missing, is no TOML or has wrong keys."""
    tables = read_toml(path, SynthesisError)
    try:
        return Config.model_validate(tables)
    except ValidationError as error:
        raise SynthesisError("\n".join(f"{path}: {problem}" for problem in problems(error))) from error


def problems(error: ValidationError) -> list[str]:
    """One line a problem: the key and the remedy."""
    return [_problem(list(item["loc"]), item["type"], item["msg"]) for item in error.errors(include_url=False)]


def _problem(loc: list[str | int], kind: str, message: str) -> str:
    # Pydantic puts the tag of the union behind `source`; no such key is in the file.
    shown = ".".join(str(part) for at, part in enumerate(loc) if not (at == 1 and loc[0] == "source")) or "the file"
    if kind == "extra_forbidden":
        return f"{shown}: there is no such key: use one of {', '.join(_keys_beside(loc))}"
    if kind == "missing":
        return f"{shown}: is missing: add it"
    if kind.startswith("union_tag"):
        return f'{shown}.kind: use "world" or "engine"'
    return f"{shown}: {message.removeprefix('Value error, ')}"


def _keys_beside(loc: list[str | int]) -> list[str]:
    model: type[BaseModel] = Config
    for part in loc[:-1]:
        if part in ("world", "engine") and model is Config:
            model = WorldSource if part == "world" else EngineSource
        elif isinstance(part, str) and part in model.model_fields and part != "source":
            model = _model_in(model.model_fields[part].annotation) or model
    return sorted(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)
