"""Rows that begin alike, read once.

The same shots serve several answers: one after the first shot, one after two, and so on. Written one after another with
a mask that hides each from the others, they cost little more than the longest row alone, and every figure is that of
the rows by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import torch
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from inference.training.fewshot import IGNORED

Encoded = Mapping[str, Sequence[Any]]


def merge(rows: Sequence[Encoded]) -> dict[str, list[Any]]:
    """One row for several: the last one whole, then of each other what it does not share with the last.

    `branches` has a pair for each of the others: how many tokens of the last row come before it, and its own length.
    What is learnt is a branch's own, and so is the token before it, from which it is predicted.
    """
    trunk = rows[-1]
    merged: dict[str, list[Any]] = {name: list(trunk[name]) for name in ("input_ids", "labels")} | {"branches": []}
    for row in rows[:-1]:
        start = _shared(row, trunk)
        for name in ("input_ids", "labels"):
            merged[name] += row[name][start:]
        merged["branches"].append((start, len(row["input_ids"]) - start))
    return merged


def _shared(row: Encoded, trunk: Encoded) -> int:
    tokens = zip(row["input_ids"], trunk["input_ids"], strict=False)
    alike = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], tokens))
    learnt = next((place for place, label in enumerate(row["labels"]) if label != IGNORED), len(row["labels"]))
    return max(0, min(alike, learnt - 1))


class Collator:
    """The library's collator, padding on the right. Rows with branches get places and a mask of who sees whom, too."""

    def __init__(self, pad: int) -> None:
        self._collate = DataCollatorForLanguageModeling(pad_token_id=pad)

    def __call__(self, rows: Sequence[Encoded]) -> dict[str, torch.Tensor]:
        """`input_ids` and `labels` of shape (rows, length), and `attention_mask`, of the same shape for plain rows.

        With branches the mask is boolean, of shape (rows, 1, length, length), and there are `position_ids`.
        """
        batch: dict[str, torch.Tensor] = self._collate(list(rows))
        if any(row.get("branches") for row in rows):
            length = batch["input_ids"].shape[1]
            places, masks = zip(*(_seen(row, length) for row in rows), strict=True)
            batch |= {"attention_mask": torch.stack(masks)[:, None], "position_ids": torch.stack(places)}
        return batch


def _seen(row: Encoded, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Places of a row's tokens, (length,), and which tokens each sees, (length, length); padding sees all before it."""
    places = torch.arange(length)
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    first = len(row["input_ids"]) - sum(own for _, own in row["branches"])
    for start, own in row["branches"]:
        mask[first : first + own, start:first] = False
        places[first : first + own] = torch.arange(start, start + own)
        first += own
    return places, mask
