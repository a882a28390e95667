"""A training recipe: one TOML file, read and checked before any work."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from inference.training.curriculum import Ease, Form
from inference.training.fewshot import Kind
from inference.training.toml_file import read_toml

Fraction = Annotated[float, Field(ge=0, le=1)]


class RecipeError(ValueError):
    """The recipe cannot be used; the message names file, key and remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Strict):
    """A Llama from nothing. `vocabulary` counts tokens, widths are in units, `context` in tokens."""

    vocabulary: int = Field(ge=640)
    hidden: int = Field(gt=0)
    feed_forward: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    context: int = Field(ge=128)


class Lora(_Strict):
    """A LoRA adapter on the base model: rank, scaling and the modules that get one."""

    rank: int = Field(default=16, gt=0)
    alpha: int = Field(default=32, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    modules: list[str] | Literal["all-linear"] = "all-linear"


class ModelChoice(_Strict):
    """What is trained: a model from nothing (`shape`), or a causal LM on disk (`base`), whole or through `lora`."""

    shape: Shape | None = None
    base: Path | None = None
    lora: Lora | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> ModelChoice:
        if (self.shape is None) == (self.base is None):
            raise ValueError("give either [model.shape], for a model from nothing, or model.base, a folder on disk")
        if self.lora is not None and self.base is None:
            raise ValueError("[model.lora] needs model.base: an adapter of a model from nothing makes no sense")
        return self


class Part(_Strict):
    """One sort of row of a stage. The shares of a stage are weights; `shots` are drawn from evenly.

    The rest belongs to grow stages. `form` as in `curriculum.draw_row`; `learn` is what is learnt of an answer: all of
    it, or the phrases that say its ideas, the tokens that name its subject or both, and a share `words` of the others;
    `in_place`: the preferred answers among the shots are learnt too, in their places; `also`: after these numbers of
    the same shots, where they are fewer, an answer of its own is learnt as well. `forced`, `turned`, `alone`,
    `noise`, `stray`, `mixed` and `aside` are those of `curriculum.Ease` at the first and at the last row, annealed
    linearly.
    """

    share: float = Field(gt=0)
    kind: Kind = "answer"
    shots: list[Annotated[int, Field(ge=0, le=64)]] = Field(min_length=1)
    form: Form = "whole"
    learn: Literal["all", "ideas", "names", "both"] = "all"
    words: Fraction = 0.0
    in_place: bool = True
    also: list[Annotated[int, Field(ge=1, le=64)]] = []
    forced: tuple[Fraction, Fraction] = (0.0, 0.0)
    turned: tuple[Fraction, Fraction] = (1.0, 1.0)
    alone: tuple[Fraction, Fraction] = (0.0, 0.0)
    noise: tuple[Fraction, Fraction] = (0.0, 0.0)
    stray: tuple[Fraction, Fraction] = (0.0, 0.0)
    mixed: tuple[Fraction, Fraction] = (0.0, 0.0)
    aside: tuple[Fraction, Fraction] = (1.0, 1.0)

    def ease(self, progress: float) -> Ease:
        """The ease of a row at `progress`, from 0 to 1, through its stage."""
        ends = (self.forced, self.turned, self.alone, self.noise, self.stray, self.mixed, self.aside)
        return Ease(*(start + (end - start) * progress for start, end in ends))

    @model_validator(mode="after")
    def _a_sketch_is_an_answer(self) -> Part:
        if self.form == "sketch" and (self.kind != "answer" or min(self.shots) == 0):
            raise ValueError("a sketch is an answer after one shot or more: set kind and shots so, or form = 'whole'")
        return self

    @model_validator(mode="after")
    def _answers_stand_in_one_place(self) -> Part:
        if self.also and self.in_place:
            raise ValueError(
                "answers after fewer shots (also) and those among the shots exclude each other: add in_place = false"
            )
        return self

    @model_validator(mode="after")
    def _a_description_needs_shots(self) -> Part:
        if self.kind == "describe" and min(self.shots) == 0:
            raise ValueError("a description is inferred from shots: take 0 out of the shots of a 'describe' part")
        return self


class Stage(_Strict):
    """One stretch of training, saved under its name.

    `kind` is `grow` (rows of the world, from nothing), `sft` (preferred answers after shots), `ipo` (preferred against
    dispreferred ones) or `rat` (ipo with pairs of sampled descriptions). `start` names an earlier stage (the one
    before, if left out). `rows` counts examples, `batch` rows a step. `beta` is IPO's, for summed log-probabilities.
    `words_anew`: names and clauses of descriptions begin again, for a model whose rows have had none so far.
    """

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    kind: Literal["grow", "sft", "ipo", "rat"]
    start: str | None = None
    rows: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    schedule: str = "constant_with_warmup"
    optimizer: str = "adamw_torch"
    warmup: int = Field(default=50, ge=0)
    clip: float = Field(default=1.0, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    beta: float | None = Field(default=None, gt=0)
    held_out_rows: int = Field(default=0, ge=0)
    descriptions: int = Field(default=4, ge=2)
    words_anew: bool = False
    parts: list[Part] = Field(min_length=1)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Stage:
        if (self.beta is None) == (self.kind in ("ipo", "rat")):
            raise ValueError(f"beta belongs to ipo and rat stages, and stage {self.name!r} is {self.kind}")
        if self.kind == "ipo" and any(part.kind == "describe" for part in self.parts):
            raise ValueError("a pair of descriptions must be sampled: use kind 'rat' for a stage with 'describe' parts")
        if self.rows < self.batch:
            raise ValueError(f"stage {self.name!r} has fewer rows than one batch")
        return self


class Recipe(_Strict):
    """Seed, model, preferences (a Parquet file or folder) and stages, in order."""

    seed: int
    preferences: Path | None = None
    bf16: bool = False
    model: ModelChoice
    stages: list[Stage] = Field(min_length=1)

    @model_validator(mode="after")
    def _stages_follow_each_other(self) -> Recipe:
        known: set[str] = set()
        for stage in self.stages:
            if stage.name in known:
                raise ValueError(f"two stages are called {stage.name!r}")
            if stage.start is not None and stage.start not in known:
                raise ValueError(f"stage {stage.name!r} starts from {stage.start!r}, which is no stage before it")
            known.add(stage.name)
        if self.preferences is None and any(stage.kind != "grow" for stage in self.stages):
            raise ValueError("sft, ipo and rat stages need `preferences`, a Parquet file or folder of synthesize")
        if self.model.base is None and self.stages[0].kind != "grow":
            raise ValueError("a model from nothing has to begin with a stage of kind 'grow'")
        return self

    def start_of(self, stage: Stage) -> str | None:
        """The stage whose checkpoint this one goes on from; None for the model itself."""
        number = self.stages.index(stage)
        return stage.start if stage.start is not None else (self.stages[number - 1].name if number else None)

    def digest_of(self, stage: Stage) -> str:
        """Changes when anything does that the stage's checkpoint depends on within the recipe."""
        start = self.start_of(stage)
        before = self.digest_of(next(s for s in self.stages if s.name == start)) if start is not None else ""
        own = [
            self.seed,
            None if stage.kind == "grow" else str(self.preferences),
            self.bf16,
            self.model.model_dump(mode="json"),
            stage.model_dump(mode="json"),
        ]
        return hashlib.sha256(json.dumps([before, own]).encode()).hexdigest()

    def scaled(self, scale: float) -> Recipe:
        """The recipe with `scale` times as many rows in every stage, at least two batches of each."""
        stages = [
            stage.model_copy(
                update={
                    "rows": max(2 * stage.batch, int(stage.rows * scale)),
                    "held_out_rows": int(stage.held_out_rows * min(1.0, scale)),
                }
            )
            for stage in self.stages
        ]
        return self.model_copy(update={"stages": stages})


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises RecipeError when the file is missing, is no TOML or has wrong keys."""
    tables = read_toml(path, RecipeError)
    try:
        return Recipe.model_validate(tables)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'recipe'}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{path}: {problems}") from error
