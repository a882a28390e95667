"""Texts sampled from a checkpoint, many at once. For training alone: served texts come from `inference.engines`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    *,
    temperature: float,
    max_tokens: int,
    each: int = 1,
    batch: int = 64,
    stops: Sequence[str] = (),
) -> list[str]:
    """`each` sampled continuations a prompt, in the prompts' order, up to their end or the first of `stops`, which is
    kept.

    A stop is looked for across the prompt's end too: a newline there counts. `batch` texts are made at once, from
    prompts of like length; torch's global seed decides.
    """
    texts = [""] * (len(prompts) * each)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    side, tokenizer.padding_side = tokenizer.padding_side, "left"
    step = max(1, batch // each)
    for start in range(0, len(order), step):
        chosen = order[start : start + step]
        encoded = tokenizer(
            [prompts[index] for index in chosen], add_special_tokens=False, padding=True, return_tensors="pt"
        ).to(model.device)
        with torch.inference_mode():
            output = model.generate(  # type: ignore[operator]
                input_ids=encoded["input_ids"],
                attention_mask=encoded["attention_mask"],
                num_return_sequences=each,
                do_sample=True,
                temperature=temperature,
                top_k=0,
                max_new_tokens=max_tokens,
                **({"stop_strings": list(stops), "tokenizer": tokenizer} if stops else {}),
            )
        places = (index * each + number for index in chosen for number in range(each))
        for place, tokens in zip(places, output[:, encoded["input_ids"].shape[1] :], strict=True):
            texts[place] = str(tokenizer.decode(tokens, skip_special_tokens=True))
    tokenizer.padding_side = side
    return texts
