"""Log-probabilities of labelled tokens alone.

Few of a row's tokens are learnt: the answers, not questions and rejected answers of its shots. Projecting only those
onto the vocabulary halves the time of a step of a small model on a CPU.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from trl import SFTTrainer

from inference.training.fewshot import IGNORED


class LabelledHead:
    """The output head of a causal LM, which can be told to project only what a label follows."""

    def __init__(self, model: Any) -> None:
        self._kept: torch.Tensor | None = None
        model.get_output_embeddings().register_forward_pre_hook(self._keep)

    def _keep(self, module: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        return (arguments[0][self._kept],) if self._kept is not None else None

    def log_probs(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        """Log-probability of every labelled token, zero elsewhere: shape (rows, length - 1).

        `model` is the LM itself or what wraps it for several processes; `inputs` holds `input_ids`, `attention_mask`
        and `labels`, each of shape (rows, length), or what `branches.Collator` makes of rows with branches.
        """
        labels = inputs["labels"][:, 1:]
        kept = labels != IGNORED
        self._kept = F.pad(kept, (0, 1))
        read = {name: inputs[name] for name in ("input_ids", "attention_mask", "position_ids") if name in inputs}
        try:
            logits = model(**read, use_cache=False).logits
        finally:
            self._kept = None
        found = -F.cross_entropy(logits.float(), labels[kept], reduction="none")
        return torch.zeros(labels.shape, dtype=found.dtype, device=found.device).masked_scatter(kept, found)


class LabelledSFT(SFTTrainer):
    """SFTTrainer whose loss is the same mean over labelled tokens, by way of `LabelledHead`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = LabelledHead(self.accelerator.unwrap_model(self.model))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean negative log-probability of the labelled tokens, of all processes together while training."""
        found = self._head.log_probs(model, inputs)
        if num_items_in_batch is None:
            loss = -found.sum() / (inputs["labels"][:, 1:] != IGNORED).sum().clamp(min=1)
        else:
            loss = -found.sum() / num_items_in_batch * self.accelerator.num_processes
        return (loss, None) if return_outputs else loss
