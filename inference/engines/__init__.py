"""Engines behind one contract. `load_engine` imports only the one it is asked for, so the web never loads torch."""

from __future__ import annotations

import importlib
from pathlib import Path

from inference.contracts import ModelSpec, PermanentError
from inference.engines.base import Engine

__all__ = ["ENGINES", "Engine", "load_engine"]

ENGINES = {
    "openai": "inference.engines.openai_engine",
    "scripted": "inference.engines.scripted",
    "transformers": "inference.engines.transformers_engine",
    "vllm": "inference.engines.vllm_engine",
}
REQUIREMENTS = {"vllm": "requirements-gpu.txt (on a machine without a GPU: make setup-vllm-cpu)"}


def load_engine(spec: ModelSpec, *, bundled_root: Path) -> Engine:
    """Load the engine that `spec` names; slow for real models, so load once a process and keep it.

    `bundled_root` is the folder that ``bundled:NAME`` sources lie in. Raises PermanentError for an unknown engine,
    option or model and TransientError when the device has no room; both say what to do.
    """
    if spec.engine not in ENGINES:
        raise PermanentError(f"engine {spec.engine!r} is unknown: use one of {', '.join(sorted(ENGINES))}")
    try:
        module = importlib.import_module(ENGINES[spec.engine])
    except ImportError as error:
        raise PermanentError(
            f"engine {spec.engine!r} needs the package {error.name!r}, which is not installed: "
            f"install {REQUIREMENTS.get(spec.engine, 'requirements.txt')}"
        ) from error
    engine: Engine = module.load(spec, bundled_root=bundled_root)
    return engine
