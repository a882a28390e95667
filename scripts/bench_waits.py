"""The waits of `make bench-generation`: simulated people who come together, over HTTP, with a real model's texts."""

from __future__ import annotations

import json
import re
import shutil
import socket
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from bench_web import ROOT, await_stock, manage, stack


def waits(crowd: int, think_s: float, model: str) -> dict[str, Any]:
    """Seconds that people who come together wait after their last probe, and in all."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="palate-bench-") as folder:
        Path(folder).chmod(0o711)
        with stack(Path(folder), port):
            manage("study", "load", str(crowded_demo(Path(folder), crowd, model)))
            manage("study", "open", "crowd", "--skip-preflight", "bench")
            await_stock("crowd")
            people, address = str(crowd), f"http://127.0.0.1:{port}"
            together = ["--participants", people, "--concurrency", people, "--think", str(think_s)]
            account = json.loads(manage("simulate", "crowd", *together, "--json", "--base-url", address))
            first, more = waited_ms()
    figures = {"crowd": crowd, "think_s": think_s, "crowd_errors": account["errors"]}
    return figures | {
        "waiting_people": len(first),
        "first_wait_median_s": median(first) / 1000,
        "first_wait_p95_s": sorted(first)[int(0.95 * (len(first) - 1))] / 1000,
        "wait_in_all_median_s": median(more) / 1000,
        "wait_in_all_p95_s": sorted(more)[int(0.95 * (len(more) - 1))] / 1000,
    }


def crowded_demo(folder: Path, crowd: int, model: str) -> Path:
    """The demo study with vLLM and a seat for each of the crowd."""
    target = folder / "crowd"
    shutil.copytree(ROOT / "studies" / "demo", target)
    text = (target / "study.toml").read_text()
    text = text.replace('slug = "demo"', 'slug = "crowd"').replace('engine = "transformers"', 'engine = "vllm"')
    text = text.replace('source = "bundled:palate-1"', f'source = "{model}"')
    text = re.sub(r"max_enrolled = \d+", f"max_enrolled = {crowd}", text)
    (target / "study.toml").write_text(text)
    return target


def waited_ms() -> tuple[list[int], list[int]]:
    """Milliseconds that each person who judged waited for the first pair, and for all pairs."""
    from annotations.models import Comparison

    pairs = Comparison.objects.filter(presented_at__isnull=False).order_by("participant_id", "position")
    by_person: dict[int, list[int]] = {}
    for person, waited in pairs.values_list("participant_id", "waited_ms"):
        by_person.setdefault(person, []).append(waited)
    return [each[0] for each in by_person.values()], [sum(each) for each in by_person.values()]
