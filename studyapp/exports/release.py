"""What stands beside the tables of a release, so that a stranger can use and check it without asking."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db.models import Count

from annotations.models import Comparison, Judgment
from studyapp.exports import cells, dictionary, maintable, manifest, preferences, psychds
from studyapp.exports.columns import Options, Table, iso
from studyapp.exports.formats import MISSING, Format
from studyapp.models import Participant, Study
from studyapp.version import code_version

PROGRAMS = Path(__file__).parent / "released"
State = Participant.State


def write(
    study: Study, place: Path, format: Format, options: Options, tables: dict[Path, tuple[Table, int]], at: datetime
) -> dict[Path, int]:
    """Write everything but the tables, the manifest last; returns rows by file of what has rows.

    tables: the data files that are there, each with its table and its number of rows. at: the snapshot's time.
    """
    extra = dict(preferences.write(study, place, options))
    if not options.blinded:
        path, count = maintable.write(study, place)
        extra[path] = count
        (place / "protocol.json").write_text(json.dumps(study.protocol, ensure_ascii=False, indent=1) + "\n")
    _, small = cells.write(study, place)
    (place / "data_dictionary.csv").write_text(
        dictionary.as_csv(table for table, _ in tables.values()), encoding="utf-8", newline=""
    )
    for name in ("analysis.py", "analysis.R"):
        shutil.copyfile(PROGRAMS / name, place / name)
    if format.name == "csv":
        psychds.write(study, place, options, [(path, table) for path, (table, _) in tables.items()])
    files = {
        path.relative_to(place).as_posix(): {"table": table.name, "rows": count, "columns": table.header}
        for path, (table, count) in tables.items()
    } | {path.relative_to(place).as_posix(): {"rows": count} for path, count in extra.items()}
    (place / "README.md").write_text(readme(study, format, options, files, small), encoding="utf-8")
    manifest.write(place, about(study, format, options, at), files)
    return extra


def about(study: Study, format: Format, options: Options, at: datetime) -> dict[str, Any]:
    """What the manifest says of the release as a whole."""
    return {
        "study": study.slug,
        "version": study.version,
        "title": study.title,
        "state": study.state,
        "protocol_hash": study.protocol_hash,
        "code": code_version(),
        "snapshot_at": iso(at),
        "format": format.name,
        "missing": MISSING if format.name == "csv" else None,
        "blinded": options.blinded,
        "filters": {
            "include_text": options.text,
            "include_pii": options.pii,
            "left_out": "participants who withdrew, and everything of them",
        },
        "counts": counts(study),
        "seats": {
            "seal": study.seat_seal,
            # Before unblinding the salt would let somebody try plans until a digest fits.
            "salt": None if options.blinded else study.seat_salt,
        },
        "analysis": None if options.blinded else maintable.analysis(study),
        "reuse": _reuse(study),
    }


def counts(study: Study) -> dict[str, Any]:
    """People and comparisons by state, and judgments: what `manage.py verify` counts again."""
    return {
        "participants": _by_state(Participant.objects.filter(study=study)),
        "comparisons": _by_state(Comparison.objects.filter(participant__study=study)),
        "judgments": Judgment.objects.filter(participant__study=study).count(),
    }


def _by_state(rows: Any) -> dict[str, int]:
    found = Counter({row["state"]: row["n"] for row in rows.order_by().values("state").annotate(n=Count("id"))})
    return dict(sorted(found.items()))


def _reuse(study: Study) -> dict[str, Any]:
    refused = preferences.refusal(study)
    return {
        "text": (study.spec.privacy.reuse or "").strip() or None,
        "training_files": refused is None,
        "people": 0 if refused else preferences.consenting(study).count(),
    }


def readme(
    study: Study,
    format: Format,
    options: Options,
    files: dict[str, dict[str, Any]],
    small: list[dict[str, Any]],
) -> str:
    """README.md of a release."""
    reuse = (study.spec.privacy.reuse or "").strip()
    rare = [row for row in small if row["small"]]
    told = f"{len(rare)} of {len(small)} have fewer than {cells.SMALL}. "
    fewest = f"The smallest has {small[0]['people']}; {told}" if small else ""
    listed = "\n".join(f"| `{name}` | {said['rows']:,} |" for name, said in files.items())
    personal = "Free and personal text is in the files named with-text. " if options.text else ""
    personal += "Panel ids are in the file named with-pii: it identifies people." if options.pii else ""
    view = (
        "**Blinded.** Arms, models, sides, outcomes and the salt of the seats are missing until the study is unblinded."
        if options.blinded
        else "**Unblinded.** `results/win_rates.csv` is the main table: every win rate with its interval and its n."
    )
    return f"""# {study}: {study.title}

A blind study of language models, exported by Palate. Protocol `{study.protocol_hash}`.

{view}

| file | rows |
|---|---|
{listed}

`data_dictionary.csv` says of every column what it means, its type, unit and allowed values, and when it is masked.
Missing values are `{MISSING}` in CSV and null elsewhere; times are ISO 8601 in UTC. `participant` is a random code;
people who withdrew are in no file. {personal}

## Check it

- `manage.py verify FOLDER` of a Palate checkout: hashes, seats against their seal, counts, main table. It needs no
  database.
- `python analysis.py` (numpy and scipy) and `Rscript analysis.R` rebuild the main table from the data files by code of
  their own and fail on a difference.

## Reuse

{reuse or "No reuse was asked consent for: the protocol's `[privacy] reuse` is empty, so there are no training files."}

## How few people share a description

`results/smallest_cells.csv` counts people by what is released of them ({", ".join(cells.DEMOGRAPHICS)}) and by every
combination. {fewest}Before you publish, merge or leave out cells that are too small for your board's rule.
"""
