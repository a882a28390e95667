"""Which code this is: the version of the project, and the commit where it runs from a checkout."""

from __future__ import annotations

import subprocess
import tomllib
from functools import lru_cache

from django.conf import settings


@lru_cache(maxsize=1)
def code_version() -> dict[str, str]:
    """`version` from pyproject.toml, `commit` from git (empty outside a checkout)."""
    project = tomllib.loads((settings.BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    return {"version": str(project["project"]["version"]), "commit": _git("rev-parse", "HEAD")}


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(settings.BASE_DIR), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
