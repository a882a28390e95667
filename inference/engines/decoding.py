"""One batch of rows from prompt to text: prefill, a decode loop, stops.

Why not transformers' `generate`: its batch draws from one generator, so a row's text would depend on its neighbours.
Here every row has a generator of its own, rows that finish leave the batch, and a prefix that all rows share (the shots
of one participant) is computed once.

A row's text must also not depend on its neighbours through rounding: the same numbers, added in another order, differ
in the last bits. With float32 that noise is around 1e-6 of a logit; a choice that it could turn (`sampling.choose` says
so) is decided from logits of that row computed alone, without cache and padding. In bfloat16 noise is too large for
this, so there `tie` is 0 and equal texts alone and in a batch are likely but not promised.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from inference.contracts import FinishReason, Sampling
from inference.engines.cache import new_cache
from inference.engines.sampling import Rule, choose, gumbel

# A shared prefix pays when it spares at least this many tokens a row.
WORTHWHILE_PREFIX = 32
# Rows leave the cache together once a quarter of it has finished: leaving copies the cache.
LEAVE_AT = 0.75


@dataclass(slots=True)
class Row:
    """One request in tokens. `output` holds new tokens without the end token; `finish` is None while it runs."""

    index: int
    prompt: list[int]
    sampling: Sampling
    seed: int
    stops: tuple[str, ...]
    generator: torch.Generator | None = None
    output: list[int] = field(default_factory=list)
    drawn: int = 0
    cached: int = 0
    finish: FinishReason | None = None
    broken: bool = False

    def restart(self, device: torch.device) -> None:
        """Back to the prompt, with the generator at its seed."""
        self.generator = torch.Generator(device).manual_seed(self.seed & 0xFFFF_FFFF_FFFF_FFFF)
        self.output, self.drawn, self.cached, self.finish, self.broken = [], 0, 0, None, False


@dataclass(slots=True)
class Decoder:
    """A model and tokenizer with the tokens that end a text. `tie` as in `sampling.choose`, in logits."""

    model: Any
    tokenizer: Any
    ends: frozenset[int]
    device: torch.device
    tie: float
    unsure: int = 0
    steps: int = 0

    @torch.inference_mode()
    def run(self, rows: Sequence[Row]) -> None:
        """Decode `rows` in place as one batch, from the start."""
        for row in rows:
            row.restart(self.device)
        logits, cache, mask = self._prefill(rows)
        alive = list(rows)
        while True:
            tokens = self._choose(alive, logits)
            for row, token in zip(alive, tokens, strict=True):
                if row.finish is None:
                    self._append(row, token)
            running = [place for place, row in enumerate(alive) if row.finish is None]
            if not running:
                return
            if len(running) <= LEAVE_AT * len(alive):
                keep = torch.tensor(running, device=self.device)
                cache.batch_select_indices(keep)
                mask, alive = mask[keep], [alive[place] for place in running]
            logits, mask = self._step(alive, cache, mask)

    def text(self, row: Row) -> str:
        """The row's text, cut before the earliest stop string."""
        text = self._decode(row.output)
        found = [place for place in (text.find(stop) for stop in row.stops) if place >= 0]
        return text[: min(found)] if found else text

    def _prefill(self, rows: Sequence[Row]) -> tuple[Tensor, Any, Tensor]:
        """Logits (rows, vocabulary) after the prompts, the cache, and the mask (rows, cached tokens)."""
        shared = shared_prefix([row.prompt for row in rows]) if len(rows) > 1 else 0
        shared = shared if shared >= WORTHWHILE_PREFIX else 0
        cache = new_cache(self.model.config)
        if shared:
            self.model(input_ids=self._tensor([rows[0].prompt[:shared]]), past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(len(rows))
        width = max(len(row.prompt) for row in rows) - shared
        pads = [width - (len(row.prompt) - shared) for row in rows]
        ids = self._tensor([[0] * pad + row.prompt[shared:] for pad, row in zip(pads, rows, strict=True)])
        mask = torch.ones(len(rows), shared + width, dtype=torch.long, device=self.device)
        for place, (pad, row) in enumerate(zip(pads, rows, strict=True)):
            mask[place, shared : shared + pad] = 0
            row.cached = shared if place else 0
        positions = (mask.cumsum(1) - 1).clamp(min=0)[:, shared:]
        logits = self._forward(ids, cache, mask, positions)
        return logits, cache, mask

    def _step(self, alive: Sequence[Row], cache: Any, mask: Tensor) -> tuple[Tensor, Tensor]:
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        ids = self._tensor([row.output[-1:] or row.prompt[-1:] for row in alive])
        logits = self._forward(ids, cache, mask, mask.sum(1, keepdim=True) - 1)
        return logits, mask

    def _forward(self, ids: Tensor, cache: Any, mask: Tensor, positions: Tensor) -> Tensor:
        # Without padding no mask is needed, and attention takes its faster causal path.
        padded = None if bool(mask.all()) else mask
        result = self.model(
            input_ids=ids,
            attention_mask=padded,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        last: Tensor = result.logits[:, -1]
        return last.float()

    def _choose(self, alive: Sequence[Row], logits: Tensor) -> list[int]:
        noise = torch.stack([self._noise(row, logits) for row in alive])
        rule = Rule(
            torch.tensor([row.sampling.temperature for row in alive], device=self.device),
            torch.tensor([row.sampling.top_p for row in alive], device=self.device),
        )
        tokens, sure = choose(logits, noise, rule, tie=self.tie)
        finite = logits.isfinite().all(1)
        chosen: list[int] = tokens.tolist()
        self.steps += len(alive)
        for place, row in enumerate(alive):
            if row.finish is None and not finite[place]:
                row.finish, row.broken = "abort", True
            elif row.finish is None and self.tie > 0 and not sure[place]:
                self.unsure += 1
                at = torch.tensor([place], device=self.device)
                chosen[place] = int(choose(self._alone(row), noise[at], rule.of(at), tie=0.0)[0])
        return chosen

    def _noise(self, row: Row, logits: Tensor) -> Tensor:
        if row.sampling.temperature == 0 or row.finish is not None or row.generator is None:
            return torch.zeros(logits.shape[1], device=self.device)
        return gumbel(logits.shape[1], row.generator)

    def _alone(self, row: Row) -> Tensor:
        """The next token's logits (1, vocabulary) from the row's tokens only: the same whatever batch it is in."""
        ids = self._tensor([row.prompt + row.output])
        last: Tensor = self.model(input_ids=ids, use_cache=False, logits_to_keep=1).logits[:, -1]
        return last.float()

    def _append(self, row: Row, token: int) -> None:
        row.drawn += 1
        if token in self.ends:
            row.finish = "stop"
            return
        row.output.append(token)
        if row.stops and self._stopped(row):
            row.finish = "stop"
        elif row.drawn >= row.sampling.max_tokens:
            row.finish = "length"

    def _stopped(self, row: Row) -> bool:
        # Every token holds at least one byte, so the longest stop lies within as many tokens as it has bytes.
        tail = self._decode(row.output[-(max(len(stop.encode()) for stop in row.stops) + 4) :])
        return any(stop in tail for stop in row.stops)

    def _decode(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _tensor(self, ids: list[list[int]]) -> Tensor:
        return torch.tensor(ids, dtype=torch.long, device=self.device)


def shared_prefix(prompts: Sequence[list[int]]) -> int:
    """How many first tokens all prompts share, leaving at least one token of each."""
    least, most = min(prompts), max(prompts)
    limit = min(len(prompt) for prompt in prompts) - 1
    for place in range(limit):
        if least[place] != most[place]:
            return place
    return limit


def batches(rows: Sequence[Row], *, slots: int, tokens: int) -> list[list[Row]]:
    """Cut `rows` into batches of at most `slots` rows and `tokens` padded prompt tokens.

    Rows that share half of their prompt or more go together; the rest by length, so that padding stays under a fifth.
    """
    groups: list[list[Row]] = []
    loners: list[Row] = []
    for group in _families(sorted(rows, key=lambda row: row.prompt)):
        if len(group) > 1:
            groups.append(group)
        else:
            loners += group
    groups.append(sorted(loners, key=lambda row: len(row.prompt)))
    return [batch for group in groups for batch in _cut(group, slots, tokens)]


def _families(ordered: Sequence[Row]) -> list[list[Row]]:
    families: list[list[Row]] = []
    for row in ordered:
        head = families[-1][0].prompt if families else []
        shared = shared_prefix([head, row.prompt]) if head else 0
        if shared >= WORTHWHILE_PREFIX and 2 * shared >= max(len(head), len(row.prompt)):
            families[-1].append(row)
        else:
            families.append([row])
    return families


def _cut(rows: Sequence[Row], slots: int, tokens: int) -> list[list[Row]]:
    cut: list[list[Row]] = []
    for row in rows:
        batch = cut[-1] if cut else []
        longest = max((len(each.prompt) for each in [*batch, row]), default=0)
        shortest = min((len(each.prompt) for each in [*batch, row]), default=0)
        room = len(batch) < slots and (len(batch) + 1) * longest <= tokens and longest <= 1.25 * shortest + 32
        if batch and room:
            batch.append(row)
        else:
            cut.append([row])
    return cut
