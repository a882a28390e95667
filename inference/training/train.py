"""Train an FSPO model: grow it from nothing or take one from disk, then few-shot SFT, IPO and RAT, stage by stage.

    python -m inference.training.train RECIPE.toml OUTDIR [--preferences PATH] [--scale 0.1] [--processes 2]

TRL's trainers do the work; ours are the few-shot rows, the prompt that serves, IPO on summed log-probabilities and the
pairs of descriptions. OUTDIR receives a checkpoint for every stage, `metrics.jsonl` and `metrics.png`. A second run
goes on where the first one stopped. Several GPUs: `accelerate launch -m inference.training.train ...`, or --processes.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from datasets import disable_progress_bars
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainerCallback,
    set_seed,
)
from transformers.trainer import TRAINER_STATE_NAME
from trl import DPOConfig, SFTConfig

from inference.training import descriptions
from inference.training.branches import Collator
from inference.training.curriculum import ask
from inference.training.embeddings import begin_alike, begin_words
from inference.training.fewshot import Example, TooLongError
from inference.training.ipo import FewShotIPO
from inference.training.labelled import LabelledSFT
from inference.training.memory import keep_freed_memory
from inference.training.metrics import draw as draw_metrics
from inference.training.preferences import Labelled, PreferenceError, load
from inference.training.processes import in_processes, row_makers, say, the_processes
from inference.training.recipe import Recipe, RecipeError, Shape, Stage, load_recipe
from inference.training.rows import Rows, as_pairs, lazily
from inference.training.sampling import sample
from inference.training.tokenizer import ForeignTokenizerError, train_tokenizer
from inference.world.answers import draw_plan, write
from inference.world.forms import DOMAINS

TOKENIZER_TEXTS = 4000
INITIAL_SPREAD = 0.04  # twice the library's: attention in so narrow a model otherwise starts uniform and stays so long
DONE = "stage.json"
DIGEST = "digest"  # of the recipe's stage, beside the trainer's checkpoints


# ------------------------------------------------------------------------------------------------- what is trained


def tokenizer_texts(seed: int) -> Iterator[str]:
    """Text to learn tokens from: names and some answers."""
    for index in range(TOKENIZER_TEXTS):
        rng = random.Random(f"{seed}/tokenizer/{index}")
        question = ask(rng.choice(DOMAINS), rng)
        yield f" {question.subject.name}"
        if index % 8 == 0:
            yield write(question, draw_plan(question.domain, rng), rng)


def new_model(shape: Shape, seed: int) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """An untrained Llama of this shape, with a tokenizer of its own."""
    tokenizer = train_tokenizer(tokenizer_texts(seed), vocabulary=shape.vocabulary, context=shape.context)
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
    model = LlamaForCausalLM(config)  # type: ignore[no-untyped-call]
    begin_alike(model, tokenizer, seed)
    return model, tokenizer


def load_model(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A causal LM on disk, or an adapter folder on its base. Raises RecipeError when there is none."""
    if not (folder / "config.json").is_file() and not (folder / "adapter_config.json").is_file():
        raise RecipeError(
            f"{folder}: holds no model (config.json is missing); give a folder that `save_pretrained` wrote"
        )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if (folder / "adapter_config.json").is_file():
        base = json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"]
        model = AutoModelForCausalLM.from_pretrained(base, trust_remote_code=False, use_safetensors=True)
        return PeftModel.from_pretrained(model, folder, is_trainable=True), tokenizer  # type: ignore[return-value]
    return AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=False, use_safetensors=True), tokenizer


def starting_point(recipe: Recipe, stage: Stage, out: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """What a stage goes on from: the checkpoint of the stage before it, the base model, or a model from nothing."""
    start = recipe.start_of(stage)
    if start is not None:
        return load_model(out / start)
    if recipe.model.base is not None:
        return load_model(recipe.model.base)
    assert recipe.model.shape is not None
    return new_model(recipe.model.shape, recipe.seed)


def adapter_of(recipe: Recipe, model: PreTrainedModel) -> LoraConfig | None:
    """A new adapter, where the recipe wants one and the model has none yet."""
    lora = recipe.model.lora
    if lora is None or isinstance(model, PeftModel):
        return None
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.modules,
        task_type="CAUSAL_LM",
    )


# ----------------------------------------------------------------------------------------------------- one stage


class MetricsFile(TrainerCallback):
    """Append what the trainer logs to a file of JSON lines; one process writes."""

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.stage, self.started = path, stage, time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        """Write one line: stage, step, seconds since the stage began, and the trainer's figures."""
        if state.is_world_process_zero:
            seconds = round(time.monotonic() - self.started, 1)
            line = {"stage": self.stage, "step": state.global_step, "seconds": seconds, **(logs or {})}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def common_settings(recipe: Recipe, stage: Stage, work: Path) -> dict[str, Any]:
    """The trainer's settings that every kind of stage shares. Rows are used once, in order, and never cut."""
    steps = max(1, stage.rows // (stage.batch * the_processes().num_processes))
    return {
        "output_dir": str(work),
        "per_device_train_batch_size": stage.batch,
        "per_device_eval_batch_size": stage.batch,
        "num_train_epochs": 1,
        "learning_rate": stage.learning_rate,
        "lr_scheduler_type": stage.schedule,
        "optim": stage.optimizer,
        "warmup_steps": min(stage.warmup, steps // 10 + 1),
        "weight_decay": stage.weight_decay,
        "adam_beta2": 0.98,
        "max_grad_norm": stage.clip,
        "max_length": None,
        "train_sampling_strategy": "sequential",
        "dataloader_drop_last": True,
        "remove_unused_columns": False,
        "gradient_checkpointing": False,
        "bf16": recipe.bf16,
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_num_workers": row_makers(),
        "logging_steps": max(1, min(25, steps // 4)),
        "save_strategy": "steps",
        "save_steps": max(1, steps // 8),
        "save_total_limit": 1,
        "eval_strategy": "steps" if stage.held_out_rows else "no",
        "eval_steps": max(1, steps // 4),
        "report_to": [],
        "seed": recipe.seed,
    }


def sft_trainer(recipe: Recipe, stage: Stage, rows: Rows, held_out: Rows, model: Any, work: Path) -> LabelledSFT:
    """Grow and sft stages: maximum likelihood of what is to be written, and of nothing else."""
    make, checked = (rows.grown, held_out.grown) if stage.kind == "grow" else (rows.tuned, held_out.tuned)
    return LabelledSFT(
        model=model,
        args=SFTConfig(
            **common_settings(recipe, stage, work),
            dataset_kwargs={"skip_prepare_dataset": True},
            packing=False,
        ),
        train_dataset=lazily(stage.rows, make),
        eval_dataset=lazily(stage.held_out_rows, checked) if stage.held_out_rows else None,
        data_collator=Collator(int(rows.tokenizer.pad_token_id)),
        processing_class=rows.tokenizer,
        peft_config=adapter_of(recipe, model),
    )


def ipo_trainer(recipe: Recipe, stage: Stage, rows: Rows, held_out: Rows, model: Any, work: Path) -> FewShotIPO:
    """Ipo and rat stages: preferred against dispreferred, the starting checkpoint being the frozen reference."""
    examples = [rows.example(index) for index in range(stage.rows)]
    if stage.kind == "rat":
        examples = with_sampled_descriptions(examples, stage, model, rows.tokenizer)
    checked = [held_out.example(index) for index in range(stage.held_out_rows)]
    checked = [example for example in checked if example.rejected]
    adapter = adapter_of(recipe, model)
    settings = common_settings(recipe, stage, work)
    settings["eval_strategy"] = "steps" if checked else "no"
    return FewShotIPO(
        model=model,
        args=DPOConfig(
            **settings,
            loss_type=["ipo"],
            beta=stage.beta or 0.0,
            # Several processes would look for the figures in each other's temporary folders: they keep the reference.
            precompute_ref_log_probs=adapter is None and the_processes().num_processes == 1,
            precompute_ref_batch_size=stage.batch,
        ),
        train_dataset=as_pairs(examples),
        eval_dataset=as_pairs(checked) if checked else None,
        processing_class=rows.tokenizer,
        peft_config=adapter,
    )


def with_sampled_descriptions(
    examples: list[Example], stage: Stage, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> list[Example]:
    """The examples, with pairs of descriptions sampled from the model in place of those that ask for one.

    Each process samples for a share of them, and all get the same.
    """
    processes = the_processes()
    asked = [example for example in examples if not example.rejected]
    say(f"  sampling {stage.descriptions} descriptions for each of {len(asked)} users' shots")
    model = model.to(processes.device)

    def sampler(prompts: Sequence[str], each: int) -> list[str]:
        return sample(
            model,
            tokenizer,
            prompts,
            each=each,
            temperature=descriptions.TEMPERATURE,
            max_tokens=descriptions.MAX_TOKENS,
            stops=descriptions.STOPS,
        )

    own = asked[processes.process_index :: processes.num_processes]
    found = iter(gather_object(descriptions.pairs(own, sampler, stage.descriptions)))
    kept = [example if example.rejected else next(found, None) for example in examples]
    return [example for example in kept if example is not None]


def run_stage(recipe: Recipe, stage: Stage, users: dict[str, list[Labelled]], out: Path) -> None:
    """Train one stage and save its checkpoint under its name, whole or not at all."""
    model, tokenizer = starting_point(recipe, stage, out)
    if stage.words_anew:
        begin_words(model, tokenizer, recipe.seed)
    context = int(model.config.max_position_embeddings)
    processes = the_processes().num_processes
    rows = Rows(stage, recipe.seed, tokenizer, context, users.get("train", ()), processes)
    held_out = Rows(stage, recipe.seed + 1, tokenizer, context, users.get("held_out", ()), processes)
    work = own_folder(out / f".{stage.name}", recipe.digest_of(stage))
    build = sft_trainer if stage.kind in ("grow", "sft") else ipo_trainer
    trainer = build(recipe, stage, rows, held_out, model, work)
    trainer.add_callback(MetricsFile(out / "metrics.jsonl", stage.name))
    trainer.train(resume_from_checkpoint=last_whole_checkpoint(work))
    model.config.use_cache = True  # the trainer turns it off; serving wants it
    saved = out / f".{stage.name}-saved"
    trainer.save_model(str(saved))
    if trainer.is_world_process_zero():
        finish(recipe, stage, saved, work, out)
    trainer.accelerator.wait_for_everyone()


def own_folder(work: Path, digest: str) -> Path:
    """Where a stage keeps its checkpoints, emptied of another recipe's: a run goes on from its own alone."""
    processes = the_processes()
    if processes.is_main_process and (not (work / DIGEST).is_file() or (work / DIGEST).read_text() != digest):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / DIGEST).write_text(digest)
    processes.wait_for_everyone()
    return work


def last_whole_checkpoint(work: Path) -> str | None:
    """The trainer's newest checkpoint that was written to its end; its state file is what it writes last."""
    whole = [path for path in work.glob("checkpoint-*") if _is_json(path / TRAINER_STATE_NAME)]
    return str(max(whole, key=lambda path: int(path.name.rpartition("-")[2]))) if whole else None


def _is_json(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except (OSError, ValueError):
        return False
    return True


def finish(recipe: Recipe, stage: Stage, saved: Path, work: Path, out: Path) -> None:
    """Mark a stage as done by giving its checkpoint its name, and tidy up."""
    (saved / "training_args.bin").unlink(missing_ok=True)
    (saved / DONE).write_text(
        json.dumps({"digest": recipe.digest_of(stage), "stage": stage.model_dump(mode="json")}, indent=1)
    )
    shutil.rmtree(out / stage.name, ignore_errors=True)
    saved.rename(out / stage.name)
    shutil.rmtree(work, ignore_errors=True)


# ---------------------------------------------------------------------------------------------------- the program


def is_done(recipe: Recipe, stage: Stage, out: Path) -> bool:
    """Whether this very stage has its checkpoint. Raises RecipeError for one of another recipe."""
    marker = out / stage.name / DONE
    if not marker.is_file():
        return False
    if json.loads(marker.read_text())["digest"] == recipe.digest_of(stage):
        return True
    raise RecipeError(
        f"{out / stage.name}: holds a checkpoint of another recipe; give another OUTDIR, or remove that folder "
        "and those of the stages after it"
    )


def read_users(recipe: Recipe) -> dict[str, list[Labelled]]:
    """The labelled users of both groups; data without a held-out group have none there."""
    if recipe.preferences is None:
        return {}
    users = {"train": load(recipe.preferences)}
    if any(stage.held_out_rows and stage.kind != "grow" for stage in recipe.stages):
        users["held_out"] = load(recipe.preferences, group="held_out")
    return users


def prepare(recipe: Recipe, out: Path) -> tuple[list[Stage], dict[str, list[Labelled]]]:
    """The stages that are not done yet, and the users that they need. Raises what is wrong with either."""
    due = [stage for stage in recipe.stages if not is_done(recipe, stage, out)]
    return due, read_users(recipe) if any(stage.kind != "grow" for stage in due) else {}


def train(recipe: Recipe, out: Path) -> None:
    """Every stage that is not done yet, in order."""
    set_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    due, users = prepare(recipe, out)
    for stage in recipe.stages:
        if stage not in due:
            say(f"stage {stage.name}: done before")
            continue
        started = time.monotonic()
        step = stage.batch * the_processes().num_processes
        say(f"stage {stage.name} ({stage.kind}): {stage.rows:,} rows, {step} a step")
        run_stage(recipe, stage, users, out)
        say(f"stage {stage.name}: {time.monotonic() - started:.0f} s")
    if the_processes().is_main_process:
        draw_metrics(out / "metrics.jsonl", out / "metrics.png")


def main(arguments: list[str] | None = None) -> int:
    """Parse, train, return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.training.train", description="Train an FSPO model.")
    parser.add_argument("recipe", type=Path, help="a TOML recipe, such as inference/training/palate-1.toml")
    parser.add_argument("out", type=Path, help="folder for checkpoints and metrics")
    parser.add_argument("--preferences", type=Path, help="Parquet of synthesize, in place of the recipe's")
    parser.add_argument("--scale", type=float, default=1.0, help="times as many rows in every stage")
    parser.add_argument("--processes", type=int, default=1, help="that train together; a recipe's batch is each one's")
    parser.add_argument("--threads", type=int, help="CPU threads of each process, instead of two in all")
    options = parser.parse_args(arguments)
    threads = max(1, 2 // max(1, options.processes)) if options.threads is None else options.threads
    if not 0 < options.scale <= 100 or threads < 1 or options.processes < 1:
        parser.error("--scale must be over 0 and at most 100, --processes and --threads at least 1")
    torch.set_num_threads(threads)
    keep_freed_memory()
    disable_progress_bars()
    logging.getLogger("trl").setLevel(logging.ERROR)
    try:
        recipe = load_recipe(options.recipe)
        if options.preferences is not None:
            recipe = recipe.model_copy(update={"preferences": options.preferences})
        recipe = recipe.scaled(options.scale)
        if options.processes > 1:
            prepare(recipe, options.out)  # what is wrong is said once
            given = sys.argv[1:] if arguments is None else arguments
            own = [*given, "--processes", "1", "--threads", str(threads)]
            return in_processes(options.processes, "inference.training.train", own)
        train(recipe, options.out)
    except (RecipeError, PreferenceError, TooLongError, ForeignTokenizerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
