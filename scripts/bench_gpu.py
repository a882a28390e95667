"""make bench-gpu: the transformers engine on a model of Llama-3.2-3B's shape, beside what the machine could do at most.

    scripts/bench_gpu.py [--shape 3b|tiny] [--rows 1 11 64] [--prompt 4096] [--tokens 128] [--json FILE]

Without a GPU it is small in everything, to see that it runs.

Weights are random, so that the figures need no download; the end of text is ignored. Prompts are FSPO prompts of the
demo study with longer shots. `1`: one request; `11`: one participant, whose texts share their shots; `64`: as many
people.

Limits are measured in the same run: a large matrix product (arithmetic) and a copy (memory). Reading a prompt costs two
operations a weight and token, and attention; a decoding step reads all weights once, and all rows' keys and values.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from bench_requests import rows_of  # noqa: E402

from inference.contracts import EngineFacts, Sampling, Shot  # noqa: E402
from inference.engines.decoding import Row, shared_prefix  # noqa: E402
from inference.engines.transformers_engine import TransformersEngine  # noqa: E402
from inference.prompts import fspo_prompt  # noqa: E402

TOKENIZER = ROOT / "inference" / "bundled" / "palate-1"
SHAPES: dict[str, dict[str, int]] = {
    "3b": {
        "vocab_size": 128_256,
        "hidden_size": 3072,
        "intermediate_size": 8192,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
    },
    "tiny": {
        "vocab_size": 4096,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
}
SHOTS = 8
NUCLEUS = Sampling(0.7, 0.95, 1)
Figures = dict[str, Any]


def engine_of(shape: str, device: str) -> TransformersEngine:
    """A random model of `shape` (bfloat16 on a GPU) in the engine that serves; its end of text is never drawn."""
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    config = LlamaConfig(**SHAPES[shape], tie_word_embeddings=True, max_position_embeddings=131_072, rope_theta=5e5)
    with torch.device(device):
        torch.set_default_dtype(dtype)
        model = LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(TOKENIZER)
    versions = {"torch": torch.__version__, "transformers": transformers.__version__, "dtype": str(dtype)[6:]}
    facts = EngineFacts("transformers", "random", "random", versions, device, 131_072, True, True)
    return TransformersEngine(model, tokenizer, facts, frozenset())


def prompts(engine: TransformersEngine, rows: int, length: int) -> list[str]:
    """FSPO prompts of about `length` tokens: of one participant, if there are 11 of them, else of one each."""
    every = _all_shots(engine, rows, length)
    return [fspo_prompt(f"Question {row}: why so?", shots) for row, shots in enumerate(every)]


def _all_shots(engine: TransformersEngine, rows: int, length: int) -> list[list[Shot]]:
    texts = [row["text"] for row in rows_of("candidates.jsonl")]
    people = 1 if rows == 11 else rows
    found = []
    for person in range(people):
        rng = random.Random(person)
        shots = [Shot(f"Question {number} of {person}?", "", "") for number in range(SHOTS)]
        while len(engine.tokens(fspo_prompt("Why?", shots))) < length:
            shots = [
                replace(shot, preferred=f"{shot.preferred} {rng.choice(texts)}".strip(),
                        dispreferred=f"{shot.dispreferred} {rng.choice(texts)}".strip())
                for shot in shots
            ]  # fmt: skip
        found.append(shots)
    return [found[row % people] for row in range(rows)]


def timed(run: Callable[[], Any], device: str) -> float:
    """Seconds by the clock, the device's work included."""
    wait = torch.cuda.synchronize if device == "cuda" else (lambda: None)
    wait()
    began = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - began


def limits(device: str) -> tuple[float, float]:
    """Operations a second of a large matrix product and bytes a second of a copy, read and written."""
    size, dtype = (8192, torch.bfloat16) if device == "cuda" else (512, torch.float32)
    one, other = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    held = torch.empty(2**30 if device == "cuda" else 2**24, dtype=torch.float32, device=device)
    target = torch.empty_like(held)
    timed(lambda: (one @ other, target.copy_(held)), device)
    product = min(timed(lambda: [one @ other for _ in range(5)], device) for _ in range(3)) / 5
    copy = min(timed(lambda: [target.copy_(held) for _ in range(3)], device) for _ in range(3)) / 3
    return 2 * size**3 / product, 2 * held.numel() * 4 / copy


def case(engine: TransformersEngine, rows: int, length: int, tokens: int, ceiling: tuple[float, float]) -> Figures:
    """Tokens a second of one batch, of prompts read and of new ones, each with its share of the limit."""
    device, config, model = engine.facts.device, engine.model.config, engine.model
    ids = [engine.tokens(text) for text in prompts(engine, rows, length)]

    def decode(new: int) -> list[Row]:
        sampling = replace(NUCLEUS, max_tokens=new)
        batch = [Row(index, given, sampling, index, ()) for index, given in enumerate(ids)]
        engine.decoder.run(batch)
        return batch

    decode(2)
    read = min(timed(lambda: decode(1), device) for _ in range(2))
    whole = timed(lambda: decode(1 + tokens), device)
    step = (whole - read) / tokens

    shared = shared_prefix(ids) if rows > 1 else 0
    computed = shared + sum(len(given) - shared for given in ids)
    weights = sum(value.numel() for value in model.parameters())
    width = config.num_key_value_heads * config.hidden_size // config.num_attention_heads
    size = 2 if device == "cuda" else 4
    kept = 2 * config.num_hidden_layers * width * size  # bytes a token
    context = sum(map(len, ids)) + rows * tokens / 2
    # Causal attention: two products of `hidden_size` a pair of tokens, half of the pairs. The head reads last tokens.
    head = config.vocab_size * config.hidden_size
    pairs = shared**2 / 2 + sum((len(given) ** 2 - shared**2) / 2 for given in ids)
    work = 2 * (weights - head) * computed + 4 * config.num_hidden_layers * config.hidden_size * pairs
    least_read, least_step = work / ceiling[0], (weights * size + kept * context) / ceiling[1]
    return {
        "rows": rows, "prompt_tokens": sum(map(len, ids)), "computed_tokens": computed,
        "read_s": read, "read_tokens_s": computed / read, "read_limit_share": least_read / read,
        "step_ms": 1000 * step, "new_tokens_s": rows / step, "new_limit_tokens_s": rows / least_step,
        "new_limit_share": least_step / step, "all_tokens_s": rows * (tokens + 1) / whole,
    }  # fmt: skip


COLUMNS = (
    ("rows", "rows", "{:.0f}"),
    ("prompt tokens", "prompt_tokens", "{:,.0f}"),
    ("of them computed", "computed_tokens", "{:,.0f}"),
    ("reading, tokens/s", "read_tokens_s", "{:,.0f}"),
    ("of the arithmetic limit", "read_limit_share", "{:.2f}"),
    ("ms a step", "step_ms", "{:.1f}"),
    ("new tokens/s", "new_tokens_s", "{:,.0f}"),
    ("memory's limit, tokens/s", "new_limit_tokens_s", "{:,.0f}"),
    ("of it", "new_limit_share", "{:.2f}"),
    ("new tokens/s, reading included", "all_tokens_s", "{:,.0f}"),
)


def table(cases: Sequence[Figures]) -> str:
    """One line a case."""
    lines = ["| " + " | ".join(name for name, _, _ in COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(form.format(one[key]) for _, key, form in COLUMNS) + " |" for one in cases]
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    there = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), default="3b" if there else "tiny")
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 11, 64] if there else [1, 11, 4])
    parser.add_argument("--prompt", type=int, default=4096 if there else 1024, help="tokens of a prompt, about")
    parser.add_argument("--tokens", type=int, default=128 if there else 16, help="new tokens a row")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    device = "cuda" if there else "cpu"
    ceiling = limits(device)
    name = torch.cuda.get_device_name() if there else "CPU"
    print(f"{name}: {ceiling[0] / 1e12:,.1f} TFLOP/s, {ceiling[1] / 1e9:,.0f} GB/s")
    engine = engine_of(options.shape, device)
    cases = [case(engine, rows, options.prompt, options.tokens, ceiling) for rows in options.rows]
    print(table(cases))
    if options.json:
        about = {"date": datetime.now(UTC).date().isoformat(), "device": name, "shape": options.shape}
        about |= {"versions": engine.facts.versions, "operations_s": ceiling[0], "bytes_s": ceiling[1], "cases": cases}
        options.json.write_text(json.dumps(about, indent=1) + "\n")


if __name__ == "__main__":
    main()
