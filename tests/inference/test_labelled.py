"""Projecting labelled tokens alone changes the time of a step and none of its figures."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from inference.training.fewshot import IGNORED
from inference.training.labelled import LabelledHead


@pytest.fixture
def model() -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, tie_word_embeddings=True, **shape)).double()


@pytest.fixture
def rows() -> dict[str, torch.Tensor]:
    torch.manual_seed(2)
    ids = torch.randint(1, 50, (3, 9))
    labels = ids.clone()
    labels[0, :6] = IGNORED
    labels[1, 2:5] = IGNORED
    mask = torch.ones_like(ids)
    mask[2, 5:] = 0
    labels[2, 5:] = IGNORED
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def whole(model: Any, rows: dict[str, torch.Tensor]) -> torch.Tensor:
    """The same figures from the logits of every token."""
    logits = model(input_ids=rows["input_ids"], attention_mask=rows["attention_mask"]).logits[:, :-1]
    return -F.cross_entropy(
        logits.transpose(1, 2).float(), rows["labels"][:, 1:], reduction="none", ignore_index=IGNORED
    )


def test_log_probabilities_and_gradients_are_those_of_the_whole_projection(
    model: Any, rows: dict[str, torch.Tensor]
) -> None:
    found = LabelledHead(model).log_probs(model, rows)
    found.sum().backward()
    ours = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    expected = whole(model, rows)
    expected.sum().backward()
    torch.testing.assert_close(found, expected)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(ours[name], weight.grad, rtol=1e-4, atol=1e-7)
    assert (found[rows["labels"][:, 1:] == IGNORED] == 0).all()


def test_the_model_is_itself_again_afterwards(model: Any, rows: dict[str, torch.Tensor]) -> None:
    before = model(input_ids=rows["input_ids"]).logits
    head = LabelledHead(model)
    head.log_probs(model, rows)
    torch.testing.assert_close(model(input_ids=rows["input_ids"]).logits, before)
    with pytest.raises(IndexError):
        head.log_probs(model, {**rows, "labels": rows["labels"][:, :4]})
    torch.testing.assert_close(model(input_ids=rows["input_ids"]).logits, before)
