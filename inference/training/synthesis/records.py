"""The rows of a synthesis: labelled preferences, and TRL's view of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from inference.contracts import Shot
from inference.prompts import fspo_prompt, fspo_target
from inference.world.answers import SHOTS

SET_SIZE = SHOTS
"""Preferences of a questionnaire."""


class Preference(NamedTuple):
    """One labelled preference; the fields are the columns of the Parquet files, in order."""

    user: str
    group: str
    domain: str
    topic: str
    question: str
    split: str
    preferred: str
    dispreferred: str
    description: str
    shot_set: int
    contrast: str
    decided: bool

    @property
    def shot(self) -> Shot:
        """As it enters a context."""
        return Shot(self.question, self.preferred, self.dispreferred)


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """Consecutive preferences of one user, eight as a rule, and the shots that stand before each in TRL's view."""

    rows: tuple[Preference, ...]
    shots: tuple[Shot, ...] = ()


SCHEMA = pa.schema(
    [
        pa.field(name, {"shot_set": pa.int32(), "decided": pa.bool_()}.get(name, pa.string()), nullable=False)
        for name in Preference._fields
    ]
)
TRL_SCHEMA = pa.schema([pa.field(name, pa.string(), nullable=False) for name in ("prompt", "chosen", "rejected")])


def table(questionnaires: Sequence[Questionnaire]) -> Any:
    """A pyarrow table of their preferences."""
    rows = [row for each in questionnaires for row in each.rows]
    columns = zip(*rows, strict=True) if rows else [[] for _ in SCHEMA]
    return pa.Table.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)], schema=SCHEMA
    )


def trl_table(questionnaires: Sequence[Questionnaire]) -> Any:
    """The same rows, in the same order, as exact FSPO prompts and the two texts that may follow."""
    rows = [
        (fspo_prompt(row.question, each.shots), fspo_target(row.preferred), fspo_target(row.dispreferred))
        for each in questionnaires
        for row in each.rows
    ]
    columns = zip(*rows, strict=True) if rows else [[] for _ in TRL_SCHEMA]
    return pa.Table.from_arrays([pa.array(column, pa.string()) for column in columns], schema=TRL_SCHEMA)
