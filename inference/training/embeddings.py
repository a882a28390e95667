"""Where a new model begins: wordings of one idea alike, ideas of one aspect akin, and so are names of one kind.

A pretrained model knows that "is well worth a try" and "brings more good than trouble" are nearly the same. A model
from nothing would spend most of its training on finding that out; here it begins with it, as with word vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inference.training.tokenizer import name_tokens, phrase_tokens
from inference.world.forms import EXPLANATIONS

# Shares of a phrase's vector, of unit variance each: its aspect, the value along a direction of the aspect's own (from
# -1 to 1), the value by itself, the wording.
ASPECT, VALUE, OWN, WORDING = 0.6, 0.8, 0.3, 0.3
# Shares of a name's vector: what kind of thing it names, the name by itself.
KIND, NAME = 0.6, 0.8


@torch.no_grad()
def begin_alike(model: Any, tokenizer: Any, seed: int) -> None:
    """Give names and the phrases that say ideas their first embeddings; the spread of the others is kept."""
    weights: Tensor = model.get_input_embeddings().weight
    spread, generator = weights.std(), torch.Generator().manual_seed(seed)

    def drawn() -> Tensor:
        return torch.randn(weights.shape[1], generator=generator)

    begin_names(model, tokenizer, seed)
    aspects: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
    values: dict[Any, Tensor] = {}
    for token, idea in phrase_tokens(tokenizer).items():
        aspect, direction = aspects.setdefault((idea.domain, idea.aspect), (drawn(), drawn()))
        own = values.setdefault(idea, drawn())
        along = (idea.value - 3) / 2 if idea.domain == EXPLANATIONS else idea.value
        vector = ASPECT * aspect + VALUE * along * direction + OWN * own + WORDING * drawn()
        weights[token] = vector / vector.std() * spread


@torch.no_grad()
def begin_names(model: Any, tokenizer: Any, seed: int) -> None:
    """Give names their first embeddings, now or again; the spread of the others is kept.

    Rows that name nothing push every name away from whatever is written, all in one direction: after a thousand steps
    they are one vector, and nothing can be copied.
    """
    weights: Tensor = model.get_input_embeddings().weight
    spread, generator = weights.std(), torch.Generator().manual_seed(seed + 1)
    kinds: dict[str, Tensor] = {}
    for token, subject in name_tokens(tokenizer).items():
        kind = kinds.setdefault(subject.kind, torch.randn(weights.shape[1], generator=generator))
        vector = KIND * kind + NAME * torch.randn(weights.shape[1], generator=generator)
        weights[token] = vector / vector.std() * spread
