"""docs/protocol.md says of every key what it is, and says nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from studyapp.protocol import AttentionRow, CandidateRow, Protocol, QuestionRow
from studyapp.protocol.explain import tables_in
from studyapp.protocol.reference import reference

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"

# The contract: every reserved key.
CONTRACT = {
    "": "slug version title target_participants max_enrolled demo elicitation models arms sampling normalise "
    "comparisons controls judging forms quotas eligibility disclosure wait sessions exits pay analysis exclusions "
    "stopping privacy",
    "elicitation": "shots probes repeats words overlap",
    "models": "engine source revision layout adapter reference target responses",
    "arms": "model context shots flip_rate rationale instruction sampling samples pool max_uses",
    "sampling": "temperature top_p max_tokens seed",
    "normalise": "words pair_ratio plain_text tries on_exhausted",
    "comparisons": "treatment baseline items kind differs_because",
    "controls": "kind items arm path lag",
    "judging": "prompt scale reason reason_items break_every also",
    "forms": "id at file",
    "quotas": "by max",
    "eligibility": "min_age not_in only_in devices",
    "disclosure": "purpose guess",
    "wait": "deadline_s",
    "sessions": "lease_min resume_hours",
    "exits": "completed declined screened_out failed_checks timed_out excused stopped withdrawn",
    "pay": "currency amount minutes floor_per_hour ceiling",
    "analysis": "primary secondary alpha interval sesoi margin looks min_df",
    "exclusions": "id scope metric op value set",
    "stopping": "count target until",
    "privacy": "controller contact ethics_approval lawful_basis special_category recipients retention_identity_days "
    "withdraw_until reuse",
}


def all_tables(table: type[BaseModel]) -> list[type[BaseModel]]:
    inner = [t for field in table.model_fields.values() for t in tables_in(field.annotation)]
    return [table, *(deep for t in inner for deep in all_tables(t))]


TABLES = [*all_tables(Protocol), QuestionRow, CandidateRow, AttentionRow]


def test_the_page_is_what_the_models_say() -> None:
    told = PAGE.read_text(encoding="utf-8")
    assert told == reference(), "run: python -m studyapp.protocol.reference > docs/protocol.md"


def heading(table: type[BaseModel]) -> str:
    if table is Protocol:
        return "study.toml"
    return (table.__doc__ or "").split(": ")[0]


def rows_of(page: str, table: type[BaseModel]) -> dict[str, list[str]]:
    """Key -> type, default, since, meaning, as the page's section of the table says."""
    section = page.split(f"## `{heading(table)}`\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {row[0].strip().strip("`"): [cell.strip() for cell in row[1:]] for row in rows}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_has_a_type_a_default_a_since_and_a_meaning(table: type[BaseModel]) -> None:
    rows = rows_of(PAGE.read_text(encoding="utf-8"), table)
    assert list(rows) == list(table.model_fields)
    for kind, default, since, meaning in rows.values():
        assert kind
        assert default
        assert since.startswith(("0.", "not yet"))
        assert meaning.endswith((".", "?"))


@pytest.mark.parametrize("name", CONTRACT)
def test_every_reserved_key_is_a_key_of_the_models_and_there_is_no_other(name: str) -> None:
    table = next(tables_in(Protocol.model_fields[name].annotation)) if name else Protocol
    assert set(table.model_fields) == set(CONTRACT[name].split())
