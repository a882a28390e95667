"""The scripted engine honours the contract: its texts depend on prompt and seed alone, and it fails when asked to."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from inference.contracts import (
    Completion,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    ModelSpec,
    PermanentError,
    RefusedError,
    Sampling,
    Shot,
    TransientError,
    Window,
)
from inference.engines import Engine, load_engine
from inference.normalise import normalise
from inference.prompts import build

ROOT = Path(__file__).parents[2]
SHOTS = (Shot("Tea or coffee?", "Tea, for its calm.", "Coffee, for its kick."),)
MODEL = ModelSpec("scripted", "none")
QUESTION = GenerationRequest(MODEL, "fspo", "What makes a good neighbour?", shots=SHOTS)


def engine(**options: Any) -> Engine:
    return load_engine(ModelSpec("scripted", "none", options=options), bundled_root=ROOT)


def request(seed: int, *, of: GenerationRequest = QUESTION, **sampling: Any) -> EngineRequest:
    return EngineRequest(f"row-{seed}", build(of), Sampling(**sampling), seed)


def texts(results: list[Completion | InferenceError]) -> list[str]:
    assert all(isinstance(result, Completion) for result in results), results
    return [result.text for result in results if isinstance(result, Completion)]


def test_prompt_and_seed_alone_decide_a_text() -> None:
    together = texts(engine().generate([request(seed) for seed in range(40)]))
    alone = [texts(engine().generate([request(seed)]))[0] for seed in range(40)]
    assert together == alone
    assert len(set(together)) == 40
    other = GenerationRequest(MODEL, "fspo", "What makes a bad neighbour?", shots=SHOTS)
    assert texts(engine().generate([request(1, of=other)])) != texts(engine().generate([request(1)]))


def test_greedy_decoding_ignores_the_seed() -> None:
    first, second = texts(engine().generate([request(1, temperature=0), request(2, temperature=0)]))
    assert first == second


@pytest.mark.parametrize("words", [(60, 90), (200, 300)])
@pytest.mark.parametrize("layout", ["fspo", "chat"])
def test_a_text_is_showable_and_has_the_wanted_length(words: tuple[int, int], layout: Any) -> None:
    of = GenerationRequest(MODEL, layout, "What makes a good neighbour?", shots=SHOTS)
    made = engine(words=list(words))
    for text in texts(made.generate([request(seed, of=of) for seed in range(50)])):
        result = normalise(text, Window(*words), shots=SHOTS, prompt=str(build(of)))
        assert (result.reject, result.outside_window, result.flags) == (None, False, ()), text
        assert text.startswith("## Preferred Response \n") == (layout == "fspo")


def test_a_description_comes_under_its_own_heading() -> None:
    of = GenerationRequest(MODEL, "fspo", "Why?", shots=SHOTS, rationale=True, purpose="description")
    (text,) = texts(engine().generate([request(1, of=of)]))
    assert text.startswith("## User Description\n")
    assert 18 <= normalise(text, purpose="description").words <= 30


def test_max_tokens_cuts_the_text_and_says_so() -> None:
    (result,) = engine().generate([request(1, max_tokens=10)])
    assert isinstance(result, Completion)
    assert (result.finish_reason, normalise(result.text).words) == ("length", 10)
    assert normalise(result.text, finish_reason=result.finish_reason).reject == "truncated"


@pytest.mark.parametrize(
    ("told", "error"), [("transient", TransientError), ("permanent", PermanentError), ("refused", RefusedError)]
)
def test_failures_come_for_the_row_alone_and_a_new_seed_may_pass(told: str, error: type[InferenceError]) -> None:
    results = engine(fail_every=3, fail_with=told).generate([request(seed) for seed in range(60)])
    failed = [isinstance(result, error) for result in results]
    assert 8 <= sum(failed) <= 35
    assert failed == [isinstance(result, error) for result in engine(fail_every=3, fail_with=told).generate(
        [request(seed) for seed in range(60)]
    )]  # fmt: skip


@pytest.mark.parametrize(
    ("option", "reject"), [("empty_every", "empty"), ("truncate_every", "truncated"), ("loop_every", "degenerate")]
)
def test_bad_texts_on_demand_are_rejected_by_the_normaliser(option: str, reject: str) -> None:
    for result in engine(**{option: 1}).generate([request(seed) for seed in range(10)]):
        assert isinstance(result, Completion)
        assert normalise(result.text, finish_reason=result.finish_reason).reject == reject


def test_a_leak_on_demand_is_flagged() -> None:
    (text,) = texts(engine(leak_every=1).generate([request(1)]))
    assert normalise(text).flags == ("refers_to_preferences",)


def test_delays_and_hangs_take_their_time() -> None:
    start = time.monotonic()
    engine(delay_s=0.1).generate([request(1)])
    assert 0.1 <= time.monotonic() - start < 2
    start = time.monotonic()
    engine(hang_s=0.2).generate([request(1)])
    assert time.monotonic() - start >= 0.2


def test_the_environment_can_order_a_fault_drill(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_SCRIPTED", '{"fail_every": 1}')
    assert isinstance(engine().generate([request(1)])[0], TransientError)
    monkeypatch.setenv("PALATE_SCRIPTED", "[1]")
    with pytest.raises(PermanentError, match="PALATE_SCRIPTED is no JSON object"):
        engine()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"wrods": [1, 2]}, "knows no option 'wrods'"),
        ({"words": [90, 60]}, "least <= most"),
        ({"words": "many"}, "expected \\[least, most\\]"),
        ({"fail_with": "sadness"}, "use transient, permanent, refused"),
        ({"delay_s": -1}, "expected seconds"),
        ({"fail_every": True}, "whole number"),
    ],
)
def test_wrong_options_say_what_is_right(options: dict[str, Any], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        engine(**options)


@pytest.mark.parametrize(
    "sampling", [{"temperature": -1}, {"temperature": float("nan")}, {"top_p": 0}, {"max_tokens": 0}]
)
def test_impossible_sampling_fails_its_row_alone(sampling: dict[str, Any]) -> None:
    bad, good = engine().generate([request(1, **sampling), request(1)])
    assert isinstance(bad, PermanentError)
    assert isinstance(good, Completion)


def test_a_prompt_too_long_for_the_context_does_not_fit() -> None:
    assert not engine(max_context=40).fits(build(QUESTION), Sampling(max_tokens=20))
    assert engine(max_context=100).fits(build(QUESTION), Sampling(max_tokens=20))


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (ModelSpec("magic", "none"), "engine 'magic' is unknown: use one of openai, scripted, transformers, vllm"),
        (ModelSpec("transformers", "/nowhere/at/all"), "there is no such folder"),
        (ModelSpec("transformers", "bundled:none"), "no bundled model 'none'"),
        (ModelSpec("transformers", "bundled:../engines"), "no bundled model"),
        (ModelSpec("transformers", "no-such-org/no-such-model", revision="v1"), "hf download .* --revision v1"),
        (ModelSpec("transformers", str(ROOT)), "has no config.json"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_what_is_missing(spec: ModelSpec, told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        load_engine(spec, bundled_root=ROOT / "inference" / "bundled")


def test_the_web_process_never_imports_torch() -> None:
    program = (
        "import sys, pathlib; from inference import engines, contracts, prompts, normalise\n"
        "engines.load_engine(contracts.ModelSpec('scripted', 'none'), bundled_root=pathlib.Path())\n"
        "assert not {'torch', 'transformers', 'django'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
