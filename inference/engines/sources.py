"""Where a model lies: a path, ``bundled:NAME`` or a hub id that was downloaded before. Nothing is fetched here."""

from __future__ import annotations

import re
from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from inference.contracts import ModelSpec, PermanentError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_HUB_ID = re.compile(rf"{_NAME.pattern}/{_NAME.pattern}")


def model_folder(spec: ModelSpec, *, bundled_root: Path) -> Path:
    """The local folder with config.json and safetensors weights; PermanentError says what is missing and the remedy."""
    folder = _folder(spec, bundled_root)
    if not (folder / "config.json").is_file():
        raise PermanentError(f"model {spec.source!r}: {folder} has no config.json: point source at a model folder")
    if not any(folder.glob("*.safetensors")):
        raise PermanentError(
            f"model {spec.source!r}: {folder} has no .safetensors weights, and pickled weights are never loaded: "
            "convert the model with save_pretrained (safetensors is its default)"
        )
    return folder


def _folder(spec: ModelSpec, bundled_root: Path) -> Path:
    kind, _, name = spec.source.partition(":")
    if kind == "bundled":
        return _bundled(name, bundled_root)
    path = Path(spec.source).expanduser()
    if path.is_dir():
        return path
    if _HUB_ID.fullmatch(spec.source):
        return _downloaded(spec)
    raise PermanentError(
        f"model {spec.source!r}: there is no such folder: give a folder, a hub id like org/name, or bundled:NAME"
    )


def _bundled(name: str, root: Path) -> Path:
    if _NAME.fullmatch(name) and (root / name).is_dir():
        return root / name
    there = sorted(path.name for path in root.iterdir() if path.is_dir()) if root.is_dir() else []
    raise PermanentError(f"no bundled model {name!r} in {root}: there is {', '.join(there) or 'none'}")


def _downloaded(spec: ModelSpec) -> Path:
    revision = spec.revision or None
    try:
        return Path(snapshot_download(spec.source, revision=revision, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        at = f" --revision {revision}" if revision else ""
        raise PermanentError(
            f"model {spec.source!r} is not on this machine, and a worker downloads nothing: "
            f"run `hf download {spec.source}{at}` first, or give a folder"
        ) from error
