"""A production installation as docs/deployment.md describes it."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from studyapp.demo import programs

BASE = Path(__file__).resolve().parents[2]
PAGE = (BASE / "docs" / "deployment.md").read_text()
SILENT = "System check identified no issues (0 silenced)."


def block(mark: str) -> list[str]:
    """The lines of the fenced block with this mark."""
    found = re.search(rf"^```ini {mark}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert found, mark
    return found[1].splitlines()


def documented_environment(tmp_path: Path) -> dict[str, str]:
    """The environment of the page, with a secret key and a folder of our own; no database is asked."""
    given = dict(line.split("=", 1) for line in block("production"))
    given |= {"SECRET_KEY": secrets.token_urlsafe(64), "PALATE_DATA": str(tmp_path)}
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given}


def manage(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "manage.py", *arguments]
    return subprocess.run(command, cwd=BASE, env=environ, capture_output=True, text=True, timeout=120)


def test_the_documented_environment_passes_every_deployment_check(tmp_path: Path) -> None:
    done = manage(documented_environment(tmp_path), "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert SILENT in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "told"), [({"PALATE_HTTPS": "0"}, "W004"), ({"DEBUG": "1"}, "W018"), ({"SECRET_KEY": "short"}, "W009")]
)
def test_an_unsafe_environment_fails_them(tmp_path: Path, change: dict[str, str], told: str) -> None:
    done = manage(documented_environment(tmp_path) | change, "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode != 0
    assert told in done.stderr


def test_production_runs_the_programs_of_the_demo() -> None:
    starts = [line.removeprefix("ExecStart=") for line in block("programs") if line.startswith("ExecStart=")]
    documented = [next(part for part in ("uvicorn", "worker", "beat") if f" {part} " in line) for line in starts]
    running = [
        next(part for part in ("uvicorn", "worker", "beat") if part in program.command) for program in programs(8000)
    ]
    assert documented == running
    assert all("--no-access-log" in line for line in starts if "uvicorn" in line)


def test_the_documented_web_server_starts(tmp_path: Path) -> None:
    """Its options are those of the installed uvicorn, and it loads the application."""
    line = next(line for line in block("programs") if "uvicorn" in line).removeprefix("ExecStart=")
    options = line.split("uvicorn ", 1)[1].split()
    code = (
        "import sys; from uvicorn.main import main; from studyapp.asgi import application;"
        "context = main.make_context('uvicorn', sys.argv[1:]); print(context.params['app'], callable(application))"
    )
    environ = documented_environment(tmp_path)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *options],
        cwd=BASE, env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "studyapp.asgi:application True"
