"""Where a new model begins: wordings of one idea alike, ideas of one aspect akin, and so are names of one kind; what
describes a reader is akin to the ideas that this reader likes.

A pretrained model knows that "is well worth a try" and "brings more good than trouble" are nearly the same. A model
from nothing would spend most of its training on finding that out; here it begins with it, as with word vectors.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from inference.training.tokenizer import clause_tokens, name_tokens, phrase_tokens
from inference.world.forms import EXPLANATIONS

# Shares of a phrase's vector, of unit variance each: its aspect, the value along a direction of the aspect's own (from
# -1 to 1), the value by itself, the wording.
ASPECT, VALUE, OWN, WORDING = 0.6, 0.8, 0.3, 0.3
# Shares of a name's vector: what kind of thing it names, the name by itself.
KIND, NAME = 0.6, 0.8
# Shares of a clause's vector: the ideas that it tells, less the mean of all ideas; the clause by itself.
TOLD, CLAUSE = 0.6, 0.8


@torch.no_grad()
def begin_alike(model: Any, tokenizer: Any, seed: int) -> None:
    """Give the phrases that say ideas, names and clauses their first embeddings; the spread of the others is kept."""
    weights: Tensor = model.get_input_embeddings().weight
    spread, generator = weights.std(), torch.Generator().manual_seed(seed)

    def drawn() -> Tensor:
        return torch.randn(weights.shape[1], generator=generator)

    aspects: dict[tuple[str, str], tuple[Tensor, Tensor]] = {}
    values: dict[Any, Tensor] = {}
    for token, idea in phrase_tokens(tokenizer).items():
        aspect, direction = aspects.setdefault((idea.domain, idea.aspect), (drawn(), drawn()))
        own = values.setdefault(idea, drawn())
        along = (idea.value - 3) / 2 if idea.domain == EXPLANATIONS else idea.value
        vector = ASPECT * aspect + VALUE * along * direction + OWN * own + WORDING * drawn()
        weights[token] = vector / vector.std() * spread
    begin_words(model, tokenizer, seed)


def begin_words(model: Any, tokenizer: Any, seed: int) -> None:
    """Give names and clauses of descriptions their first embeddings, now or again; the spread of the others is kept.

    Rows that have no such word push every one of them away from whatever is written, all in one direction: after a
    thousand steps they are one vector, no name can be copied and no description read. Raises
    ForeignTokenizerError for a tokenizer of another world.
    """
    weights: Tensor = model.get_input_embeddings().weight
    spread = weights.std()
    _begin_names(weights, tokenizer, spread, torch.Generator().manual_seed(seed + 1))
    _begin_clauses(weights, tokenizer, spread, torch.Generator().manual_seed(seed + 2))


@torch.no_grad()
def _begin_names(weights: Tensor, tokenizer: Any, spread: Tensor, generator: torch.Generator) -> None:
    kinds: dict[str, Tensor] = {}
    for token, subject in name_tokens(tokenizer).items():
        kind = kinds.setdefault(subject.kind, torch.randn(weights.shape[1], generator=generator))
        vector = KIND * kind + NAME * torch.randn(weights.shape[1], generator=generator)
        weights[token] = vector / vector.std() * spread


@torch.no_grad()
def _begin_clauses(weights: Tensor, tokenizer: Any, spread: Tensor, generator: torch.Generator) -> None:
    phrases = phrase_tokens(tokenizer)
    middle = weights[list(phrases)].mean(dim=0)
    for token, liked in clause_tokens(tokenizer).items():
        vector = CLAUSE * torch.randn(weights.shape[1], generator=generator)
        if liked:
            told = weights[[number for number, idea in phrases.items() if idea in liked]].mean(dim=0) - middle
            vector += TOLD * told / told.std()
        weights[token] = vector / vector.std() * spread
