"""Our decode loop beside transformers' own continuous batching (`generate_batch`), for `make bench-generation`.

Both decode the same prompts with the same model in one process, without end token and stops, greedy and at 0.7.
What counts beside the speed is whether a request gives the same tokens alone and in the batch.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from inference.contracts import EngineRequest, Sampling
from inference.engines.decoding import Row, batches

ALONE = 6
Tokens = list[list[int]]


def decoding(engine: Any, asked: Sequence[EngineRequest]) -> dict[str, Any]:
    """Tokens a second of CPU time and by the clock, and how many of some requests come out the same alone."""
    found: dict[str, Any] = {}
    for name, temperature in (("greedy", 0.0), ("sampled", 0.7)):
        some = [replace(one, sampling=replace(one.sampling, temperature=temperature)) for one in asked]
        ways = {"own_loop": lambda rows: own_loop(engine, rows), "generate_batch": lambda rows: library(engine, rows)}
        for way, decode in ways.items():
            found |= measured(f"{way}_{name}", decode, some)
    return found


def measured(name: str, decode: Callable[[Sequence[EngineRequest]], Tokens], asked: Sequence[EngineRequest]) -> Any:
    """The figures of one way at one temperature."""
    decode(asked[:2])
    began, cpu = time.monotonic(), time.process_time()
    together = decode(asked)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    made = sum(map(len, together))
    step = max(1, len(asked) // ALONE)
    alone = [decode([one])[0] for one in asked[::step]]
    same = sum(one == other for one, other in zip(alone, together[::step], strict=True))
    speed = {f"{name}_tokens_s": made / seconds, f"{name}_tokens_cpu_s": made / cpu}
    return speed | {f"{name}_same_alone": f"{same} of {len(alone)}"}


def own_loop(engine: Any, asked: Sequence[EngineRequest]) -> Tokens:
    """As the engine does it, in batches of its size."""
    decoder = replace(engine.decoder, ends=frozenset())
    rows = [Row(index, engine.tokens(one.prompt.text), one.sampling, one.seed, ()) for index, one in enumerate(asked)]
    for batch in batches(rows, slots=engine.slots, tokens=16_384):
        decoder.run(batch)
    return [row.output for row in rows]


def library(engine: Any, asked: Sequence[EngineRequest]) -> Tokens:
    """What transformers ships."""
    from transformers import ContinuousBatchingConfig, GenerationConfig

    sampling: Sampling = asked[0].sampling
    choice = {"temperature": sampling.temperature, "top_p": sampling.top_p} if sampling.temperature else {}
    config = GenerationConfig(
        max_new_tokens=sampling.max_tokens, do_sample=bool(choice), eos_token_id=-1, pad_token_id=1, **choice
    )
    prompts = [engine.tokens(one.prompt.text) for one in asked]
    outputs = engine.model.generate_batch(
        prompts, generation_config=config, warmup=False,
        continuous_batching_config=ContinuousBatchingConfig(page_size=32, seed=1, max_memory_percent=0.05),
    )  # fmt: skip
    by_prompt = sorted(outputs.values(), key=lambda output: int(str(output.request_id).rsplit("_", 1)[-1]))
    return [list(output.generated_tokens) for output in by_prompt]
