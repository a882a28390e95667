"""A key-value cache with room to grow: new tokens are written in place instead of copying the cache at every step."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

# Tokens of room added whenever the room runs out.
RESERVE = 128


class ReservedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values (rows, heads, tokens, width), views of larger buffers."""

    buffers: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Append (rows, heads, new tokens, width) and return everything so far."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if self.buffers is None or self.buffers[0].shape[-2] < end:
            self.buffers = (
                _larger(self.keys, key_states, start, end + RESERVE),
                _larger(self.values, value_states, start, end + RESERVE),
            )
        keys, values = self.buffers
        keys[:, :, start:end] = key_states
        values[:, :, start:end] = value_states
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat every row; the next update makes new room."""
        super().batch_repeat_interleave(repeats)
        self.buffers = None

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep some rows; the next update makes new room."""
        super().batch_select_indices(indices)
        self.buffers = None


def new_cache(config: Any) -> Any:
    """An empty cache for a model of `config`; models with sliding or linear layers get transformers' own."""
    own = DynamicCache(config=config)
    if own.layers and all(type(layer) is DynamicLayer for layer in own.layers):
        return Cache(layers=[ReservedLayer() for _ in own.layers])  # type: ignore[no-untyped-call]
    return own


def _larger(held: Tensor | None, new: Tensor, filled: int, tokens: int) -> Tensor:
    buffer = new.new_empty(*new.shape[:-2], tokens, new.shape[-1])
    if held is not None and filled:
        buffer[:, :, :filled] = held
    return buffer
