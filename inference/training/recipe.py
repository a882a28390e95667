"""A training recipe: one TOML file, read and checked before any work."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inference.training.synthesis import Mix


class RecipeError(ValueError):
    """The recipe cannot be used; the message names file, key and remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelShape(_Strict):
    """Size of the Llama checkpoint; widths in units, `context` in tokens."""

    vocabulary: int = Field(ge=512)
    hidden: int = Field(gt=0)
    feed_forward: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    context: int = Field(ge=128)


class Part(_Strict):
    """One kind of row of a stage and its share of the batches; the shares of a stage are weights."""

    share: float = Field(gt=0)
    shots: list[int] = Field(min_length=1)
    forced: tuple[float, float] = (0.0, 0.0)

    @property
    def mix(self) -> Mix:
        """What its rows are made of."""
        return Mix(tuple(self.shots), self.forced)


class Stage(_Strict):
    """One stretch of training. `rows` counts examples, `batch` rows a step; a batch is of one part."""

    name: str
    rows: int = Field(gt=0)
    batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    schedule: str = "constant_with_warmup"
    parts: list[Part] = Field(min_length=1)


class Recipe(_Strict):
    """Seed, model and stages, in order."""

    seed: int
    model: ModelShape
    stages: list[Stage] = Field(min_length=1)


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; raises RecipeError when the file is missing, is no TOML or has wrong keys."""
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise RecipeError(f"{path}: cannot be read ({error.strerror}); give the path of a recipe file") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RecipeError(f"{path}: is not TOML: {error}") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise RecipeError(f"{path}: {problems}") from error
