"""The documentation tells the truth: its commands run, its names exist, its tables are complete."""

from __future__ import annotations

import argparse
import ast
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class

from studyapp.exports import export
from studyapp.exports.columns import Table
from studyapp.exports.dictionary import as_markdown
from studyapp.exports.tables import TABLES
from studyapp.services import studies
from tests import factory
from tests.test_demo_command import OURS, Demo, free_port

BASE = Path(__file__).resolve().parents[1]
README = BASE / "README.md"
DOCS = BASE / "docs"
PAGES = sorted([README, *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w+)(?: (\w+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMES = [str(page.relative_to(BASE)) for page in PAGES]


def blocks(page: Path, mark: str) -> list[str]:
    """The fenced blocks of a page whose info string ends with `mark`."""
    return [body for _, found, body in FENCE.findall(page.read_text()) if found == mark]


def bash(script: str, folder: Path, environ: dict[str, str]) -> str:
    """Run a documented block as a person would paste it; what it printed. Any failing line fails it."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environ, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder where documented commands run as in a checkout, but write elsewhere."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    for name in ("manage.py", "inference"):
        (tmp_path / name).symlink_to(BASE / name)
    python = tmp_path / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    shutil.copytree(BASE / "studies", tmp_path / "studies")
    return tmp_path


# --- commands ---------------------------------------------------------------------------------------------------------
def test_the_cheap_commands_of_the_readme_run(checkout: Path) -> None:
    (script,) = blocks(README, "fast")
    printed = bash(script, checkout, dict(os.environ))
    assert "No problems." in printed
    assert printed.endswith("Tea or coffee?\n")


def test_the_first_step_of_the_path_makes_a_sound_study(checkout: Path) -> None:
    printed = bash(blocks(README, "path")[0], checkout, dict(os.environ))
    assert printed.startswith("Study tea@1")
    assert "No problems." in printed
    assert "40 seats" in printed


@pytest.fixture
def demo(short_path: Path) -> Iterator[Demo]:
    """A running `make demo`."""
    running = Demo(short_path / "data", free_port())
    yield running
    running.process.terminate()
    running.ended()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_path_of_the_readme_leads_to_a_win_rate_table(checkout: Path, demo: Demo) -> None:
    demo.value("Participant")
    environ = {name: value for name, value in os.environ.items() if name not in OURS}
    environ |= {"PALATE_DATA": str(demo.data), "PORT": str(demo.port)}
    printed = [bash(block, checkout, environ) for block in blocks(README, "path")]
    assert "tea@1 is open at /s/tea/" in printed[1]
    assert "24 simulated participants" in printed[2]
    assert " 0 lost, 0 doubled" in printed[2]
    assert re.search(r"^fspo > base +all +\d+ +[1-9]\d* ", printed[4], re.MULTILINE), printed[4]
    report = (checkout / "var" / "tea-report" / "report.html").read_text()
    assert "SIMULATED participants" in report
    judgments = checkout / "var" / "tea" / "data" / "description-judgments_data.csv"
    assert judgments.read_text().count("\n") > 100
    assert "var/tea is what it says." in printed[4]
    assert "var/tea.palate is what it says." in printed[5]
    again = printed[5].partition("tea@1 is back, unblinded.")[2]
    rows = [re.search(r"^fspo > base +all +.*", said, re.MULTILINE) for said in (printed[4], again)]
    first, second = (row[0].split() if row else [] for row in rows)
    assert first == second != []


def options_of(parser: argparse.ArgumentParser, verb: str) -> set[str]:
    """The options of a command, with those of its subcommand `verb`."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction) and verb in action.choices:
            found |= options_of(action.choices[verb], "")
    return found


def verbs_of(parser: argparse.ArgumentParser) -> set[str]:
    """The subcommands of a command."""
    actions = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return {verb for action in actions for verb in action.choices}


def problems_of(text: str) -> list[str]:
    """What a text says of manage.py that is not so."""
    known, found = get_commands(), []
    for name, rest in re.findall(r"manage\.py ([a-z_]+)([^`\n|]*)", text):
        if name not in known:
            found.append(f"manage.py {name}")
            continue
        parser = load_command_class(str(known[name]), name).create_parser("manage.py", name)
        verb = next(iter(rest.split()), "")
        if verbs_of(parser) and verb not in verbs_of(parser):
            found.append(f"manage.py {name} {verb}")
        unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", rest)) - options_of(parser, verb)
        found += [f"manage.py {name} {verb} {option}" for option in sorted(unknown)]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_command_and_option_named_exists(name: str) -> None:
    assert problems_of((BASE / name).read_text()) == []


@pytest.mark.parametrize(
    "text",
    ["`manage.py fly demo`", "manage.py study paint demo", "`manage.py export demo out --format csv --loudly`"],
)
def test_a_command_that_does_not_exist_is_noticed(text: str) -> None:
    assert problems_of(text)


@pytest.mark.parametrize("name", NAMES)
def test_every_make_target_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (BASE / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^ *|`|&& )make ([a-z-]+)", (BASE / name).read_text(), re.MULTILINE))
    assert named <= targets


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_path_leads_somewhere(name: str) -> None:
    page = BASE / name
    text = page.read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []
    paths = re.findall(r"`((?:inference|annotations|studyapp|studies|tests|docs|scripts)/[\w./-]+)`", text)
    assert [path for path in paths if not (BASE / path).exists()] == []


def test_pictures_are_light() -> None:
    assert {p.name: p.stat().st_size for p in (DOCS / "images").iterdir() if p.stat().st_size > 200_000} == {}


# --- tables -----------------------------------------------------------------------------------------------------------
def rows_of(text: str) -> list[list[str]]:
    """The cells of every row of a Markdown text's tables, headers left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row, after in itertools.zip_longest(cells, cells[1:]) if not _is_rule(row) and not _is_rule(after)]


def _is_rule(row: list[str] | None) -> bool:
    return bool(row) and all(re.fullmatch(r"-+", cell) for cell in row or [])


def named(call: ast.Call, constants: dict[str, Any]) -> str:
    """The first argument of a call as a string, by the module's constants too."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Name):
        return str(constants.get(first.id, ""))
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""


def variables_read(source: str) -> dict[str, Any]:
    """The environment variables that a Python source reads or sets, with the literal default where there is one."""
    tree, found = ast.parse(source), {}
    constants = {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner, name = ast.unparse(node.func.value), named(node, constants)
            if re.search(r"\b(env|environ|environ\(\)|os)$", owner) and re.fullmatch(r"[A-Z][A-Z_]+", name):
                default = next((k.value for k in node.keywords if k.arg == "default"), None)
                found[name] = default.value if isinstance(default, ast.Constant) else None
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("environ"):
            found.setdefault(getattr(node.slice, "value", ""), None)
    return {name: default for name, default in found.items() if isinstance(name, str) and name}


def all_variables() -> dict[str, Any]:
    """Every variable that Palate's own code reads: Python everywhere, and the shell scripts."""
    found: dict[str, Any] = {}
    for folder in ("studyapp", "annotations", "inference"):
        for path in (BASE / folder).rglob("*.py"):
            found |= variables_read(path.read_text())
    for path in [BASE / "manage.py", BASE / "tests" / "plugin.py", *(BASE / "scripts").glob("*.py")]:
        found = variables_read(path.read_text()) | found
    for path in (BASE / "scripts").iterdir():
        if path.suffix == "" and path.is_file():
            found |= dict.fromkeys(re.findall(r"\$\{([A-Z_]+):-", path.read_text()))
    others = {"PYTEST_XDIST_WORKER", "PYTHONDONTWRITEBYTECODE"}  # pytest-xdist's own and Python's own
    return {name: default for name, default in found.items() if name not in others}


def test_settings_names_every_variable_that_is_read_and_no_other() -> None:
    documented = [row[0].strip("`") for row in rows_of((DOCS / "settings.md").read_text())]
    assert sorted(documented) == sorted(all_variables())


def test_settings_gives_the_defaults_of_the_code() -> None:
    cells = {row[0].strip("`"): row[1] for row in rows_of((DOCS / "settings.md").read_text())}
    literal = {name: default for name, default in all_variables().items() if default not in (None, "")}
    literal = {n: d for n, d in literal.items() if n not in ("DATABASE_URL", "REDIS_URL")}  # documented in words
    assert len(literal) > 6
    assert {name: cells[name] for name, default in literal.items() if f"`{default}`" not in cells[name]} == {}


def test_a_variable_read_in_any_way_is_found() -> None:
    source = (
        'NAME = "A_ONE"\nenv.int("B_TWO", default=3)\nos.environ.get(NAME)\nos.getenv("C_THREE")\nenviron["D_FOUR"]\n'
    )
    assert variables_read(source) == {"A_ONE": None, "B_TWO": 3, "C_THREE": None, "D_FOUR": None}


def documented_table(table: Table) -> list[list[str]]:
    text = (DOCS / "exports.md").read_text()
    section = re.search(rf"^## {table.name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/exports.md has no table {table.name}"
    return rows_of(section[1])


def test_exports_lists_every_table() -> None:
    assert re.findall(r"^## (\w+)$", (DOCS / "exports.md").read_text(), re.MULTILINE) == [t.name for t in TABLES]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_exports_says_of_every_column_what_the_data_dictionary_says(table: Table) -> None:
    assert as_markdown(table).strip() in (DOCS / "exports.md").read_text()


def is_time(value: Any) -> bool:
    return isinstance(value, str) and bool(datetime.fromisoformat(value))


KINDS = {
    "text": lambda value: isinstance(value, str),
    "whole number": lambda value: type(value) is int,
    "number": lambda value: type(value) is float,
    "true/false": lambda value: isinstance(value, bool),
    "time": is_time,
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


@pytest.mark.django_db
def test_exported_values_are_of_the_documented_types(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    studies.close(study, end="a test")
    study = studies.unblind(study, "a test")
    export(study, tmp_path, format="jsonl", text=True, pii=True)
    wrong, seen = [], 0
    for table in TABLES:
        kinds = {row[0].strip("`"): row[1] for row in documented_table(table)}
        (path,) = (tmp_path / "data").glob(f"description-{table.name}_with-text*_data.jsonl")
        for line in path.read_text().splitlines():
            for name, value in json.loads(line).items():
                seen += value is not None
                if value is not None and not KINDS[kinds[name]](value):
                    wrong.append((table.name, name, value))
    assert seen > 300
    assert wrong == []
