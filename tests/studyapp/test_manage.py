"""manage.py: no servers where none are needed, and words instead of tracebacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BASE = Path(__file__).resolve().parents[2]
NOWHERE = "postgres:///palate?host=/nonexistent"


def manage(*arguments: str, database: str = NOWHERE) -> "subprocess.CompletedProcess[str]":
    """The outcome of one command with `database`, both streams in stdout."""
    return subprocess.run(
        [sys.executable, "-W", "ignore", "manage.py", *arguments],
        cwd=BASE,
        env=os.environ | {"DATABASE_URL": database},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize("command", ["check", "help", "study check studies/demo"])
def test_a_command_that_needs_no_database_asks_none(command: str) -> None:
    done = manage(*command.split())
    assert (done.returncode, "Traceback" in done.stdout) == (0, False), done.stdout


def test_a_database_that_does_not_answer_is_named_without_a_traceback() -> None:
    done = manage("study", "status", "demo")
    assert done.returncode == 1
    assert "The database does not answer" in done.stdout
    assert "DATABASE_URL" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_database_without_tables_says_how_to_make_them() -> None:
    # The tests' tables lie in a database of their own; this one, beside it, has none.
    done = manage("study", "status", "demo", database=os.environ["DATABASE_URL"])
    assert done.returncode == 1
    assert "manage.py migrate" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_wrong_command_line_is_status_2() -> None:
    assert manage("study", "nonsense").returncode == 2


def test_what_counts_nothing_loads_no_numerical_library() -> None:
    program = (
        "import sys, django; django.setup(); import studyapp.urls, inference.tasks; "
        "print(sorted({'numpy', 'scipy', 'pandas', 'pyarrow', 'torch', 'matplotlib'} & set(sys.modules)))"
    )
    environ = os.environ | {"DJANGO_SETTINGS_MODULE": "studyapp.settings"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, cwd=BASE, env=environ, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"
