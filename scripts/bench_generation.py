"""make bench-generation: what the workers cost and how fast they are, side by side on this machine.

    scripts/bench_generation.py [SECTION...] [--people 200] [--answers 11] [--tokens 128] [--json FILE]

Sections: `throughput` (through Django, Celery and vLLM; the same prompts given at once to vLLM's offline engine; one at
a time; the transformers engine), `cost` (CPU a generation, scripted engine), `growth` (generations a second with 1,000,
10,000 and 100,000 rows in the table), `waits` (50 simulated participants at once take the demo study, answered by vLLM,
at 20 s a pair), `decoding` (our decode loop and transformers' own continuous batching). All of them without a name. Its
own Postgres and Redis in a temporary folder. On a GPU the same commands use it; `--model` takes another model folder.

The clock tells the truth on a quiet machine alone. On a busy one compare tokens per second of CPU time: Palate's cover
everything that is ours, Postgres and Redis too, the others' just their own process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]

from bench_decoding import decoding  # noqa: E402
from bench_growth import SIZES, growth  # noqa: E402
from bench_requests import engine_requests, requests_of  # noqa: E402
from bench_waits import waits  # noqa: E402
from bench_web import cpu_of  # noqa: E402
from bench_workers import ask, await_end, await_rest, site, span_of, worker  # noqa: E402

from inference.contracts import Completion, GenerationRequest, ModelSpec  # noqa: E402
from studyapp.embedded import Servers  # noqa: E402

BUNDLED = "bundled:palate-1"
ALONE = 24  # requests made one after another
TRANSFORMERS = 176  # requests of the transformers engine's run
DECODED = 4  # people of the decoding section
SECTIONS = ("throughput", "cost", "growth", "waits", "decoding")
Figures = dict[str, Any]


# ----------------------------------------------------------------------------------------------------------- sections


def throughput(options: argparse.Namespace, folder: Path, servers: Servers) -> Figures:
    """Tokens a second of one and the same prompts, by way of Palate, at once, one by one, and by transformers."""
    from django.db.models import Sum

    from inference.models import Generation

    spec = ModelSpec("vllm", options.model, options={"ignore_end": True})
    given = requests_of(options.people, options.answers, options.tokens, spec)
    flat = [request for requests in given for request in requests]
    rounds: list[Figures] = []
    for number in range(options.rounds):
        with worker(folder / f"worker{number}.log") as process:
            warm = ask([requests[:2] for requests in requests_of(1, 2, 8, spec)])
            await_end(warm)
            ids, used = cpu_of_work(process, servers, given)
        seconds, tokens = span_of(ids)
        rows = Generation.objects.filter(pk__in=ids)
        sums = rows.aggregate(cached=Sum("cached_tokens"), prompts=Sum("prompt_tokens"))
        figures = {
            "requests": len(ids),
            "ready": rows.filter(state="ready").count(),
            "palate_tokens_s": tokens / seconds,
            "palate_tokens_cpu_s": tokens / sum(used.values()),
            "prompt_tokens": sums["prompts"],
            "cached_share": (sums["cached"] or 0) / sums["prompts"] if sums["prompts"] else None,
        }
        rounds.append(figures | apart("offline", options, flat))
        print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr)
    # The same tokens every time: the mean of the times, and so the harmonic mean of the paces.
    paces = [key for key in rounds[0] if key.endswith("_s")]
    mean = {key: statistics.harmonic_mean([figures[key] for figures in rounds]) for key in paces}
    found: Figures = rounds[-1] | mean | {"rounds": rounds}
    found |= apart("transformers", options, flat[:TRANSFORMERS])
    return found | apart("alone", options, flat[:: max(1, len(flat) // ALONE)])


def apart(which: str, options: argparse.Namespace, given: Sequence[GenerationRequest]) -> Figures:
    """Measure in a process of its own, so that no engine shares memory or threads with another."""
    payload = json.dumps([request.to_json() for request in given])
    command = [sys.executable, __file__, "--apart", which, "--model", options.model]
    command += ["--crowd", str(options.crowd), "--think", str(options.think)]
    done = subprocess.run(command, cwd=ROOT, input=payload, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{which}: {done.stderr[-2000:]}")
    found: Figures = json.loads(done.stdout.splitlines()[-1])
    return found


def measured_apart(which: str, given: Sequence[GenerationRequest]) -> Figures:
    """`offline`: all prompts at once in vLLM's LLM; `transformers`: in that engine; `alone`: one after another."""
    import torch

    from inference.engines import load_engine
    from inference.engines.base import cpu_threads

    bundled = ROOT / "inference" / "bundled"
    asked = engine_requests(given)
    if which == "decoding":
        return decoding(load_engine(ModelSpec("transformers", given[0].model.source), bundled_root=bundled), asked)
    if which == "transformers":
        plain = load_engine(ModelSpec("transformers", given[0].model.source), bundled_root=bundled)
        with Pace("transformers") as slower:
            slower.tokens = sum(made(answer) for answer in plain.generate(asked))
        return slower.figures
    engine: Any = load_engine(given[0].model, bundled_root=bundled)
    if which == "alone":
        engine.generate(asked[:1])
        with Pace("alone") as pace:
            pace.tokens = sum(made(engine.generate([one])[0]) for one in asked)
        return pace.figures
    # vLLM's own engine, fed with everything before its first step: what `LLM.generate` does.
    inner = engine._loop._engine
    engine.generate(asked[:2])
    engine._loop.stop()
    if not torch.cuda.is_available():
        torch._C.set_num_threads(cpu_threads())  # as in the loop's thread
    for number, one in enumerate(asked):
        ids = engine._prompting.tokens(one.prompt.text)
        inner.add_request(f"all-{number}", {"prompt_token_ids": ids}, engine.params(one))
    with Pace("offline") as pace:
        while inner.has_unfinished_requests():
            pace.tokens += sum(len(out.outputs[0].token_ids) for out in inner.step() if out.finished)
    return pace.figures


class Pace:
    """Tokens a second of what its body makes, by the clock and by this process's CPU time."""

    def __init__(self, name: str) -> None:
        self.name, self.tokens = name, 0

    def __enter__(self) -> Pace:
        self.began, self.cpu = time.monotonic(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        seconds, cpu = time.monotonic() - self.began, time.process_time() - self.cpu
        self.figures = {f"{self.name}_tokens_s": self.tokens / seconds, f"{self.name}_tokens_cpu_s": self.tokens / cpu}


def made(answer: Any) -> int:
    """New tokens of an answer."""
    if not isinstance(answer, Completion):
        raise SystemExit(f"no text came: {answer}")
    return answer.completion_tokens


def cost(options: argparse.Namespace, folder: Path, servers: Servers) -> Figures:
    """CPU a generation, by process, of everything that is ours: the scripted engine costs nearly nothing."""
    spec = ModelSpec("scripted", "cost", options={"slots": 64, "words": [40, 80]})
    given = requests_of(options.people, options.answers, options.tokens * 4, spec)
    with worker(folder / "cost.log") as process:
        await_end(ask([requests[:2] for requests in requests_of(1, 2, 512, spec)]))
        ids, used = cpu_of_work(process, servers, given)
    each = {f"cpu_ms_{name.replace(' ', '_')}": 1000 * seconds / len(ids) for name, seconds in used.items()}
    return each | {"cpu_ms": sum(each.values())}


def cpu_of_work(
    process: psutil.Process, servers: Servers, given: Sequence[Sequence[GenerationRequest]]
) -> tuple[list[int], dict[str, float]]:
    """Ask for the requests and wait for their end; the rows' ids and the CPU seconds of each part.

    Asking is this process, as the web's is; what it spends on waiting is no part of it, what that costs Postgres is.
    """
    pids = {"postgres": servers.postgres.pid(), "redis": servers.redis.pid()}
    parts = {"engine process": process} | {name: psutil.Process(pid) for name, pid in pids.items() if pid is not None}
    assert len(parts) == 3, pids
    await_rest(process)
    before, began = {name: cpu_of([root]) for name, root in parts.items()}, time.process_time()
    ids = ask(given)
    asking = time.process_time() - began
    await_end(ids)
    return ids, {name: cpu_of([root]) - before[name] for name, root in parts.items()} | {"asking": asking}


# ---------------------------------------------------------------------------------------------------------- the program


ROWS = (
    ("tokens/s through Django, Celery and vLLM", "palate_tokens_s", None),
    ("tokens/s of the same prompts given to vLLM at once", "offline_tokens_s", None),
    ("  Palate's share of that", ("palate_tokens_s", "offline_tokens_s"), ">= 0.9"),
    ("  the same by CPU time", ("palate_tokens_cpu_s", "offline_tokens_cpu_s"), None),
    ("tokens/s one request at a time", "alone_tokens_s", None),
    ("  Palate's times as many", ("palate_tokens_s", "alone_tokens_s"), ">= 8"),
    ("  the same by CPU time", ("palate_tokens_cpu_s", "alone_tokens_cpu_s"), None),
    ("tokens/s of the transformers engine, texts that end by themselves", "transformers_tokens_s", None),
    ("  Palate's times as many", ("palate_tokens_s", "transformers_tokens_s"), None),
    ("  the same by CPU time", ("palate_tokens_cpu_s", "transformers_tokens_cpu_s"), None),
    ("prompt tokens from the prefix cache", "cached_share", ">= 0.8"),
    ("CPU ms a generation", "cpu_ms", "<= 4"),
    ("  of it in the engine's process", "cpu_ms_engine_process", "<= 1"),
    ("  in Postgres", "cpu_ms_postgres", None),
    ("  in Redis", "cpu_ms_redis", None),
    ("  asking", "cpu_ms_asking", None),
    *((f"generations/s with {size:,} rows in the table", f"generations_s_at_{size}", None) for size in SIZES),
    ("  slowest over fastest", tuple(f"generations_s_at_{size}" for size in SIZES), ">= 0.85"),
    *((f"the same a second of CPU, {size:,} rows", f"generations_cpu_s_at_{size}", None) for size in SIZES),
    ("  slowest over fastest, by CPU time", tuple(f"generations_cpu_s_at_{size}" for size in SIZES), ">= 0.85"),
    ("s of waiting after the last probe, median", "first_wait_median_s", "0"),
    ("  95 %", "first_wait_p95_s", "<= 2"),
    ("s of waiting in all, median", "wait_in_all_median_s", None),
    ("  95 %", "wait_in_all_p95_s", None),
    *(
        (f"tokens/s of {way}, {choice}, by CPU time", f"{way}_{choice}_tokens_cpu_s", None)
        for choice in ("greedy", "sampled")
        for way in ("own_loop", "generate_batch")
    ),
)


def table(figures: Figures) -> str:
    """The figures beside their bars."""
    lines = ["| figure | measured | bar |", "|---|---|---|"]
    for name, key, bar in ROWS:
        keys = (key,) if isinstance(key, str) else key
        values = [figures.get(one) for one in keys]
        if any(value is None for value in values):
            continue
        value = values[0] if len(values) == 1 else min(values) / max(values)
        if len(values) == 2:
            value = values[0] / values[1]
        lines.append(f"| {name} | {value:,.2f} | {bar or ''} |")
    return "\n".join(lines)


def main() -> None:
    """Run the sections and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; all without a name")
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--answers", type=int, default=11)
    parser.add_argument("--tokens", type=int, default=128, help="new tokens a text")
    parser.add_argument("--model", default=BUNDLED, help="model of the throughput section")
    parser.add_argument("--rounds", type=int, default=2, help="times that Palate and vLLM alone take turns")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--crowd", type=int, default=50, help="people of the waits section")
    parser.add_argument("--think", type=float, default=20, help="their seconds a pair")
    parser.add_argument(
        "--apart", choices=["offline", "transformers", "alone", "waits", "decoding"], help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    if options.apart == "waits":
        print(json.dumps(waits(options.crowd, options.think, options.model)))
        return
    if options.apart:
        given = [GenerationRequest.from_json(one) for one in json.load(sys.stdin)]
        print(json.dumps(measured_apart(options.apart, given)))
        return
    wanted = options.sections or SECTIONS
    if unknown := sorted(set(wanted) - set(SECTIONS)):
        parser.error(f"there is no section {unknown[0]!r}: {', '.join(SECTIONS)}")
    figures: Figures = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}",
        "people": options.people,
        "answers": options.answers,
        "new_tokens": options.tokens,
    }
    with tempfile.TemporaryDirectory(prefix="palate-bench-") as folder, site(Path(folder) / "data") as servers:
        if "throughput" in wanted:
            figures |= throughput(options, Path(folder), servers)
        if "cost" in wanted:
            figures |= cost(options, Path(folder), servers)
        if "growth" in wanted:
            figures |= growth(Path(folder), servers)
    if "decoding" in wanted:
        some = requests_of(DECODED, options.answers, options.tokens, ModelSpec("transformers", options.model))
        figures |= apart("decoding", options, [request for requests in some for request in requests])
    if "waits" in wanted:
        figures |= apart("waits", options, [])
    print(table(figures))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
