"""Real vLLM, in this process and as a server: what goes in, what comes out, what happens in faults."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from inference.contracts import (
    Completion,
    EngineRequest,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
    Shot,
    TransientError,
)
from inference.engines import Engine, load_engine
from inference.engines.base import StreamingEngine, cpu_threads
from inference.prompts import fspo_prompt, fspo_target
from tests.inference import test_synthesize_engine as synthesis
from tests.inference.test_synthesize_engine import without_personas

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "inference" / "bundled"
STOP = ("\n# Example",)


@pytest.fixture(scope="module")
def vllm() -> Iterator[Any]:
    pytest.importorskip("vllm", reason="vLLM is not installed: make setup-vllm-cpu")
    engine = load_engine(ModelSpec("vllm", "bundled:palate-1"), bundled_root=BUNDLED)
    yield engine
    engine._loop.stop()


@pytest.fixture(scope="module")
def reference() -> Engine:
    return load_engine(ModelSpec("transformers", "bundled:palate-1"), bundled_root=BUNDLED)


def prompts(people: int, questions: int, first: int = 0) -> list[Prompt]:
    """FSPO prompts of the demo study: each person's eight shots, then one question after another."""
    banks = [
        (ROOT / "studies" / "demo" / name).read_text().splitlines() for name in ("questions.jsonl", "candidates.jsonl")
    ]
    questions_of, candidates = ([json.loads(line) for line in lines] for lines in banks)
    texts_of: dict[str, list[str]] = {}
    for row in candidates:
        texts_of.setdefault(row["question"], []).append(row["text"])
    asked = [row["text"] for row in questions_of if row["use"] == "judge"]
    text_of = {row["id"]: row["text"] for row in questions_of}
    found = []
    for person in range(first, first + people):
        rng = random.Random(person)
        shots = [Shot(text_of[name], *rng.sample(texts_of[name], 2)) for name in rng.sample(sorted(texts_of), 8)]
        found += [Prompt(fspo_prompt(text, shots), None, STOP, 8, 0) for text in rng.sample(asked, questions)]
    return found


def requests(given: list[Prompt], temperature: float = 0.7) -> list[EngineRequest]:
    return [EngineRequest(f"r{n}", p, Sampling(temperature, 0.95, 48), 1000 + n) for n, p in enumerate(given)]


def texts(answers: list[Any]) -> list[str]:
    assert all(isinstance(answer, Completion) for answer in answers), answers
    return [answer.text for answer in answers]


def test_the_same_prompt_is_the_same_tokens_on_every_engine_here(vllm: Any, reference: Any) -> None:
    asked = requests(prompts(3, 2))
    ours, theirs = vllm.generate(asked), reference.generate(asked)
    assert [a.prompt_tokens for a in ours] == [a.prompt_tokens for a in theirs]
    assert [a.prompt_text for a in ours] == [a.prompt_text for a in theirs]
    for request in asked:
        text = request.prompt.text or ""
        assert vllm._prompting.tokens(text) == reference.tokens(text)


def test_greedy_texts_are_those_of_transformers(vllm: Any, reference: Any) -> None:
    asked = requests(prompts(8, 2), temperature=0.0)
    same = [a == b for a, b in zip(texts(vllm.generate(asked)), texts(reference.generate(asked)), strict=True)]
    assert sum(same) >= 15  # a tie within rounding may go either way


def test_whoever_is_more_urgent_overtakes_those_that_wait_inside(vllm: Any) -> None:
    patient = [replace(one, sampling=Sampling(0.7, 0.95, 4), urgency=5) for one in requests(prompts(15, 11))]
    ended: list[str] = []
    begun = [vllm.begin(one) for one in [*patient, replace(patient[0], id="urgent", urgency=0)]]
    for answer in begun:
        answer.add_done_callback(lambda done: ended.append(done.result().id))
    texts([answer.result() for answer in begun])
    assert len(patient) > 2 * vllm.slots
    assert ended.index("urgent") < ended.index(patient[-1].id)


def test_a_text_is_the_same_alone_in_a_batch_and_from_several_threads(vllm: Any) -> None:
    asked = requests(prompts(4, 4))
    together = texts(vllm.generate(asked))
    assert [texts(vllm.generate([one]))[0] for one in asked] == together
    with ThreadPoolExecutor(8) as pool:
        assert [texts(found)[0] for found in pool.map(lambda one: vllm.generate([one]), asked)] == together
    assert len(set(together)) > 12


def test_its_loop_computes_in_as_many_threads_as_the_setting_says(vllm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, seen = vllm._loop._engine, set[int]()
    step = engine.step

    def watched() -> Any:
        seen.add(torch.get_num_threads())
        return step()

    monkeypatch.setattr(engine, "step", watched)
    texts(vllm.generate(requests(prompts(1, 1))))
    assert seen == {cpu_threads()}


def test_a_participants_shots_come_from_the_prefix_cache(vllm: Any) -> None:
    asked = requests(prompts(1, 11, first=90))
    answers = vllm.generate(asked[:1]) + vllm.generate(asked[1:])
    cached = sum(answer.cached_tokens for answer in answers) / sum(answer.prompt_tokens for answer in answers)
    assert answers[0].cached_tokens < answers[1].cached_tokens
    assert cached > 0.6


def test_a_row_that_cannot_be_made_does_not_touch_the_others(vllm: Any) -> None:
    good, empty, long = prompts(1, 1)[0], Prompt("", None, (), 0, 0), Prompt("word " * 9000, None, (), 0, 0)
    answers = vllm.generate(requests([good, empty, long, good]))
    assert [type(answer) for answer in answers] == [Completion, PermanentError, PermanentError, Completion]
    assert "drop shots" in str(answers[2])
    adapter = EngineRequest("a", good, Sampling(max_tokens=8), 1, "/nowhere")
    assert "loaded without adapters" in str(vllm.generate([adapter])[0])


@pytest.mark.parametrize(
    ("config", "message"),
    [(None, "has no config.json"), ('{"architectures": ["NoSuchModel"], "model_type": "nosuch"}', "cannot be read")],
)
def test_a_model_that_does_not_start_is_one_clear_message(tmp_path: Path, config: str | None, message: str) -> None:
    pytest.importorskip("vllm")
    if config is not None:
        (tmp_path / "config.json").write_text(config)
        (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(PermanentError, match=message) as raised:
        load_engine(ModelSpec("vllm", str(tmp_path)), bundled_root=BUNDLED)
    assert "\n" not in str(raised.value)


def test_when_vllm_itself_fails_every_row_is_told_and_the_engine_is_not_used_again() -> None:
    pytest.importorskip("vllm")
    engine: Any = load_engine(ModelSpec("vllm", "bundled:palate-1"), bundled_root=BUNDLED)
    steps = iter(range(3))

    def stumble() -> Any:
        if next(steps, None) is None:
            raise RuntimeError("a kernel fell over")
        return real()

    real, engine._loop._engine.step = engine._loop._engine.step, stumble
    answers = engine.generate(requests(prompts(2, 2)))
    assert all(isinstance(answer, TransientError) and "a kernel fell over" in str(answer) for answer in answers)
    engine._loop.join(10)
    assert not engine.alive
    assert isinstance(engine.generate(requests(prompts(1, 1)))[0], TransientError)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    pytest.importorskip("vllm", reason="vLLM is not installed: make setup-vllm-cpu")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("vllm") / "log"
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(BUNDLED / "palate-1")),
        *("--served-model-name", "palate", "--host", "127.0.0.1", "--port", str(port), "--enforce-eager"),
        *("--dtype", "float32", "--block-size", "32", "--enable-prompt-tokens-details", "--no-enable-chunked-prefill"),
        *("--max-num-batched-tokens", "8192", "--generation-config", "vllm"),
    ]
    quiet = {"VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=os.environ | quiet, cwd="/")
    try:
        until = time.monotonic() + 240
        while not _is_up(f"http://127.0.0.1:{port}/health"):
            assert process.poll() is None, log.read_text()[-3000:]
            assert time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(30)


def _is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_vllm_server_gives_what_vllm_gives_here(server: str, vllm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_OPENAI_URLS", server)
    remote = load_engine(ModelSpec("openai", "palate"), bundled_root=BUNDLED)
    assert remote.facts.max_context == vllm.facts.max_context
    asked = requests(prompts(3, 3), temperature=0.0)
    there, here = remote.generate(asked), vllm.generate(asked)
    assert [a.prompt_tokens for a in there] == [a.prompt_tokens for a in here]
    assert sum(a == b for a, b in zip(texts(there), texts(here), strict=True)) >= 8
    sampled = requests(prompts(3, 3))
    assert texts(remote.generate(sampled)) == texts([remote.generate([one])[0] for one in sampled])
    assert any(answer.cached_tokens for answer in remote.generate(asked))
    scored = [ScoreRequest(one.id, one.prompt, fspo_target("It is nice.")) for one in asked]
    for far, near in zip(remote.score(scored), vllm.score(scored), strict=True):
        assert (far.id, far.tokens) == (near.id, near.tokens)  # type: ignore[union-attr]
        assert far.logprob == pytest.approx(near.logprob, abs=0.05)  # type: ignore[union-attr]
    too_long = Prompt("word " * 9000, None, (), 0, 0)
    assert not remote.fits(too_long, Sampling(max_tokens=8))
    assert isinstance(remote.generate(requests([too_long]))[0], PermanentError)


def test_preferences_are_asked_of_a_vllm_server_and_a_model_that_cannot_judge_is_counted(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALATE_OPENAI_URLS", server)
    config = without_personas(synthesis.QUIET).replace('"scripted"', '"openai"').replace('"none"', '"palate"')
    config = config.replace("view_conditioning = true", "view_conditioning = false").replace('"chat"', '"fspo"')
    assert synthesis.run(tmp_path, config) == 1
    found = synthesis.summary(tmp_path)
    assert (found["rows"], found["calls"]["by step"]["answers"]) == (0, 12)
    # Answers that cannot be used, or verdicts that cannot be read: either way each is counted.
    assert sum(found["dropped before pairs"].values()) + found["counts"].get("pairs unreadable", 0) >= 12
    asked = sum(found["calls"]["by step"].values())
    assert synthesis.run(tmp_path, config) == 1
    assert sum(synthesis.summary(tmp_path)["calls"]["by step"].values()) == asked


# ---- scores, adapters, rows that come one by one


def test_scores_are_those_of_transformers(vllm: Any, reference: Any) -> None:
    given = prompts(2, 3)
    asked = [ScoreRequest(str(n), one, fspo_target(f"It is {n} of them.")) for n, one in enumerate(given)]
    ours, theirs = vllm.score(asked), reference.score(asked)
    for one, two in zip(ours, theirs, strict=True):
        assert (one.id, one.tokens) == (two.id, two.tokens)
        assert one.logprob == pytest.approx(two.logprob, abs=0.05)
    refused = vllm.score([ScoreRequest("e", given[0], ""), asked[0]])
    assert [type(one) for one in refused] == [PermanentError, Scored]


def test_rows_begun_one_by_one_are_those_of_a_batch(vllm: Any) -> None:
    asked = requests(prompts(4, 4))
    together = texts(vllm.generate(asked))
    assert isinstance(vllm, StreamingEngine)
    assert texts([answer.result(120) for answer in [vllm.begin(one) for one in asked]]) == together


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Two LoRA adapters of the bundled model that change what it says, and the model with each merged in."""
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    folders = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_pretrained(BUNDLED / "palate-1")
        adapted = peft.get_peft_model(
            model, peft.LoraConfig(r=8, lora_alpha=64, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
        )
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_B" in name:
                    weight.normal_(std=0.1)
        adapter, merged = (tmp_path_factory.mktemp(f"{kind}-{seed}") for kind in ("adapter", "merged"))
        adapted.save_pretrained(adapter)
        shutil.copytree(BUNDLED / "palate-1", merged, dirs_exist_ok=True)
        adapted.merge_and_unload().save_pretrained(merged)
        folders.append((str(adapter), str(merged)))
    return folders


def test_adapters_of_several_arms_share_one_base_and_one_batch(adapters: list[tuple[str, str]]) -> None:
    pytest.importorskip("vllm")
    engine: Any = load_engine(ModelSpec("vllm", "bundled:palate-1", options={"lora": True}), bundled_root=BUNDLED)
    try:
        plain = requests(prompts(3, 2))
        arms = [None, *(adapter for adapter, _ in adapters)]
        mixed = [replace(one, id=f"{arm}/{one.id}", adapter=arm) for one in plain for arm in arms]
        together = dict(zip([one.id for one in mixed], texts(engine.generate(mixed)), strict=True))
        same = 0
        for arm in arms:
            alone = texts(engine.generate([one for one in mixed if one.adapter == arm]))
            same += sum(text == together[f"{arm}/{one.id}"] for text, one in zip(alone, plain, strict=True))
        assert same >= len(mixed) - 2  # a tie within rounding may go either way
        by_arm = [[together[f"{arm}/{one.id}"] for one in plain] for arm in arms]
        assert by_arm[0] != by_arm[1] != by_arm[2] != by_arm[0]
        for (_, merged), texts_of in zip(adapters, by_arm[1:], strict=True):
            whole = load_engine(ModelSpec("transformers", merged), bundled_root=BUNDLED)
            greedy = [replace(one, sampling=Sampling(0.0, 1.0, 48), adapter=None) for one in plain]
            adapter = arms[by_arm.index(texts_of)]
            ours = texts(engine.generate([replace(one, adapter=adapter) for one in greedy]))
            same = sum(one == two for one, two in zip(ours, texts(whole.generate(greedy)), strict=True))
            assert same >= len(plain) - 2
        (score,) = engine.score([ScoreRequest("s", plain[0].prompt, fspo_target("It is nice."), arms[1])])
        assert "scores no texts while it serves adapters" in str(score)
        digests = [made.adapter_digest for made in engine.generate([replace(plain[0], adapter=arm) for arm in arms])]
        assert digests[0] == ""
        assert len({len(digest) for digest in digests[1:]}) == 1 < len(set(digests[1:]))
        assert engine.facts.abilities == ["seeds", "prefix_cache"]
        missing = engine.generate([replace(plain[0], adapter="/nowhere")])[0]
        assert "no adapter_config.json there" in str(missing)
    finally:
        engine._loop.stop()
