"""The training program: recipes that are checked before any work, stages that go on where they stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from inference.prompts import PREFERRED_HEADING
from inference.training import metrics
from inference.training.recipe import Recipe, RecipeError, load_recipe
from inference.training.tokenizer import END, train_tokenizer
from inference.training.train import last_whole_checkpoint, main, own_folder, tokenizer_texts
from inference.world import DOMAINS, draw_plan, draw_question, write
from tests.inference.training_data import PREFERENCE_STAGES, TINY, save_both_groups

ROOT = Path(__file__).resolve().parents[2]
STAGE = '[[stages]]\nname = "a"\nkind = "{kind}"\nrows = 8\nbatch = 4\nlearning_rate = 1e-3\n'
SHAPE = "[model.shape]\nvocabulary = 2048\nhidden = 32\nfeed_forward = 64\nlayers = 2\nheads = 2\ncontext = 1024\n"
PARTS = "parts = [{ share = 1, shots = [1] }]\n"
GROW = STAGE.format(kind="grow") + PARTS


def recipe_file(folder: Path, text: str) -> Path:
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model through every kind of stage."""
    folder = tmp_path_factory.mktemp("trained")
    preferences = save_both_groups(folder / "preferences.parquet")
    recipe = recipe_file(folder, f'preferences = "{preferences}"\n{TINY}{PREFERENCE_STAGES}')
    assert main([str(recipe), str(folder / "out"), "--threads", "1"]) == 0
    return folder


# --------------------------------------------------------------------------------------------------------- recipes


def test_the_shipped_recipe_is_valid() -> None:
    recipe = load_recipe(ROOT / "inference" / "training" / "palate-1.toml")
    assert recipe.stages[0].kind == "grow"
    assert [stage.name for stage in recipe.scaled(0.001).stages] == [stage.name for stage in recipe.stages]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("seed = ", "is not TOML"),
        (f"seed = 1\nspeed = 2\n{SHAPE}{GROW}", "speed: Extra inputs are not permitted"),
        (f"seed = 1\n[model]\n{GROW}", "give either .model.shape."),
        (f'seed = 1\n[model]\nbase = "x"\n[model.shape]\nvocabulary = 9\n{GROW}', "model.shape.vocabulary"),
        (f"seed = 1\n{SHAPE}[model.lora]\nrank = 4\n{GROW}", "needs model.base"),
        (f"seed = 1\n{SHAPE}{STAGE.format(kind='sft')}{PARTS}", "need `preferences`"),
        (
            f'seed = 1\npreferences = "p"\n{SHAPE}{STAGE.format(kind="sft")}{PARTS}',
            "has to begin with a stage of kind 'grow'",
        ),
        (f'seed = 1\npreferences = "p"\n{SHAPE}{GROW}{GROW}', "two stages are called 'a'"),
        (f'seed = 1\npreferences = "p"\n{SHAPE}{GROW}start = "b"\n', "starts from 'b', which is no stage before it"),
        (
            f'seed = 1\npreferences = "p"\n{SHAPE}{STAGE.format(kind="ipo")}{PARTS}',
            "beta belongs to ipo and rat stages",
        ),
        (f"seed = 1\n{SHAPE}{STAGE.format(kind='grow')}beta = 1.0\n{PARTS}", "beta belongs to ipo and rat stages"),
        (f"seed = 1\n{SHAPE}{STAGE.format(kind='guess')}{PARTS}", "stages.0.kind"),
        (f"seed = 1\n{SHAPE}{STAGE.format(kind='grow')}parts = []\n", "stages.0.parts"),
        (
            f'seed = 1\n{SHAPE}{STAGE.format(kind="grow")}parts = [{{ share = 1, kind = "describe", shots = [0] }}]\n',
            "take 0 out of the shots",
        ),
        (
            f'seed = 1\n{SHAPE}{STAGE.format(kind="grow")}parts = [{{ share = 1, shots = [2], also = [1] }}]\n',
            "add in_place = false",
        ),
    ],
)
def test_a_wrong_recipe_is_refused_with_file_key_and_reason(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(RecipeError, match=problem) as caught:
        load_recipe(recipe_file(tmp_path, text))
    assert "recipe.toml" in str(caught.value)


def test_bad_input_ends_with_a_sentence_and_status_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = recipe_file(tmp_path, f'preferences = "{tmp_path / "nowhere"}"\n{TINY}{PREFERENCE_STAGES}')
    assert main([str(recipe), str(tmp_path / "out")]) == 1
    assert "there is no such file or folder; make one with inference.training.synthesize" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/config.json"))


def test_a_missing_base_model_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    preferences = save_both_groups(tmp_path / "preferences.parquet")
    text = (
        f'seed = 1\npreferences = "{preferences}"\n[model]\nbase = "{tmp_path}/none"\n{STAGE.format(kind="sft")}{PARTS}'
    )
    assert main([str(recipe_file(tmp_path, text)), str(tmp_path / "out"), "--threads", "1"]) == 1
    assert "none: holds no model (config.json is missing)" in capsys.readouterr().err


def test_phrases_of_the_world_need_its_tokenizer(
    tmp_path: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "foreign"
    AutoModelForCausalLM.from_pretrained(trained / "out" / "plain").save_pretrained(base)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator([], trainers.BpeTrainer(special_tokens=[END], initial_alphabet=letters))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(base)
    text = f'seed = 1\n[model]\nbase = "{base}"\n{STAGE.format(kind="grow")}words_anew = true\n{PARTS}'
    assert main([str(recipe_file(tmp_path, text)), str(tmp_path / "out"), "--threads", "1"]) == 1
    assert "leave `words_anew` and `learn` out of the stages" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------- stages


def test_every_stage_leaves_a_checkpoint_that_loads_and_writes(trained: Path) -> None:
    for name in ("plain", "pref-ft", "population", "fspo"):
        folder = trained / "out" / name
        names = {path.name for path in folder.iterdir()}
        assert {"config.json", "model.safetensors", "tokenizer.json", "stage.json"} <= names
        assert not [one for one in names if one.endswith((".bin", ".pt"))]
        model = AutoModelForCausalLM.from_pretrained(folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert model.config.use_cache
        assert tokenizer.eos_token == END
        batch = tokenizer("# Task\nTea?\n", return_tensors="pt", add_special_tokens=False)
        assert (
            model.generate(input_ids=batch["input_ids"], max_new_tokens=3).shape[1] <= batch["input_ids"].shape[1] + 3
        )
    assert sorted(path.name for path in (trained / "out").iterdir() if path.name.startswith(".")) == []


def test_preference_stages_move_the_weights_and_log_rewards(trained: Path) -> None:
    stages = metrics.read(trained / "out" / "metrics.jsonl")
    assert list(stages) == ["plain", "pref-ft", "population", "fspo"]
    assert any("rewards/margins" in line for line in stages["fspo"])
    assert any("eval_rewards/accuracies" in line for line in stages["fspo"])
    assert (trained / "out" / "metrics.png").stat().st_size > 5000
    before, after = (AutoModelForCausalLM.from_pretrained(trained / "out" / name) for name in ("plain", "population"))
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True))


def test_a_second_run_does_nothing_again(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stamps = {path: path.stat().st_mtime_ns for path in (trained / "out").glob("*/model.safetensors")}
    assert main([str(trained / "recipe.toml"), str(trained / "out"), "--threads", "1"]) == 0
    assert capsys.readouterr().out.count("done before") == 4
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_checkpoint_of_another_recipe_is_not_taken_for_this_ones(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = recipe_file(trained / "out", (trained / "recipe.toml").read_text().replace("seed = 1", "seed = 2"))
    assert main([str(other), str(trained / "out"), "--threads", "1"]) == 1
    assert "holds a checkpoint of another recipe; give another OUTDIR" in capsys.readouterr().err
    other.unlink()


def test_a_change_of_one_stage_changes_the_digest_of_all_that_follow() -> None:
    recipe = Recipe.model_validate(
        {
            "seed": 1,
            "preferences": "p",
            "model": {
                "shape": {"vocabulary": 2048, "hidden": 8, "feed_forward": 8, "layers": 1, "heads": 1, "context": 128}
            },
            "stages": [
                {
                    "name": n,
                    "kind": k,
                    "rows": 8,
                    "batch": 4,
                    "learning_rate": 1e-3,
                    "parts": [{"share": 1, "shots": [1]}],
                }
                for n, k in (("a", "grow"), ("b", "sft"), ("c", "sft"))
            ],
        }
    )
    longer = recipe.model_copy(
        update={"stages": [recipe.stages[0], recipe.stages[1].model_copy(update={"rows": 16}), recipe.stages[2]]}
    )
    same, second, third = (
        recipe.digest_of(s) == longer.digest_of(t) for s, t in zip(recipe.stages, longer.stages, strict=True)
    )
    assert (same, second, third) == (True, False, False)


@pytest.mark.slow
def test_a_killed_run_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    text = TINY.replace("rows = 32", "rows = 1600")
    recipe = recipe_file(tmp_path, text)
    command = [sys.executable, "-m", "inference.training.train", str(recipe), str(tmp_path / "out"), "--threads", "1"]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while last_whole_checkpoint(tmp_path / "out" / ".plain") is None:
            assert run.poll() is None
    finally:
        run.kill()
        run.wait()
    assert not (tmp_path / "out" / "plain").exists()
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=280)
    steps = [line["step"] for line in metrics.read(tmp_path / "out" / "metrics.jsonl")["plain"]]
    assert max(steps) == 200
    assert steps.count(25) == 1


def test_checkpoints_of_another_recipe_are_not_gone_on_from(tmp_path: Path) -> None:
    """A run that ends between giving a stage its name and tidying up leaves them behind."""
    work = own_folder(tmp_path / ".plain", "one")
    (work / "checkpoint-50").mkdir()
    (work / "checkpoint-50" / "trainer_state.json").write_text("{}")
    assert last_whole_checkpoint(own_folder(work, "one")) == str(work / "checkpoint-50")
    assert last_whole_checkpoint(own_folder(work, "other")) is None


def test_a_checkpoint_whose_writing_was_cut_off_is_not_gone_on_from(tmp_path: Path) -> None:
    for step, state in ((50, '{"global_step": 50}'), (75, ""), (100, None)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if state is not None:
            (folder / "trainer_state.json").write_text(state)
    assert last_whole_checkpoint(tmp_path) == str(tmp_path / "checkpoint-50")
    assert last_whole_checkpoint(tmp_path / "nowhere") is None


@pytest.mark.slow
def test_an_adapter_is_trained_on_a_model_on_disk(trained: Path, tmp_path: Path) -> None:
    text = (
        f'seed = 1\npreferences = "{trained / "preferences.parquet"}"\n[model]\nbase = "{trained / "out" / "plain"}"\n'
        "[model.lora]\nrank = 4\n"
        + STAGE.format(kind="sft")
        + PARTS
        + STAGE.format(kind="ipo").replace('"a"', '"b"')
        + "beta = 0.1\n"
        + PARTS
    )
    assert main([str(recipe_file(tmp_path, text)), str(tmp_path / "out"), "--threads", "1"]) == 0
    for name in ("a", "b"):
        names = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert {"adapter_config.json", "adapter_model.safetensors"} <= names
        assert "model.safetensors" not in names


def in_two_processes(recipe: Path, out: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inference.training.train", str(recipe), str(out), "--processes", "2"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


@pytest.mark.slow
def test_two_processes_train_one_model(tmp_path: Path) -> None:
    preferences = save_both_groups(tmp_path / "preferences.parquet")
    recipe = recipe_file(tmp_path, f'preferences = "{preferences}"\n{TINY}{PREFERENCE_STAGES}')
    done = in_two_processes(recipe, tmp_path / "out")
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("stage plain (grow): 32 rows, 16 a step") == 1  # said once
    assert (tmp_path / "out" / "fspo" / "model.safetensors").is_file()
    steps = {
        stage: max(line["step"] for line in lines)
        for stage, lines in metrics.read(tmp_path / "out" / "metrics.jsonl").items()
    }
    assert steps["plain"] == 2  # 32 rows, 8 a step in each of two processes


@pytest.mark.slow
def test_two_processes_say_once_what_is_wrong(tmp_path: Path) -> None:
    recipe = recipe_file(tmp_path, f'preferences = "{tmp_path}/none.parquet"\n{TINY}{PREFERENCE_STAGES}')
    done = in_two_processes(recipe, tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.count("none.parquet: there is no such file or folder") == 1
    assert "Traceback" not in done.stdout + done.stderr


def test_metrics_survive_a_line_that_breaks_off(tmp_path: Path) -> None:
    lines = [json.dumps({"stage": "a", "step": n, "loss": 1 / n}) for n in (1, 2)]
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"stage": "a", "st')
    assert [line["step"] for line in metrics.read(tmp_path / "metrics.jsonl")["a"]] == [1, 2]


# ------------------------------------------------------------------------------------------------------- tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(tokenizer_texts(1), vocabulary=2048, context=1024)


@pytest.mark.parametrize(
    "text", ["", "Is tea nice?", "Ünïcode 漢字 🙂\r\n\ttabs", "# Example 1\n## Question \n", "a" * 300]
)
def test_any_text_survives_the_tokenizer(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text, add_special_tokens=False)["input_ids"]) == text


def test_headings_and_phrases_are_one_token_and_nothing_is_put_in_front(tokenizer: Any) -> None:
    assert len(tokenizer(PREFERRED_HEADING)["input_ids"]) == 1
    assert tokenizer("So")["input_ids"] == tokenizer("So", add_special_tokens=False)["input_ids"]
    import random

    rng = random.Random(1)
    for domain in DOMAINS:
        text = write(draw_question(rng, "subjects", domain), draw_plan(domain, rng), rng)
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert tokenizer.decode(ids) == text
        assert len(ids) < 30
