"""The transformers engine on a small random model: one text for one request, in whatever batch it is asked for."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from inference.contracts import (
    Completion,
    EngineRequest,
    GenerationRequest,
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Shot,
)
from inference.engines.decoding import Row, batches, shared_prefix
from inference.engines.transformers_engine import TransformersEngine, load
from inference.prompts import build

END, PAD = "<|end|>", "<|pad|>"
CHAT = "{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}[assistant] "
WORDS = [
    *(
        "tea",
        "coffee",
        "calm",
        "kick",
        "quick",
        "slow",
        "warm",
        "cold",
        "street",
        "ladder",
        "neighbour",
        "film",
        "book",
    ),
    *("rain", "magnet", "vote", "plain", "long", "short"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama of two layers with random, peaked weights and a byte-level tokenizer."""
    where = tmp_path_factory.mktemp("tiny")
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([" ".join(WORDS), build(fspo(0, shots=2)).text], trainer)
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=END, pad_token=PAD, model_max_length=2048, chat_template=CHAT
    ).save_pretrained(where)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=len(bpe.get_vocab()), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True,
        initializer_range=0.4, bos_token_id=None, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(where)
    return where


@pytest.fixture(scope="module")
def engine(folder: Path) -> TransformersEngine:
    return load(ModelSpec("transformers", str(folder)), bundled_root=folder)


def fspo(number: int, *, shots: int = 0, person: int = 0) -> GenerationRequest:
    def text(at: int, length: int) -> str:
        return " ".join(WORDS[(at * 7 + step * (at + 3)) % len(WORDS)] for step in range(length))

    given = tuple(Shot(text(person + at, 5), text(at + 1, 9), text(person * 3 + at, 7)) for at in range(shots))
    return GenerationRequest(ModelSpec("transformers", "x"), "fspo", text(number, 4 + number % 5), shots=given)


def row(number: int, *, shots: int = 0, person: int = 0, seed: int | None = None, **sampling: Any) -> EngineRequest:
    prompt = replace(build(fspo(number, shots=shots, person=person)), stop=())
    given = Sampling(**{"temperature": 1.0, "top_p": 0.9, "max_tokens": 30, **sampling})
    return EngineRequest(f"row-{number}", prompt, given, seed if seed is not None else 1000 + number)


def mixed() -> list[EngineRequest]:
    """Sixteen rows: three persons, 0 to 8 shots, several temperatures and nuclei, greedy ones, differing lengths."""
    kinds = [(1.0, 0.9), (0.7, 0.95), (0.0, 1.0), (1.3, 1.0)]
    return [
        row(number, shots=(0, 1, 4, 8)[number % 4], person=number % 3, temperature=temperature, top_p=top_p,
            max_tokens=10 + number * 2)
        for number, (temperature, top_p) in enumerate(kinds * 4)
    ]  # fmt: skip


def texts(results: list[Completion | InferenceError]) -> list[tuple[str, str, str, int]]:
    made = [result for result in results if isinstance(result, Completion)]
    assert len(made) == len(results), results
    return [(result.id, result.text, result.finish_reason, result.completion_tokens) for result in made]


# ---- the same request, the same text


def test_a_request_gives_the_same_text_alone_and_in_any_batch(engine: TransformersEngine) -> None:
    requests = mixed()
    together = texts(engine.generate(requests))
    alone = [texts(engine.generate([request]))[0] for request in requests]
    backwards = texts(engine.generate(requests[::-1]))[::-1]
    assert together == alone == backwards
    assert len({text for _, text, _, _ in together}) == 16


def test_many_rows_of_one_person_share_their_prefix_and_change_nothing(engine: TransformersEngine) -> None:
    requests = [row(number, shots=8, person=1) for number in range(8)]
    results = engine.generate(requests)
    assert texts(results) == [texts(engine.generate([request]))[0] for request in requests]
    cached = [result.cached_tokens for result in results if isinstance(result, Completion)]
    assert cached.count(0) == 1
    assert min(each for each in cached if each) > 100


class Noisy(torch.nn.Module):
    """A model whose cached logits carry noise that depends on the batch, far above what rounding does."""

    def __init__(self, model: Any, amount: float) -> None:
        super().__init__()
        self.model, self.config, self.amount = model, model.config, amount
        self.calls = torch.Generator().manual_seed(0)

    def forward(self, input_ids: torch.Tensor, use_cache: bool = True, **given: Any) -> Any:
        result = self.model(input_ids=input_ids, use_cache=use_cache, **given)
        if use_cache:
            shaken = torch.rand(result.logits.shape, generator=self.calls) * 2 - 1
            result.logits = result.logits + shaken * self.amount
        return result


def noisy(engine: TransformersEngine, *, tie: float) -> TransformersEngine:
    copy = TransformersEngine(Noisy(engine.model, 0.005), engine.tokenizer, engine.facts, engine.decoder.ends)
    copy.decoder.tie = tie
    return copy


def test_noise_of_the_batch_turns_no_choice_because_close_ones_are_decided_alone(engine: TransformersEngine) -> None:
    requests = [row(number, temperature=1.0, max_tokens=40) for number in range(24)]
    clean = texts(engine.generate(requests))
    guarded = noisy(engine, tie=0.02)
    assert texts(guarded.generate(requests)) == clean
    assert 0 < guarded.decoder.unsure < guarded.decoder.steps / 4
    unguarded = noisy(engine, tie=0.0)
    assert texts(unguarded.generate(requests)) != clean, "the noise turns nothing: the guard is not shown to matter"


def test_rounding_noise_is_far_below_the_margin(engine: TransformersEngine) -> None:
    decoder = engine.decoder
    rows = [
        Row(at, engine.tokens(request.prompt.text or ""), request.sampling, 1, ()) for at, request in enumerate(mixed())
    ]
    with torch.inference_mode():
        together, _, _ = decoder._prefill(rows)
        alone = torch.cat([decoder._alone(each) for each in rows])
    assert (together - alone).abs().max() < decoder.tie / 8


def test_greedy_decoding_agrees_with_transformers_own_generate(engine: TransformersEngine) -> None:
    for number in range(6):
        request = row(number, shots=2, temperature=0.0, max_tokens=25)
        ids = torch.tensor([engine.tokens(request.prompt.text or "")])
        own = engine.model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=25, do_sample=False)
        expected = engine.tokenizer.decode(own[0, ids.shape[1] :], skip_special_tokens=True)
        assert texts(engine.generate([request]))[0][1] == expected


def test_another_seed_gives_another_text_and_the_same_seed_the_same(engine: TransformersEngine) -> None:
    made = texts(engine.generate([row(3, seed=seed) for seed in (1, 2, 2**63 - 1, -5, 1)]))
    assert made[0] == made[4]
    assert len({text for _, text, _, _ in made}) == 4


# ---- ends


def test_the_token_limit_is_exact_and_reported(engine: TransformersEngine) -> None:
    results = engine.generate([row(number, max_tokens=number + 1) for number in range(5)])
    for number, (_, _, finish, tokens) in enumerate(texts(results)):
        assert (finish == "length" and tokens == number + 1) or (finish == "stop" and tokens <= number + 1)


def test_the_end_token_ends_a_text_and_is_not_shown(engine: TransformersEngine) -> None:
    ended = [result for result in texts(engine.generate([row(n, temperature=3.0, top_p=1.0, max_tokens=300)
                                                         for n in range(24)])) if result[2] == "stop"]  # fmt: skip
    assert ended
    assert all(tokens < 300 and END not in text for _, text, _, tokens in ended)


def test_a_stop_string_ends_the_text_before_it(engine: TransformersEngine) -> None:
    whole = row(5, max_tokens=40)
    text = texts(engine.generate([whole]))[0][1]
    stop = text[20:24]
    cut = replace(whole, prompt=replace(whole.prompt, stop=("never seen", stop)))
    result = engine.generate([cut, row(6)])[0]
    assert isinstance(result, Completion)
    assert result.text == text[: text.index(stop)]
    assert (result.finish_reason, result.completion_tokens < 40) == ("stop", True)


# ---- prompts


def test_the_fspo_prompt_is_tokenised_as_it_is(engine: TransformersEngine) -> None:
    prompt = build(fspo(1, shots=2))
    ids = engine.tokens(engine.prompt_text(prompt))
    assert engine.tokenizer.decode(ids) == prompt.text
    result = engine.generate([EngineRequest("a", prompt, Sampling(max_tokens=3), 1)])[0]
    assert isinstance(result, Completion)
    assert (result.prompt_text, result.prompt_tokens) == (prompt.text, len(ids))


def test_a_chat_goes_through_the_tokenizers_template(engine: TransformersEngine) -> None:
    prompt = build(replace(fspo(1), layout="chat", instruction="Be brief.", question="Why?"))
    result = engine.generate([EngineRequest("a", prompt, Sampling(max_tokens=3), 1)])[0]
    assert isinstance(result, Completion)
    assert result.prompt_text == "[system] Be brief.\n[user] Why?\n[assistant] "


def test_a_chat_without_a_template_says_what_to_do(engine: TransformersEngine) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=engine.tokenizer.backend_tokenizer, eos_token=END)
    plain = TransformersEngine(engine.model, bare, engine.facts, engine.decoder.ends)
    prompt = build(replace(fspo(1), layout="chat"))
    result, good = plain.generate([EngineRequest("a", prompt, Sampling(max_tokens=3), 1), row(1)])
    assert isinstance(result, PermanentError)
    assert "no chat template" in str(result)
    assert isinstance(good, Completion)


def test_whole_shots_are_dropped_until_the_prompt_fits(engine: TransformersEngine) -> None:
    sampling = Sampling(max_tokens=2048 - 300)
    prompt = build(fspo(1, shots=8), fits=lambda prompt: engine.fits(prompt, sampling))
    assert 0 < prompt.shots_used < 8
    assert engine.fits(prompt, sampling)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"sampling": Sampling(max_tokens=2048)}, "exceed the context of 2048: drop shots"),
        ({"sampling": Sampling(top_p=1.5)}, "top_p 1.5"),
        ({"prompt": Prompt("", None, (), 0, 0)}, "prompt is empty"),
        ({"adapter": "lora"}, "serves no adapters"),
    ],
)
def test_a_bad_row_fails_alone(engine: TransformersEngine, change: dict[str, Any], told: str) -> None:
    good, bad, also = engine.generate([row(1), replace(row(2), **change), row(3)])
    assert isinstance(bad, PermanentError)
    assert told in str(bad)
    assert texts([good, also]) == texts(engine.generate([row(1), row(3)]))


def test_a_model_that_makes_no_numbers_is_a_permanent_error(engine: TransformersEngine, folder: Path) -> None:
    broken = load(ModelSpec("transformers", str(folder)), bundled_root=folder)
    with torch.no_grad():
        broken.model.model.norm.weight.fill_(float("nan"))
    (result,) = broken.generate([row(1)])
    assert isinstance(result, PermanentError)
    assert "not a number" in str(result)


# ---- batches


def test_families_go_together_and_the_rest_by_length() -> None:
    def of(index: int, tokens: list[int]) -> Row:
        return Row(index, tokens, Sampling(), 1, ())

    ann, bob = list(range(100)), list(range(200, 300))
    rows = [
        of(0, [*ann, 1]),
        of(1, [*bob, 1]),
        of(2, [5] * 40),
        of(3, [*ann, 2, 3]),
        of(4, [*bob, 9]),
        of(5, [7] * 900),
    ]
    made = {tuple(sorted(row.index for row in batch)) for batch in batches(rows, slots=16, tokens=10_000)}
    assert made == {(0, 3), (1, 4), (2,), (5,)}
    assert shared_prefix([[1, 2, 3], [1, 2, 3], [1, 2, 3]]) == 2
    many = batches([of(at, [at] * 50) for at in range(40)], slots=16, tokens=500)
    assert [len(batch) for batch in many] == [10, 10, 10, 10]


# ---- loading


def test_the_digests_are_what_sha256sum_prints(engine: TransformersEngine, folder: Path) -> None:
    def listing(*names: str) -> str:
        lines = (f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in sorted(names))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    assert engine.facts.model_digest == listing("config.json", "model.safetensors")
    assert engine.facts.tokenizer_digest == listing("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    assert engine.facts.versions["torch"] == torch.__version__
    assert (engine.facts.device, engine.facts.versions["dtype"]) == ("cpu", "float32")


def pickled(where: Path) -> None:
    (where / "model.safetensors").rename(where / "pytorch_model.bin")


def cut_short(where: Path) -> None:
    weights = where / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])


def unheard_of(where: Path) -> None:
    config = json.loads((where / "config.json").read_text())
    (where / "config.json").write_text(json.dumps(config | {"model_type": "unheard-of"}))


def with_code(where: Path) -> None:
    config = json.loads((where / "config.json").read_text())
    own = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (where / "config.json").write_text(json.dumps(config | {"model_type": "evil", "auto_map": own}))
    (where / "evil.py").write_text(f"open({str(where / 'ran')!r}, 'w')\n")


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (pickled, "pickled weights are never loaded: convert"),
        (cut_short, "cannot be loaded: .*check that its files are complete"),
        (unheard_of, "unheard-of"),
        (with_code, "cannot be loaded"),
    ],
)
def test_a_damaged_or_foreign_model_gets_one_clear_message(
    folder: Path, tmp_path: Path, harm: Callable[[Path], None], told: str
) -> None:
    where = tmp_path / "copy"
    shutil.copytree(folder, where)
    harm(where)
    with pytest.raises(PermanentError, match=told):
        load(ModelSpec("transformers", str(where)), bundled_root=where)
    assert not (where / "ran").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"dtyp": "float32"}, "knows no option 'dtyp': use device, dtype, max_context"),
        ({"dtype": "int8"}, "dtype 'int8' is unknown"),
        ({"device": "abacus"}, "use cpu or cuda"),
        ({"max_context": 4096}, "from 1 to the model's 2048"),
    ],
)
def test_wrong_options_say_what_is_right(folder: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        load(ModelSpec("transformers", str(folder), options=options), bundled_root=folder)


def test_a_wrong_number_of_threads_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_TORCH_THREADS", "two")
    with pytest.raises(PermanentError, match="PALATE_TORCH_THREADS='two'"):
        load(ModelSpec("transformers", str(folder)), bundled_root=folder)
