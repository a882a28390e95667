"""The transformers engine: any causal language model on disk, on the CPU or one GPU, without code from the model.

Options (part of the model's key, since they can change the text): `dtype` ("float32", the CPU's default, or
"bfloat16", the GPU's; "float16"), `max_context` (tokens, at most the model's own), `device` ("cpu", "cuda").
The environment variable PALATE_TORCH_THREADS sets the threads of the CPU; the default is half of the cores, because
two threads that compete for a busy core wait for each other.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tokenizers
import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

from inference.contracts import (
    Completion,
    EngineFacts,
    EngineRequest,
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
    cpu_threads,
    files_digest,
    first_line,
)
from inference.engines.decoding import Decoder, Row, batches
from inference.engines.prompting import Prompting, own_context, tokenizer_files
from inference.engines.scoring import ScoreRow, log_probabilities, score_batches
from inference.engines.sources import model_folder

OPTIONS = ("device", "dtype", "max_context")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# In logits. Rounding noise between batches is measured and held far below it in test_engines_transformers.py.
FLOAT32_TIE = 5e-4
SLOTS = {"cpu": 16, "cuda": 64}
NOT_A_NUMBER = "the model's output is not a number: its weights or dtype are broken; try float32"
BATCH_TOKENS = {"cpu": 16_384, "cuda": 262_144}


class TransformersEngine:
    """A loaded model. The same request gives the same text alone and in any batch (float32; see `decoding`)."""

    alive = True

    def __init__(self, model: Any, tokenizer: Any, facts: EngineFacts, ends: frozenset[int]) -> None:
        """Take a loaded causal model in evaluation mode with its tokenizer; `ends` are the end-of-text tokens."""
        self.facts = facts
        self.model, self.tokenizer = model, tokenizer
        self.prompting = Prompting(tokenizer)
        device = torch.device(facts.device)
        self.slots = SLOTS[device.type]
        tie = FLOAT32_TIE if facts.versions["dtype"] == "float32" else 0.0
        self.decoder = Decoder(model, tokenizer, ends, device, tie)
        self._lock = threading.Lock()

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        """Whether prompt and new tokens fit `facts.max_context`. Raises PermanentError when chat has no template."""
        return len(self.tokens(self.prompt_text(prompt))) + sampling.max_tokens <= self.facts.max_context

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        """See `Engine.generate`."""
        results: dict[int, Completion | InferenceError] = {}
        rows: list[Row] = []
        for index, request in enumerate(requests):
            try:
                rows.append(self._row(index, request))
            except InferenceError as error:
                results[index] = error
        with self._lock:
            for batch in batches(rows, slots=self.slots, tokens=BATCH_TOKENS[self.decoder.device.type]):
                failed = self._run(batch)
                for row in batch:
                    results[row.index] = failed.get(row.index) or self._completion(row, requests[row.index])
        return [results[index] for index in range(len(requests))]

    def score(self, requests: Sequence[ScoreRequest]) -> list[Scored | InferenceError]:
        """See `Engine.score`."""
        results: dict[int, Scored | InferenceError] = {}
        rows: list[ScoreRow] = []
        for index, request in enumerate(requests):
            try:
                refuse_adapter(request.adapter)
                rows.append(ScoreRow(index, *self.prompting.scored(request, self.facts.max_context)))
            except InferenceError as error:
                results[index] = error
        device = self.decoder.device
        with self._lock:
            for batch in score_batches(rows, slots=self.slots, tokens=BATCH_TOKENS[device.type]):
                found = self._log_probabilities(batch)
                for row, value in zip(batch, found, strict=True):
                    name = requests[row.index].id
                    results[row.index] = (
                        value if isinstance(value, InferenceError) else Scored(name, value, len(row.after))
                    )
        return [results[index] for index in range(len(requests))]

    def _log_probabilities(self, batch: list[ScoreRow]) -> list[float | InferenceError]:
        try:
            found = log_probabilities(self.model, batch, self.decoder.device)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if len(batch) > 1:
                return [value for row in batch for value in self._log_probabilities([row])]
            return [TransientError(f"the device failed: {first_line(error)}")]
        return [value if value == value else PermanentError(NOT_A_NUMBER) for value in found]

    def pieces(self, text: str) -> list[str]:
        """See `Engine.pieces`."""
        return self.prompting.pieces(text)

    def prompt_text(self, prompt: Prompt) -> str:
        """The exact text that is tokenised; see `Prompting.text`."""
        return self.prompting.text(prompt)

    def tokens(self, text: str) -> list[int]:
        """Token ids without any special token added."""
        return self.prompting.tokens(text)

    def _row(self, index: int, request: EngineRequest) -> Row:
        check_sampling(request.sampling)
        refuse_adapter(request.adapter)
        ids = self.prompting.room(request.prompt, request.sampling.max_tokens, self.facts.max_context)
        return Row(index, ids, request.sampling, request.seed, request.prompt.stop)

    def _run(self, batch: list[Row]) -> dict[int, InferenceError]:
        """Decode a batch; one that the memory cannot hold is halved until single rows fail."""
        try:
            self.decoder.run(batch)
            return {}
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                return {row.index: TransientError(f"the device failed: {first_line(error)}") for row in batch}
        if self.decoder.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(batch) == 1:
            return {
                batch[0].index: TransientError("out of memory with a single row: free memory or shorten the prompt")
            }
        half = len(batch) // 2
        return self._run(batch[:half]) | self._run(batch[half:])

    def _completion(self, row: Row, request: EngineRequest) -> Completion | InferenceError:
        if row.broken or row.finish is None:
            return PermanentError(NOT_A_NUMBER)
        return Completion(
            id=request.id,
            text=self.decoder.text(row),
            finish_reason=row.finish,
            prompt_tokens=len(row.prompt),
            completion_tokens=row.drawn,
            cached_tokens=row.cached,
            prompt_text=self.prompt_text(request.prompt),
        )


def refuse_adapter(adapter: str | None) -> None:
    """Raise PermanentError where one is asked for."""
    if adapter:
        raise PermanentError(f"adapter {adapter!r}: the transformers engine serves no adapters: use the vllm engine")


def load(spec: ModelSpec, *, bundled_root: Path) -> TransformersEngine:
    """Load the model of `spec` from local safetensors. Raises PermanentError, or TransientError without memory."""
    options = check_options(spec, OPTIONS)
    folder = model_folder(spec, bundled_root=bundled_root)
    device, dtype = _device(options), _dtype(options)
    torch.set_num_threads(cpu_threads())
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, use_safetensors=True, dtype=DTYPES[dtype]
        )
        model = _placed(model, device)
    except Exception as error:  # whatever is wrong with the files, the reader needs one message
        if _is_out_of_memory(error):
            raise TransientError(f"no memory to load {spec.source!r} on {device}: free some, or use another") from error
        raise PermanentError(
            f"model {spec.source!r} in {folder} cannot be loaded: {first_line(error)}: "
            "check that its files are complete and of an architecture that transformers knows"
        ) from error
    facts = EngineFacts(
        engine="transformers",
        model_digest=files_digest([folder / "config.json", *folder.glob("*.safetensors")]),
        tokenizer_digest=files_digest(tokenizer_files(folder)),
        versions=_versions(dtype),
        device=device,
        max_context=checked_context(options, own_context(model.config, tokenizer)),
        can_seed=True,
        can_score=True,
    )
    return TransformersEngine(model, tokenizer, facts, _ends(model, tokenizer))


def _placed(model: Any, device: str) -> Any:
    return model.to(device).eval()


def _device(options: dict[str, Any]) -> str:
    there = torch.cuda.is_available()
    device = options.get("device", "cuda" if there else "cpu")
    if device not in SLOTS:
        raise PermanentError(f"device {device!r} is unknown: use {' or '.join(SLOTS)}")
    if device == "cuda" and not there:
        raise PermanentError('device "cuda": this machine shows torch no GPU: remove the option or use another worker')
    return str(device)


def _dtype(options: dict[str, Any]) -> str:
    dtype = options.get("dtype", "bfloat16" if _device(options) == "cuda" else "float32")
    if dtype not in DTYPES:
        raise PermanentError(f"dtype {dtype!r} is unknown: use {', '.join(DTYPES)}")
    return str(dtype)


def _versions(dtype: str) -> dict[str, str]:
    packages = {"torch": torch, "transformers": transformers, "tokenizers": tokenizers}
    return {name: str(package.__version__) for name, package in packages.items()} | {"dtype": dtype}


def _ends(model: Any, tokenizer: Any) -> frozenset[int]:
    found: set[int] = set()
    for value in (model.generation_config.eos_token_id, model.config.eos_token_id, tokenizer.eos_token_id):
        found.update(value if isinstance(value, list) else [] if value is None else [value])
    return frozenset(found)


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
