"""Log-probabilities of given texts after their prompts, from one pass of a torch model a batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """The tokens of a prompt and of what follows it; both hold one at least. `index` is its place among all rows."""

    index: int
    prompt: list[int]
    after: list[int]

    @property
    def length(self) -> int:
        """Tokens of both."""
        return len(self.prompt) + len(self.after)


@torch.inference_mode()
def log_probabilities(model: Any, rows: Sequence[ScoreRow], device: torch.device) -> list[float]:
    """Summed natural log-probability of each row's `after`; NaN where the model's output is no number."""
    width = max(row.length for row in rows)
    kept = max(len(row.after) for row in rows) + 1
    ids = torch.zeros(len(rows), width, dtype=torch.long, device=device)
    mask = torch.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, width - row.length :] = torch.tensor(row.prompt + row.after, device=device)
        mask[place, width - row.length :] = 1
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    padded = None if bool(mask.all()) else mask
    logits = model(
        input_ids=ids, attention_mask=padded, position_ids=positions, use_cache=False, logits_to_keep=kept
    ).logits
    found = logits[:, :-1].float().log_softmax(-1).gather(2, ids[:, 1 - kept :, None]).squeeze(2)
    return [float(found[place, -len(row.after) :].double().sum()) for place, row in enumerate(rows)]


def score_batches(rows: Sequence[ScoreRow], *, slots: int, tokens: int) -> list[list[ScoreRow]]:
    """Cut `rows` into batches of similar length, at most `slots` rows and `tokens` padded tokens each."""
    cut: list[list[ScoreRow]] = []
    for row in sorted(rows, key=lambda row: row.length):
        if cut and len(cut[-1]) < slots and (len(cut[-1]) + 1) * row.length <= tokens:
            cut[-1].append(row)
        else:
            cut.append([row])
    return cut
