"""The loss is the paper's: a square of summed log-ratios, and not the library's mean over tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer

from inference.training.fewshot import Example
from inference.training.ipo import FewShotIPO, ipo_loss
from inference.training.recipe import Shape
from inference.training.rows import as_pairs
from inference.training.train import new_model

BETA = 0.07
EXAMPLES = [
    Example("# Task\nShort or long?\n", "## Preferred Response \nShort.\n", "## Preferred Response \nLong, long.\n", 0),
    Example("# Task\nTea?\n", "## Preferred Response \nTea with a lot of milk.\n", "## Preferred Response \nNo.\n", 0),
]


@pytest.fixture(scope="module")
def models() -> tuple[LlamaForCausalLM, LlamaForCausalLM, PreTrainedTokenizerBase]:
    shape = Shape(vocabulary=2048, hidden=16, feed_forward=32, layers=1, heads=2, context=128)
    torch.manual_seed(1)
    policy, tokenizer = new_model(shape, 1)
    reference, _ = new_model(shape, 1)
    return policy, reference, tokenizer  # type: ignore[return-value]


def log_probability(model: LlamaForCausalLM, tokenizer: Any, prompt: str, answer: str) -> float:
    """Summed over the answer and the end token, from the logits themselves."""
    before = tokenizer(prompt, add_special_tokens=False)["input_ids"]
    after = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        logits = model(torch.tensor([before + after])).logits[0]
    steps = torch.log_softmax(logits[len(before) - 1 : -1], dim=-1)
    return float(steps[range(len(after)), after].sum())


def expected_loss(policy: Any, reference: Any, tokenizer: Any) -> float:
    """`(h - 1/(2 beta))^2`, mean over the pairs, as fspo.md writes it."""
    losses = []
    for e in EXAMPLES:
        h = (
            log_probability(policy, tokenizer, e.prompt, e.chosen)
            - log_probability(reference, tokenizer, e.prompt, e.chosen)
        ) - (
            log_probability(policy, tokenizer, e.prompt, e.rejected)
            - log_probability(reference, tokenizer, e.prompt, e.rejected)
        )
        losses.append((h - 1 / (2 * BETA)) ** 2)
    return sum(losses) / len(losses)


def trainer_of(kind: type[DPOTrainer], models: Any, folder: Path, *, precompute: bool = False) -> DPOTrainer:
    policy, reference, tokenizer = models
    settings = DPOConfig(
        output_dir=str(folder), loss_type="ipo", beta=BETA, max_length=None, per_device_train_batch_size=2,
        use_cpu=True, report_to=[], bf16=False, gradient_checkpointing=False, precompute_ref_log_probs=precompute,
    )  # fmt: skip
    return kind(
        model=policy, ref_model=reference, args=settings, train_dataset=as_pairs(EXAMPLES), processing_class=tokenizer
    )


def loss_of(trainer: DPOTrainer) -> float:
    batch = next(iter(trainer.get_train_dataloader()))
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, batch))


def test_the_formula_on_random_numbers() -> None:
    torch.manual_seed(3)
    w, lose, rw, rl = torch.randn(4, 50, dtype=torch.float64) * 10
    beta = 0.05
    loss = ipo_loss(w, lose, rw, rl, beta)
    assert loss.shape == (50,)
    for i in range(50):
        h = (float(w[i]) - float(rw[i])) - (float(lose[i]) - float(rl[i]))
        assert float(loss[i]) == pytest.approx((h - 10.0) ** 2, abs=1e-9)


def test_the_trainer_computes_the_paper_s_loss(models: Any, tmp_path: Path) -> None:
    assert loss_of(trainer_of(FewShotIPO, models, tmp_path)) == pytest.approx(expected_loss(*models), rel=1e-4)


def test_precomputed_references_give_the_same_loss(models: Any, tmp_path: Path) -> None:
    trainer = trainer_of(FewShotIPO, models, tmp_path, precompute=True)
    assert loss_of(trainer) == pytest.approx(expected_loss(*models), rel=1e-4)


def test_the_library_s_own_loss_is_another_one(models: Any, tmp_path: Path) -> None:
    assert loss_of(trainer_of(DPOTrainer, models, tmp_path)) != pytest.approx(expected_loss(*models), rel=1e-2)
