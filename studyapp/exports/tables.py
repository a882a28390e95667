"""All tables of a study, in the order in which they are written."""

from __future__ import annotations

from studyapp.exports.columns import Options, Table
from studyapp.exports.judging import COMPARISONS, JUDGMENTS, PREFERENCES
from studyapp.exports.people import EVENTS, EXCLUSIONS, IDENTITIES, PARTICIPANTS, SEATS
from studyapp.exports.texts import ATTEMPTS, GENERATIONS, SCORES

TABLES: tuple[Table, ...] = (
    PARTICIPANTS, SEATS, PREFERENCES, GENERATIONS, ATTEMPTS, SCORES, COMPARISONS, JUDGMENTS, EXCLUSIONS, EVENTS,
    IDENTITIES,
)  # fmt: skip


def released(options: Options) -> tuple[Table, ...]:
    """The tables that an export with these options writes."""
    return tuple(table for table in TABLES if options.pii or not table.personal)
