"""The evaluation on the engine that serves: the same prompts byte for byte, and the same texts when made again."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from inference import prompts
from inference.contracts import Completion, EngineRequest, GenerationRequest, ModelSpec, Sampling
from inference.training import evaluate as program
from inference.training.evaluate import main
from inference.training.evaluation import arms, people
from inference.training.evaluation.answers import Job, Maker
from inference.training.evaluation.checkpoints import load_checkpoint
from inference.training.evaluation.config import load_config
from inference.training.evaluation.store import CHUNK, seed_of
from inference.training.tokenizer import train_tokenizer
from inference.world import DOMAINS, draw_shots, questions, users

from .evaluate_cast import configuration


def texts() -> Iterator[str]:
    for number in range(60):
        rng, domain = random.Random(number), DOMAINS[number % len(DOMAINS)]
        asked = rng.sample(questions("train", domain), 3)
        yield prompts.fspo_prompt(asked[0].text, draw_shots(users(domain, "train")[0], asked[1:], rng))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration and, in `model/fspo`, a very small untrained checkpoint."""
    place = tmp_path_factory.mktemp("engine")
    tokenizer = train_tokenizer(texts(), vocabulary=1200, context=2048)
    torch.manual_seed(1)
    config = LlamaConfig(
        vocab_size=1200,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(place / "model" / "fspo")
    tokenizer.save_pretrained(place / "model" / "fspo")
    path = configuration(place, "[sampling]\nmax_tokens = 8")
    for name in ("reviews = 24", "explanations = 20", "open-ended = 40"):
        path.write_text(path.read_text().replace(name, f"{name.split(' = ')[0]} = 2"))
    path.write_text(path.read_text().replace("trained = 8", "trained = 2").replace("fields = 12", "fields = 2"))
    return place


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_TORCH_THREADS", "1")
    monkeypatch.setattr(program, "draw_figures", lambda *_: None)


def made(out: Path) -> dict[str, str]:
    lines = [line for path in sorted((out / "texts").rglob("*.jsonl")) for line in path.read_text().splitlines()]
    return {f"{row['id']}/{row['key']}": row["text"] for row in map(json.loads, lines)}


def test_a_rerun_from_nothing_gives_the_same_texts_and_the_same_report(folder: Path) -> None:
    for out in ("one", "other"):
        assert main([str(folder / "evaluate.toml"), str(folder / out)]) == 0
    assert made(folder / "one") == made(folder / "other")
    assert len(set(made(folder / "one").values())) > 20
    one, other = (json.loads((folder / out / "bars.json").read_text()) for out in ("one", "other"))
    assert one == other


def test_a_text_is_what_the_engine_serves_for_the_same_request_alone(folder: Path) -> None:
    config = load_config(folder / "evaluate.toml")
    spec = ModelSpec("transformers", str(folder / "model" / "fspo"))
    engine = load_checkpoint(spec)
    crowd = tuple(people.draw_people(people.PARTS[people.MAIN], config, 1))
    job = Job(arms.ARMS["fspo"], 8, crowd)
    maker = Maker(engine, spec, config.sampling.sampling, config.seed, folder / "alone")
    answers = maker.answers(job)
    assert len(answers) == len(crowd) < CHUNK
    person = crowd[3]
    served = GenerationRequest(spec, "fspo", person.asked.text, shots=person.shots, sampling=Sampling(0.7, 0.95, 8))
    prompt = prompts.build(
        GenerationRequest.from_json(served.to_json()), fits=lambda p: engine.fits(p, served.sampling)
    )
    name = f"held-out-1/fspo@8/{person.domain}/{person.number}"
    (alone,) = engine.generate([EngineRequest("x", prompt, served.sampling, seed_of(config.seed, name, "answer"))])
    assert isinstance(alone, Completion)
    assert alone.prompt_text == prompts.fspo_prompt(person.asked.text, person.shots)
    kept = {row["id"]: row["text"] for row in map(json.loads, (folder / "alone/held-out-1/fspo@8.jsonl").open())}
    assert kept[name] == alone.text
