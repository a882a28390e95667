"""Few-shot IPO: TRL's DPOTrainer with the method's loss, on summed log-probabilities."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from trl import DPOTrainer

from inference.training.fewshot import IGNORED
from inference.training.labelled import LabelledHead


def ipo_loss(
    policy_chosen: torch.Tensor,
    policy_rejected: torch.Tensor,
    reference_chosen: torch.Tensor,
    reference_rejected: torch.Tensor,
    beta: float,
) -> torch.Tensor:
    """The IPO loss of each pair, shape (pairs,), from summed log-probabilities of the same shape.

    ``(h - 1 / (2 beta))^2`` with ``h = (log pi(y_w) - log ref(y_w)) - (log pi(y_l) - log ref(y_l))``: equation 17 of
    Azar et al. (arXiv 2310.12036), as FSPO (arXiv 2502.19312) uses it. TRL's own ``ipo`` divides each log-ratio by its
    number of tokens.
    """
    h = (policy_chosen - reference_chosen) - (policy_rejected - reference_rejected)
    return (h - 1 / (2 * beta)) ** 2


class FewShotIPO(DPOTrainer):
    """DPOTrainer whose loss is `ipo_loss`; data, reference model, logging and checkpoints are the library's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head = LabelledHead(self.accelerator.unwrap_model(self.model))
        self._reference_head = self._head if self.ref_model is None else LabelledHead(self.ref_model)

    def _compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool) -> Any:
        labels = inputs["input_ids"].masked_fill(inputs["completion_mask"] == 0, IGNORED)
        asked = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"], "labels": labels}
        chosen, rejected = self._head.log_probs(model, asked).sum(dim=1).chunk(2)
        reference_chosen, reference_rejected = self._reference(inputs, asked)
        loss = ipo_loss(chosen, rejected, reference_chosen, reference_rejected, self.beta).mean()
        self._keep(chosen - reference_chosen, rejected - reference_rejected)
        return (loss, None) if return_outputs else loss

    def _reference(self, inputs: dict[str, Any], asked: dict[str, Any]) -> tuple[torch.Tensor, ...]:
        """Summed log-probabilities under the frozen checkpoint; with LoRA that is the model without its adapter."""
        if self.precompute_ref_logps:
            return inputs["ref_chosen_logps"], inputs["ref_rejected_logps"]
        model: Any = self.model if self.ref_model is None else self.ref_model
        adapter: Any = self.accelerator.unwrap_model(model)
        with torch.no_grad(), adapter.disable_adapter() if self.ref_model is None else nullcontext():
            chosen, rejected = self._reference_head.log_probs(model, asked).sum(dim=1).chunk(2)
        return chosen, rejected

    def _keep(self, chosen: torch.Tensor, rejected: torch.Tensor) -> None:
        """Log the implicit rewards `beta log(pi / ref)` and how often the preferred answer has the higher one."""
        model: Any = self.model
        mode = "train" if model.training else "eval"
        gathered = self.accelerator.gather_for_metrics
        chosen, rejected = self.beta * gathered(chosen.detach()), self.beta * gathered(rejected.detach())
        for name, value in (
            ("rewards/chosen", chosen),
            ("rewards/rejected", rejected),
            ("rewards/accuracies", (chosen > rejected).float()),
            ("rewards/margins", chosen - rejected),
        ):
            self._metrics[mode][name].append(value.mean().item())
