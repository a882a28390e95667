"""The vllm engine: vLLM in this process, one loop a model, so that requests of all callers batch continuously.

It runs on a GPU (requirements-gpu.txt) and, for trials and tests, on a CPU (requirements-vllm-cpu.txt). Options, part
of the model's key, since they can change the text: `dtype` ("float32", the CPU's default, "bfloat16", the GPU's,
"float16"), `max_context` (tokens, at most the model's own), `lora` (true: adapters may be asked for), `ignore_end`
(true: only `max_tokens` ends a text, for measuring).

What depends on the machine comes from the environment: PALATE_VLLM_MEMORY, the share of a GPU's memory (default 0.9) or
the GiB of a CPU's cache (default 1); PALATE_VLLM_SLOTS, rows decoded at once (default 256, on a CPU 64);
PALATE_TORCH_THREADS, threads of a CPU (default half of the cores).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
    FinishReason,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
    TransientError,
)
from inference.engines.base import (
    check_options,
    check_sampling,
    checked_context,
    checked_number,
    cpu_threads,
    files_digest,
    first_line,
)
from inference.engines.prompting import Prompting, own_context, tokenizer_files
from inference.engines.sources import model_folder
from inference.engines.vllm_loop import Loop

# Before vLLM is imported. In process: its engine of several processes does not start in a daemon and outlives SIGTERM.
ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_LOGGING_LEVEL": "WARNING",
}
SLOTS = "PALATE_VLLM_SLOTS"
MEMORY = "PALATE_VLLM_MEMORY"
OPTIONS = ("dtype", "ignore_end", "lora", "max_context")
DTYPES = ("float32", "bfloat16", "float16")
# vLLM 0.32 fails as a whole when it is asked for the log-probabilities of a prompt while adapters are enabled.
NO_SCORES = "vLLM scores no texts while it serves adapters: merge the adapter into a model of its own to have scores"
ADAPTERS = 4  # decoded together; more take turns
CPU_BLOCK = 32  # tokens a block of the prefix cache; the default of 128 keeps little of a participant's shots
FINISHES: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class VllmEngine:
    """A model in vLLM. A request's text depends on prompt, sampling and seed alone, in any batch."""

    def __init__(
        self, loop: Loop, prompting: Prompting, facts: EngineFacts, slots: int, options: dict[str, Any]
    ) -> None:
        # Beyond the slots: rows that vLLM starts in the step in which others end, together where those end together.
        self.facts, self.slots, self.ahead = facts, slots, slots // 2
        self._loop, self._prompting = loop, prompting
        self._lora, self._endless = bool(options.get("lora")), bool(options.get("ignore_end"))
        self._adapters: dict[str, tuple[int, str]] = {}

    @property
    def alive(self) -> bool:
        """Whether the loop runs; a stopped one is not mended, the engine is loaded anew."""
        return self._loop.is_alive()

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether prompt and new tokens fit the context. Raises PermanentError when chat has no template."""
        ids = self._prompting.tokens(self._prompting.text(prompt))
        return len(ids) + sampling.max_tokens <= self.facts.max_context

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        """See `Engine.generate`. Several threads may call at once; their rows are decoded together."""
        return [answer.result() for answer in [self.begin(request) for request in requests]]

    def begin(self, request: EngineRequest) -> Future[Completion | InferenceError]:
        """See `StreamingEngine.begin`."""
        answer: Future[Completion | InferenceError] = Future()

        def arrived(found: Future[Any]) -> None:
            try:
                answer.set_result(self._end(request, found))
            except Exception as error:  # whoever waits must hear of it
                answer.set_exception(error)

        try:
            check_sampling(request.sampling)
            ids = self._prompting.room(request.prompt, request.sampling.max_tokens, self.facts.max_context)
            found = self._loop.submit(
                ids, self.params(request), self._adapter(request.adapter), urgency=request.urgency
            )
        except InferenceError as error:
            answer.set_result(error)
        else:
            found.add_done_callback(arrived)
        return answer

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scored | InferenceError]:
        """See `Engine.score`. vLLM reads no prefix cache for these: it needs the logits of every prompt token."""
        if not self.facts.can_score:
            return [PermanentError(NO_SCORES) for _ in requests]
        waiting: list[tuple[Future[Any], int] | InferenceError] = []
        for request in requests:
            try:
                before, after = self._prompting.scored(request, self.facts.max_context - 1)
                self._adapter(request.adapter)  # there are none here: a request for one is told so
                waiting.append((self._loop.submit([*before, *after], _score_params()), len(after)))
            except InferenceError as error:
                waiting.append(error)
        return [_scored(request, found) for request, found in zip(requests, waiting, strict=True)]

    def params(self, request: EngineRequest) -> Any:
        """vLLM's SamplingParams of a request."""
        from vllm import SamplingParams

        sampling = request.sampling
        return SamplingParams(
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            seed=request.seed % 2**63,
            stop=None if self._endless else list(request.prompt.stop) or None,
            ignore_eos=self._endless,
        )

    def pieces(self, text: str) -> list[str]:
        """See `Engine.pieces`."""
        return self._prompting.pieces(text)

    def _adapter(self, folder: str | None) -> Any:
        if not folder:
            return None
        if not self._lora:
            raise PermanentError(f"adapter {folder!r}: this model was loaded without adapters: set its option lora")
        if not (Path(folder) / "adapter_config.json").is_file():
            raise PermanentError(f"adapter {folder!r}: no adapter_config.json there: point at a saved LoRA adapter")
        from vllm.lora.request import LoRARequest

        if folder not in self._adapters:
            files = [Path(folder) / "adapter_config.json", *Path(folder).glob("*.safetensors")]
            self._adapters[folder] = (len(self._adapters) + 1, files_digest(files))
        return LoRARequest(folder, self._adapters[folder][0], folder)

    def _end(self, request: EngineRequest, found: Future[Any]) -> Completion | InferenceError:
        try:
            output = found.result()
        except InferenceError as error:
            return error
        (made,) = output.outputs
        return Completion(
            id=request.id,
            text=made.text,
            finish_reason="stop" if self._endless else FINISHES.get(made.finish_reason or "", "abort"),
            prompt_tokens=len(output.prompt_token_ids),
            completion_tokens=len(made.token_ids),
            cached_tokens=output.num_cached_tokens,
            prompt_text=self._prompting.text(request.prompt),
            adapter_digest=self._adapters[request.adapter][1] if request.adapter else "",
        )


def load(spec: ModelSpec, *, bundled_root: Path) -> VllmEngine:
    """Start vLLM with local safetensors. Raises PermanentError, or TransientError where memory is short."""
    options = check_options(spec, OPTIONS)
    folder = model_folder(spec, bundled_root=bundled_root)
    _prepare(ENVIRONMENT)
    import torch

    cuda = torch.cuda.is_available()
    slots = int(checked_number(SLOTS, os.environ.get(SLOTS), 256 if cuda else 64, 1, 4096))
    memory = checked_number(MEMORY, os.environ.get(MEMORY), 0.9 if cuda else 1.0, 0.01, 0.99 if cuda else 4096)
    dtype = _dtype(options, cuda)
    prompting, own = _read(spec, folder)
    context = checked_context(options, own)
    if not cuda:
        _prepare({"VLLM_CPU_KVCACHE_SPACE": str(max(1, round(memory)))})
    arguments: dict[str, Any] = {
        "model": str(folder),
        "dtype": dtype,
        "max_model_len": context,
        "max_num_seqs": slots,
        "enable_prefix_caching": True,
        "scheduling_policy": "priority",
        "enable_lora": bool(options.get("lora", False)),
        "max_loras": ADAPTERS,
        "load_format": "safetensors",
        "trust_remote_code": False,
        "disable_log_stats": True,
        "seed": 0,
    }
    # On a CPU: seeds and chunked prefill crash together, and compiling takes minutes.
    slow = {
        "enforce_eager": True,
        "enable_chunked_prefill": False,
        "block_size": CPU_BLOCK,
        "max_num_batched_tokens": max(context, 8192),
    }
    quick = {"gpu_memory_utilization": memory}
    loop = _started(spec, arguments | (quick if cuda else slow), threads=None if cuda else cpu_threads())
    facts = EngineFacts(
        engine="vllm",
        model_digest=files_digest([folder / "config.json", *folder.glob("*.safetensors")]),
        tokenizer_digest=files_digest(tokenizer_files(folder)),
        versions=_versions(dtype),
        device=torch.cuda.get_device_name() if cuda else f"cpu {platform.machine()}",
        max_context=context,
        can_seed=True,
        can_score=not arguments["enable_lora"],
        can_cache=True,
    )
    return VllmEngine(loop, prompting, facts, slots, options)


def _prepare(variables: dict[str, str]) -> None:
    """Set what vLLM reads from the environment; what is set stays."""
    for name, value in variables.items():
        os.environ.setdefault(name, value)


def _read(spec: ModelSpec, folder: Path) -> tuple[Prompting, int]:
    """The tokenizer, and the model's own context in tokens."""
    from transformers import AutoConfig, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever is wrong with the files, the reader needs one message
        raise PermanentError(
            f"model {spec.source!r} in {folder} cannot be read: {first_line(error)}: check that its files are complete"
        ) from error
    return Prompting(tokenizer), own_context(config, tokenizer)


def _started(spec: ModelSpec, arguments: dict[str, Any], *, threads: int | None) -> Loop:
    """The loop of a new engine; `threads` are those of a CPU, None on a GPU."""
    import torch
    from vllm.engine.arg_utils import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    def start() -> LLMEngine:
        if threads is not None:
            # Holds for this thread alone. vLLM replaces torch.set_num_threads once it runs; OpenMP's variable is
            # read when torch is imported.
            torch._C.set_num_threads(threads)
        return LLMEngine.from_engine_args(EngineArgs(**arguments))

    try:
        # On a CPU, vLLM 0.32 gives rows without an adapter the last one loaded when they meet rows with one.
        return Loop(start, apart=threads is not None)
    except Exception as error:  # vLLM raises whatever its parts raise
        said = first_line(error)
        if "memory" in said.lower():
            raise TransientError(
                f"no memory to start vLLM with {spec.source!r}: {said}: "
                "free some, or lower PALATE_VLLM_MEMORY or max_context"
            ) from error
        raise PermanentError(
            f"vLLM does not start with {spec.source!r}: {said}: "
            "check that its files are complete and of an architecture that vLLM knows"
        ) from error


def _score_params() -> Any:
    from vllm import SamplingParams

    # 0: the given token's log-probability alone. One new token has to be asked for.
    return SamplingParams(temperature=0, max_tokens=1, prompt_logprobs=0, detokenize=False)


def _scored(request: ScoreRequest, found: tuple[Future[Any], int] | InferenceError) -> Scored | InferenceError:
    if isinstance(found, InferenceError):
        return found
    future, tokens = found
    try:
        output = future.result()
    except InferenceError as error:
        return error
    ids = output.prompt_token_ids
    given = [output.prompt_logprobs[place][ids[place]].logprob for place in range(len(ids) - tokens, len(ids))]
    return Scored(request.id, float(sum(given)), tokens)


def _dtype(options: dict[str, Any], cuda: bool) -> str:
    dtype = options.get("dtype", "bfloat16" if cuda else "float32")
    if dtype not in DTYPES:
        raise PermanentError(f"dtype {dtype!r} is unknown: use {', '.join(DTYPES)}")
    return str(dtype)


def _versions(dtype: str) -> dict[str, str]:
    import torch
    import transformers
    import vllm

    packages = {"vllm": vllm, "torch": torch, "transformers": transformers}
    return {name: str(package.__version__) for name, package in packages.items()} | {"dtype": dtype}
