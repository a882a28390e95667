"""Rows that begin alike, read once: every figure is that of the rows by themselves."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from inference.training.branches import Collator, merge
from inference.training.fewshot import IGNORED
from inference.training.labelled import LabelledHead

Encoded = dict[str, list[int]]


@pytest.fixture
def model() -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, initializer_range=0.5, **shape)).double()


def family(rng: random.Random, sizes: tuple[int, ...] = (0, 4, 9, 15)) -> list[Encoded]:
    """Rows that share so many tokens with the last one, and each learn some of their own."""
    beginning = [rng.randrange(1, 50) for _ in range(max(sizes))]
    rows = []
    for size in sizes:
        own = [rng.randrange(1, 50) for _ in range(rng.randint(3, 6))]
        ids, learnt = beginning[:size] + own, rng.randint(1, 2)
        rows.append({"input_ids": ids, "labels": [IGNORED] * (len(ids) - learnt) + ids[-learnt:]})
    return rows


def figures(model: Any, batch: dict[str, torch.Tensor]) -> tuple[float, list[torch.Tensor]]:
    """The summed log-probability of what is learnt, and its gradients."""
    model.zero_grad()
    total = LabelledHead(model).log_probs(model, batch).sum()
    total.backward()
    return total.item(), [weight.grad.clone() for weight in model.parameters()]


def test_merged_rows_have_the_figures_and_gradients_of_the_rows_by_themselves(model: Any) -> None:
    rng = random.Random(3)
    families = [family(rng) for _ in range(3)]
    collate = Collator(pad=0)
    apart = figures(model, collate([row for rows in families for row in rows]))
    batch = collate([merge(rows) for rows in families])
    together = figures(model, batch)
    assert together[0] == pytest.approx(apart[0], abs=1e-4)
    for one, other in zip(together[1], apart[1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    seen = batch | {"attention_mask": torch.ones_like(batch["attention_mask"]).tril()}
    assert abs(figures(model, seen)[0] - apart[0]) > 0.01  # were the branches not hidden from each other
    placed = batch | {"position_ids": torch.arange(batch["input_ids"].shape[1]).expand_as(batch["input_ids"])}
    assert abs(figures(model, placed)[0] - apart[0]) > 0.01


def test_what_is_learnt_and_the_token_before_it_are_a_rows_own() -> None:
    one = {"input_ids": [1, 2, 3, 4], "labels": [IGNORED, IGNORED, 3, 4]}
    other = {"input_ids": [1, 2, 3, 4, 5], "labels": [IGNORED, IGNORED, IGNORED, 4, 5]}
    merged = merge([one, one, other])
    assert merged["branches"] == [(1, 3), (1, 3)]
    assert merged["input_ids"] == [1, 2, 3, 4, 5, 2, 3, 4, 2, 3, 4]
    assert [label for label in merged["labels"] if label != IGNORED] == [4, 5, 3, 4, 3, 4]
    assert merge([other]) == other | {"branches": []}


def test_plain_rows_are_padded_as_the_library_pads_them() -> None:
    rows = [{"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]}, {"input_ids": [4, 5], "labels": [IGNORED, 5]}]
    ours, theirs = Collator(pad=9)(rows), DataCollatorForLanguageModeling(pad_token_id=9)(rows)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        assert torch.equal(values, theirs[name]), name
