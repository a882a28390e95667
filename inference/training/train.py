"""Train a small FSPO model from nothing on the world: few-shot preference fine-tuning (SFT) in stages.

    python -m inference.training.train inference/training/palate-1.toml OUTDIR [--scale 0.1] [--threads 2]

The library's Trainer does the work; ours are the rows and the loss mask: only the final answer is learnt, never a shot,
never a dispreferred text. OUTDIR receives the checkpoint, the tokenizer and `metrics.jsonl`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from inference.training.recipe import ModelShape, Recipe, RecipeError, Stage, load_recipe
from inference.training.synthesis import Mix, Row, draw_row
from inference.training.tokenizer import train_tokenizer

TOKENIZER_ROWS = 2000
INITIAL_SPREAD = 0.04  # twice the library's: attention in so narrow a model otherwise starts uniform and stays so long


class Rows(Dataset[dict[str, list[int]]]):
    """The rows of one stage, made when asked for. Row i depends on seed, stage and i alone.

    Rows of one batch are of one part and have the same number of shots, so that little of it is padding.
    """

    def __init__(self, stage: Stage, tokenizer: PreTrainedTokenizerFast, seed: int, context: int) -> None:
        self.stage, self.tokenizer, self.seed, self.context = stage, tokenizer, seed, context

    def __len__(self) -> int:
        return self.stage.rows

    def text(self, index: int) -> Row:
        """Row `index` as text."""
        of_batch = random.Random(f"{self.seed}/{self.stage.name}/batch/{index // self.stage.batch}")
        (part,) = of_batch.choices(self.stage.parts, [part.share for part in self.stage.parts])
        shots = of_batch.choice(part.shots)
        start, end = part.forced
        rng = random.Random(f"{self.seed}/{self.stage.name}/{index}")
        return draw_row(part.mix, shots=shots, forced=start + (end - start) * index / len(self), rng=rng)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        encoded = encode(self.text(index), self.tokenizer)
        if len(encoded["input_ids"]) > self.context:
            raise ValueError(
                f"row {index} of stage {self.stage.name!r} has {len(encoded['input_ids'])} tokens, more than the "
                f"model's context of {self.context}: lower the stage's shots or raise model.context"
            )
        return encoded


def encode(row: Row, tokenizer: PreTrainedTokenizerFast) -> dict[str, list[int]]:
    """Token ids of prompt, target and end; labels -100 everywhere but on the target and the end. No token in front."""
    prompt: list[int] = tokenizer(row.prompt, add_special_tokens=False)["input_ids"]
    target: list[int] = tokenizer(row.target, add_special_tokens=False)["input_ids"]
    target = [*target, int(tokenizer.eos_token_id)]
    return {"input_ids": [*prompt, *target], "labels": [*[-100] * len(prompt), *target]}


class Collator:
    """Left-pad a batch. Logits are asked for the last positions alone, where all the labels are."""

    def __init__(self, pad: int) -> None:
        self.pad = pad

    def __call__(self, rows: list[dict[str, list[int]]]) -> dict[str, Any]:
        longest = max(len(row["input_ids"]) for row in rows)
        # One more than the longest target: the token before a target predicts its first token.
        kept = 1 + max(sum(label != -100 for label in row["labels"]) for row in rows)
        ids = torch.tensor([[self.pad] * (longest - len(row["input_ids"])) + row["input_ids"] for row in rows])
        labels = torch.tensor([[-100] * (longest - len(row["labels"])) + row["labels"] for row in rows])
        lengths = torch.tensor([len(row["input_ids"]) for row in rows])
        mask = (torch.arange(longest) >= longest - lengths[:, None]).long()
        return {"input_ids": ids, "attention_mask": mask, "labels": labels[:, -kept:], "logits_to_keep": kept}


class MetricsFile(TrainerCallback):
    """Append what the trainer logs to a file of JSON lines."""

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.stage, self.started = path, stage, time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line: stage, step, seconds since the stage began, and the trainer's figures."""
        seconds = round(time.monotonic() - self.started, 1)
        line = {"stage": self.stage, "step": state.global_step, "seconds": seconds, **(logs or {})}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def new_model(shape: ModelShape, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """An untrained Llama of this shape that knows its end and padding tokens."""
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.feed_forward,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=shape.context,
        initializer_range=INITIAL_SPREAD,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)  # type: ignore[no-untyped-call]


def tokenizer_texts(seed: int) -> Iterator[str]:
    """Text to learn the tokens from: what a few thousand plain rows hold."""
    for index in range(TOKENIZER_ROWS):
        rng = random.Random(f"{seed}/tokenizer/{index}")
        row = draw_row(Mix(shots=(1,)), shots=1, forced=1.0, rng=rng)
        yield row.prompt
        yield row.target


def train_stage(
    model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, stage: Stage, recipe: Recipe, out: Path
) -> None:
    """Run one stage over its rows, once, in order."""
    steps = stage.rows // stage.batch
    arguments = TrainingArguments(
        output_dir=str(out / "trainer"),
        per_device_train_batch_size=stage.batch,
        num_train_epochs=1,
        learning_rate=stage.learning_rate,
        lr_scheduler_type=stage.schedule,
        warmup_steps=min(50, steps // 10 + 1),
        weight_decay=0.05,
        adam_beta2=0.98,
        max_grad_norm=1.0,
        train_sampling_strategy="sequential",
        dataloader_drop_last=True,
        remove_unused_columns=False,
        use_cpu=not torch.cuda.is_available(),
        logging_steps=max(1, min(25, steps // 4)),
        save_strategy="no",
        report_to=[],
        seed=recipe.seed,
    )
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=Collator(int(tokenizer.pad_token_id)),
        train_dataset=Rows(stage, tokenizer, recipe.seed, recipe.model.context),
        callbacks=[MetricsFile(out / "metrics.jsonl", stage.name)],
    )
    trainer.train()


def train(recipe: Recipe, out: Path) -> None:
    """From nothing to a checkpoint in `out`."""
    set_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    (out / "metrics.jsonl").unlink(missing_ok=True)
    tokenizer = train_tokenizer(
        tokenizer_texts(recipe.seed), vocabulary=recipe.model.vocabulary, context=recipe.model.context
    )
    model = new_model(recipe.model, tokenizer)
    print(f"{model.num_parameters() / 1e6:.2f} million parameters, {len(tokenizer)} tokens")
    tokenizer.save_pretrained(out)
    for stage in recipe.stages:
        print(f"stage {stage.name}: {stage.rows} rows, {stage.batch} a step")
        train_stage(model, tokenizer, stage, recipe, out)
        model.config.use_cache = True  # the trainer turns it off; serving wants it
        model.save_pretrained(out)


def scaled(recipe: Recipe, scale: float) -> Recipe:
    """The recipe with `scale` times as many rows in every stage, at least two batches of each."""
    stages = [s.model_copy(update={"rows": max(2 * s.batch, int(s.rows * scale))}) for s in recipe.stages]
    return recipe.model_copy(update={"stages": stages})


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.train", description="Train a small FSPO model.")
    parser.add_argument("recipe", type=Path, help="a TOML recipe, such as inference/training/palate-1.toml")
    parser.add_argument("out", type=Path, help="folder for the checkpoint")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many rows in every stage")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads")
    options = parser.parse_args(arguments)
    if not 0 < options.scale <= 100 or options.threads < 1:
        parser.error("--scale must be over 0 and at most 100, --threads at least 1")
    try:
        recipe = load_recipe(options.recipe)
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 1
    torch.set_num_threads(options.threads)
    train(scaled(recipe, options.scale), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
