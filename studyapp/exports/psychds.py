"""Psych-DS metadata: `dataset_description.json`, and beside every data file what its columns are.

Of a release in CSV the standard's validator checks the names of the data files, that every column is described, and
that the description is a schema.org Dataset in JSON-LD (https://psychds-docs.readthedocs.io).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from studyapp.exports.columns import Options, Table
from studyapp.exports.dictionary import variables
from studyapp.models import Study

SCHEMA_VERSION = "Psych-DS 1.0.0"
CONTEXT = {"@context": "https://schema.org/", "@type": "Dataset"}


def write(study: Study, place: Path, options: Options, files: Sequence[tuple[Path, Table]]) -> list[Path]:
    """Write the description of the whole and one beside every data file; returns their paths."""
    whole = place / "dataset_description.json"
    whole.write_text(_json(_whole(study, options, [table for _, table in files])), encoding="utf-8")
    return [whole, *(_beside(study, path, table) for path, table in files)]


def _whole(study: Study, options: Options, tables: Iterable[Table]) -> dict[str, Any]:
    named: dict[str, dict[str, Any]] = {}
    for table in tables:
        for variable in variables(table):
            named.setdefault(variable["name"], variable)
    privacy = study.spec.privacy
    blinded = "Blinded: arms, models and outcomes are masked. " if options.blinded else ""
    return {
        **CONTEXT,
        "name": f"{study}: {study.title}",
        "description": f"A blind pairwise study of language models with Palate. {blinded}README.md says what is in "
        "which file, data_dictionary.csv what every column means.",
        "schemaVersion": SCHEMA_VERSION,
        "author": [privacy.controller] if privacy.controller else [],
        "license": (privacy.reuse or "").strip() or "Not to be reused: no reuse was asked consent for.",
        "version": study.protocol_hash,
        "keywords": ["blind study", "pairwise comparison", "personalised language models"],
        "variableMeasured": list(named.values()),
    }


def _beside(study: Study, path: Path, table: Table) -> Path:
    """The sidecar of a data file: the same name with .json."""
    sidecar = path.with_suffix(".json")
    said = {**CONTEXT, "name": f"{study}: {table.name}", "description": table.about}
    sidecar.write_text(_json({**said, "variableMeasured": variables(table)}), encoding="utf-8")
    return sidecar


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
