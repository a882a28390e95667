"""Where the checkpoints lie, and which arms have one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.contracts import InferenceError, ModelSpec
from inference.engines import Engine, load_engine
from inference.engines.sources import model_folder
from inference.training.evaluation.arms import ARMS, BASE, CHECKPOINTS, Arm
from inference.training.evaluation.config import Config
from inference.training.evaluation.errors import EvaluationError

BUNDLED = Path(__file__).resolve().parents[2] / "bundled"
SHIPPED = BUNDLED / "palate-1"

Load = Callable[[ModelSpec], Engine]


@dataclass(frozen=True, slots=True)
class Found:
    """The checkpoints there are, the arms that have one (base first), and a sentence for each arm left out."""

    folders: Mapping[str, Path]
    arms: tuple[Arm, ...]
    left_out: tuple[str, ...]

    def spec(self, checkpoint: str) -> ModelSpec:
        """As engines are loaded by."""
        return ModelSpec("transformers", str(self.folders[checkpoint]))


def find(config: Config) -> Found:
    """Look for every checkpoint; EvaluationError when the folder, FSPO or an arm named in `arms` has none."""
    folder = config.checkpoints.folder
    if folder is not None and not folder.is_dir():
        raise EvaluationError(
            f"checkpoints.folder: there is no folder {folder}: run `make model`, which writes it, "
            "or remove the key to measure the shipped model alone"
        )
    places = {name: _place(name, config) for name in CHECKPOINTS}
    missing = {name: _trouble(place) for name, place in places.items()}
    if missing["fspo"]:
        raise EvaluationError(f"checkpoints.fspo: {missing['fspo']}; every arm is judged against its answers")
    wanted = [ARMS[name] for name in (BASE, *(config.arms or (name for name in ARMS if name != BASE)))]
    left_out = tuple(
        f"{arm.name} ({arm.says}) is left out: {missing[arm.checkpoint]}" for arm in wanted if missing[arm.checkpoint]
    )
    if left_out and config.arms:
        raise EvaluationError("\n".join(f"arms: {sentence}" for sentence in left_out))
    there = {name: place for name, place in places.items() if place is not None and not missing[name]}
    return Found(there, tuple(arm for arm in wanted if not missing[arm.checkpoint]), left_out)


def load_checkpoint(spec: ModelSpec) -> Engine:
    """Load an engine of the product; EvaluationError carries what it says."""
    try:
        return load_engine(spec, bundled_root=BUNDLED)
    except InferenceError as error:
        raise EvaluationError(str(error)) from error


def _place(name: str, config: Config) -> Path | None:
    folder, own = config.checkpoints.folder, config.checkpoints.fspo
    if name != "fspo":
        return folder / name if folder else None
    if own is not None:
        return own
    return folder / name if folder and (folder / name).is_dir() else SHIPPED


def _trouble(place: Path | None) -> str | None:
    if place is None:
        return "checkpoints.folder is not given: run `make model` and name the folder that it writes"
    try:
        model_folder(ModelSpec("transformers", str(place)), bundled_root=BUNDLED)
    except InferenceError as error:
        return f"{error}, or run `make model`, which makes it"
    return None
