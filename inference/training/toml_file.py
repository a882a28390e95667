"""The one TOML file that configures a program: read, or refused in a sentence."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_toml(path: Path, error: type[Exception]) -> dict[str, Any]:
    """The tables of a TOML file; raises `error` when the file cannot be read or is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise error(f"{path}: cannot be read ({problem.strerror}): give the path of a TOML file") from problem
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise error(f"{path}: is not TOML: {problem}") from problem
