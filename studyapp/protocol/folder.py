"""A study folder read whole, with everything that is wrong with it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from studyapp.protocol.asking import AttentionRow, CandidateRow, QuestionRow
from studyapp.protocol.availability import availability
from studyapp.protocol.banks import Banks, wrong_with_banks
from studyapp.protocol.draft import Draft, draft_of
from studyapp.protocol.estimate import budget_warnings
from studyapp.protocol.files import Reader, digest
from studyapp.protocol.hints import hints
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.planning import wrong_with_plan
from studyapp.protocol.problem import Problem
from studyapp.protocol.reading import parse_line, parse_toml
from studyapp.protocol.rules import wrong_with_protocol

TOML = "study.toml"
DOCUMENTS = ("consent", "instructions", "debrief")
MAX_PROBLEMS = 100


def load_folder(path: Path) -> Loaded:
    """Read and check a study folder. Whatever the files hold, faults come back as problems and nothing is raised."""
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        is_folder = False
    if not is_folder:
        return _no_folder(path)
    reader = Reader(path)
    draft = _draft(reader)
    documents = {name: reader.document(f"{name}.md") for name in DOCUMENTS}
    banks = Banks(
        reader.rows("questions.jsonl", QuestionRow, required=True),
        reader.rows("candidates.jsonl", CandidateRow, required=True),
        reader.rows("attention.jsonl", AttentionRow, required=False),
    )
    _extras(reader)
    loaded = Loaded(
        protocol=draft.protocol if draft and not draft.broken else None,
        documents=documents,
        questions=banks.questions.rows,
        candidates=banks.candidates.rows,
        attention=banks.attention.rows,
        hash=digest(reader.contents),
        problems=(),
        warnings=(),
    )
    return _checked(loaded, draft, banks, reader)


def _checked(loaded: Loaded, draft: Draft | None, banks: Banks, reader: Reader) -> Loaded:
    found = [*reader.problems, *wrong_with_banks(banks, draft)]
    if draft:
        found.extend(wrong_with_protocol(draft, TOML, frozenset(reader.contents)))
    if not found:
        found.extend(wrong_with_plan(loaded, TOML))
    warnings: list[Problem] = []
    if loaded.protocol:
        warnings = [*availability(loaded), *hints(loaded, TOML)]
        warnings.extend([] if found else budget_warnings(loaded))
    return replace(loaded, problems=_shortened(found), warnings=_shortened(warnings))


def _no_folder(path: Path) -> Loaded:
    remedy = "give the folder that holds study.toml"
    try:
        if path.name == TOML and path.is_file():
            remedy = "give the folder that it lies in"
    except (OSError, ValueError):
        pass
    name = repr(str(path))[1:-1] or "."
    return Loaded(None, {}, (), (), (), digest({}), (Problem(name, "", "is not a folder", remedy),), ())


def _draft(reader: Reader) -> Draft | None:
    text = reader.text(TOML, required=True)
    values, problem = parse_toml(TOML, text) if text is not None else (None, None)
    if problem:
        reader.problems.append(problem)
    if values is None:
        return None
    draft, problems = draft_of(values, TOML)
    reader.problems.extend(problems)
    return draft


def _extras(reader: Reader) -> None:
    """Files that only later keys use: held by the hash, and valid in themselves."""
    name = "calibration.jsonl"
    for number, line in enumerate((reader.text(name, required=False) or "").split("\n"), start=1):
        values, what, remedy = parse_line(line) if line.strip() else ({}, "", "")
        if values is None:
            reader.problems.append(Problem(name, f"line {number}", what, remedy))
    for name in reader.forms():
        text = reader.text(name, required=False)
        _, problem = parse_toml(name, text) if text else (None, None)
        if problem:
            reader.problems.append(problem)


def _shortened(problems: list[Problem]) -> tuple[Problem, ...]:
    """Each problem once, file by file; after the first hundred of a file only how many more there are."""
    by_file: dict[str, list[Problem]] = {}
    for problem in dict.fromkeys(problems):
        by_file.setdefault(problem.file, []).append(problem)
    kept: list[Problem] = []
    for file, found in by_file.items():
        kept.extend(found[:MAX_PROBLEMS])
        if len(found) > MAX_PROBLEMS:
            more = f"has {len(found) - MAX_PROBLEMS} more problems"
            kept.append(Problem(file, "", more, "mend those above and check again"))
    return tuple(kept)
