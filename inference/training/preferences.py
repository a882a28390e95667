"""Labelled preferences on disk: one Parquet folder or file, read whole, grouped by user.

The columns are those that `inference.training.synthesize` writes; of them this reader needs `user, question, preferred,
dispreferred`, and takes `group`, `domain`, `description`, `shot_set` and `decided` where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset

from inference.contracts import Shot

NEEDED = ("user", "question", "preferred", "dispreferred")
OPTIONAL = ("group", "domain", "description", "shot_set", "decided")


class PreferenceError(ValueError):
    """The preferences cannot be used; the message says which file, what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """One user's labelled preferences: `sets` of shots that belong together (one set each where the data name none).

    A preference that a coin decided is `undecided`: it can be a shot, for people label such pairs too, but says nothing
    that a model should learn to predict.
    """

    user: str
    domain: str
    description: str
    sets: tuple[tuple[Shot, ...], ...]
    undecided: frozenset[Shot] = frozenset()

    def __len__(self) -> int:
        return sum(map(len, self.sets))


def load(path: Path, *, group: str = "train") -> list[Labelled]:
    """The users of one group, in order of their first row. Files without a `group` column are of any group.

    Raises PreferenceError for a missing or broken file, a missing column, an empty text or user, a user with a single
    preference (there is nothing left to predict), and when no user is left.
    """
    columns = _columns(path)
    by_user: dict[str, dict[int, list[Shot]]] = {}
    about: dict[str, tuple[str, str]] = {}
    undecided: dict[str, set[Shot]] = {}
    for number, row in _rows(path, columns):
        if row.get("group", group) != group:
            continue
        _refuse_empty(path, number, row)
        user = row["user"]
        # Data that name no sets: every preference is a set of its own, and shots are drawn from all of them.
        shot_set = row.get("shot_set", number)
        shot = Shot(row["question"], row["preferred"], row["dispreferred"])
        by_user.setdefault(user, {}).setdefault(shot_set, []).append(shot)
        if not row.get("decided", True):
            undecided.setdefault(user, set()).add(shot)
        about.setdefault(user, (row.get("domain", ""), row.get("description", "")))
    users = [
        Labelled(user, *about[user], tuple(map(tuple, sets.values())), frozenset(undecided.get(user, ())))
        for user, sets in by_user.items()
    ]
    if not users:
        raise PreferenceError(f"{path}: holds no preferences of group {group!r}; give a file that does")
    for labelled in users:
        if len(labelled) < 2:
            raise PreferenceError(
                f"{path}: user {labelled.user!r} has a single preference; at least one shot and one to predict are "
                "needed: label more, or leave the user out"
            )
    return users


def _columns(path: Path) -> list[str]:
    if not path.exists():
        raise PreferenceError(f"{path}: there is no such file or folder; make one with inference.training.synthesize")
    try:
        names = pa.dataset.dataset(path, format="parquet").schema.names
    except (pa.ArrowException, OSError) as error:
        raise PreferenceError(f"{path}: is no readable Parquet ({_first_line(error)}); write it again") from error
    for name in NEEDED:
        if name not in names:
            raise PreferenceError(
                f"{path}: has no column {name!r}, only {', '.join(names)}; needed are {', '.join(NEEDED)}"
            )
    return [name for name in (*NEEDED, *OPTIONAL) if name in names]


def _rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        for batch in pa.dataset.dataset(path, format="parquet").to_batches(columns=columns):
            for row in batch.to_pylist():
                yield number, row
                number += 1
    except (pa.ArrowException, OSError) as error:
        raise PreferenceError(
            f"{path}: breaks off after row {number} ({_first_line(error)}); write it again"
        ) from error


def _refuse_empty(path: Path, number: int, row: dict[str, Any]) -> None:
    for name in NEEDED:
        if not str(row[name] or "").strip():
            raise PreferenceError(f"{path}: row {number} has an empty {name!r}; fill it or leave the row out")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]
