"""Small preferences on disk and a small recipe, for the tests of training."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from inference.world import DOMAINS, describe, draw_question, draw_shots, users

TINY = """
seed = 1
[model.shape]
vocabulary = 2048
hidden = 32
feed_forward = 64
layers = 2
heads = 2
context = 1024
[[stages]]
name = "plain"
kind = "grow"
rows = 32
batch = 8
learning_rate = 3e-3
parts = [
    { share = 1, shots = [1, 2], forced = [1, 0.5] },
    { share = 1, kind = "describe", shots = [1] },
    { share = 1, kind = "described", shots = [0] },
]
"""
PREFERENCE_STAGES = """
[[stages]]
name = "pref-ft"
kind = "sft"
rows = 16
batch = 8
learning_rate = 1e-3
parts = [{ share = 1, shots = [0, 2] }]
[[stages]]
name = "population"
kind = "ipo"
start = "plain"
rows = 16
batch = 8
learning_rate = 1e-3
beta = 0.1
parts = [{ share = 1, shots = [0] }]
[[stages]]
name = "fspo"
kind = "rat"
start = "pref-ft"
rows = 24
batch = 8
learning_rate = 1e-3
beta = 0.1
held_out_rows = 8
parts = [{ share = 1, shots = [2] }, { share = 1, kind = "describe", shots = [2] }]
"""


def preference_rows(people: int = 6, sets: int = 2, group: str = "train") -> list[dict[str, Any]]:
    """Rows of `people` users a domain with `sets` questionnaires each."""
    rows: list[dict[str, Any]] = []
    for domain in DOMAINS:
        for user in users(domain, group)[:people]:  # type: ignore[arg-type]
            rng = random.Random(f"{group}/{user.code}")
            for shot_set in range(sets):
                asked = [draw_question(rng, "train", domain) for _ in range(8)]
                for shot in draw_shots(user, asked, rng):
                    rows.append(
                        {
                            "user": user.code,
                            "group": group,
                            "domain": domain,
                            "question": shot.question,
                            "preferred": shot.preferred,
                            "dispreferred": shot.dispreferred,
                            "description": describe(user),
                            "shot_set": shot_set,
                        }
                    )
    return rows


def save(rows: list[dict[str, Any]], path: Path) -> Path:
    """Write rows as Parquet."""
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def save_both_groups(path: Path) -> Path:
    """Preferences of training and of held-out users."""
    return save([*preference_rows(), *preference_rows(group="held_out")], path)
