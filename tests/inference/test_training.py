"""What the model is trained on, and that a whole run from nothing works."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from inference import prompts
from inference.training.evaluate import Figures, draw_people, half_credit, table
from inference.training.evaluate import main as evaluate
from inference.training.recipe import Part, RecipeError, Stage, load_recipe
from inference.training.synthesis import Mix, Row, draw_row
from inference.training.tokenizer import LAYOUT, train_tokenizer
from inference.training.train import Collator, Rows, encode, main, new_model, tokenizer_texts
from inference.world import names_subject, style_of, subject_of
from inference.world.subjects import SUBJECTS

RECIPE = Path(__file__).resolve().parents[2] / "inference" / "training" / "palate-1.toml"
TINY = """
seed = 1
[model]
vocabulary = 1536
hidden = 32
feed_forward = 64
layers = 1
heads = 2
context = 1024
[[stages]]
name = "plain"
rows = 96
batch = 8
learning_rate = 2e-2
[[stages.parts]]
share = 1
shots = [0]
[[stages]]
name = "full"
rows = 16
batch = 8
learning_rate = 5e-3
[[stages.parts]]
share = 1
shots = [0, 2]
forced = [1.0, 0.0]
[[stages.parts]]
share = 1
shots = [1]
"""


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(tokenizer_texts(1), vocabulary=1536, context=2048)


def a_row(shots: int, seed: int = 0, mix: Mix | None = None) -> Row:
    return draw_row(mix or Mix((shots,)), shots=shots, forced=0.0, rng=random.Random(seed))


def test_a_row_is_the_serving_prompt_and_target_byte_for_byte() -> None:
    row = a_row(2)
    blocks = row.prompt.split("# Task\n")
    texts = [line for line in blocks[0].split("\n") if line and not line.startswith("#")]
    assert len(texts) == 6
    shots = [prompts.Shot(*texts[:3]), prompts.Shot(*texts[3:])]
    question = blocks[1].split("\n")[2]
    assert prompts.fspo_prompt(question, shots) == row.prompt
    answer = row.target.split("\n")[1]
    assert prompts.fspo_target(answer) == row.target
    assert style_of(answer) is not None
    assert names_subject(answer, question) or subject_of(question) is None


@pytest.mark.parametrize("shots", [0, 1, 8])
def test_the_loss_covers_the_final_answer_and_its_end_alone(tokenizer: PreTrainedTokenizerFast, shots: int) -> None:
    row = a_row(shots, seed=shots)
    encoded = encode(row, tokenizer)
    learnt = [token for token, label in zip(encoded["input_ids"], encoded["labels"], strict=True) if label != -100]
    assert learnt == [label for label in encoded["labels"] if label != -100]
    assert tokenizer.decode(learnt) == row.target + "<|end|>"
    assert tokenizer.decode(encoded["input_ids"]) == row.prompt + row.target + "<|end|>"


def test_the_collator_keeps_every_label_and_hides_the_padding(tokenizer: PreTrainedTokenizerFast) -> None:
    rows = [encode(a_row(shots, seed=shots), tokenizer) for shots in (0, 1, 3)]
    batch = Collator(int(tokenizer.pad_token_id))(rows)
    for row, ids, mask, labels in zip(rows, batch["input_ids"], batch["attention_mask"], batch["labels"], strict=True):
        assert ids[mask.bool()].tolist() == row["input_ids"]
        assert [label for label in labels.tolist() if label != -100] == [x for x in row["labels"] if x != -100]
        # The token before the target is kept too: its logits predict the target's first token.
        assert labels[0] == -100


def test_the_collated_loss_is_the_loss_of_the_row_alone(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    torch.manual_seed(0)
    model = new_model(load_recipe(path).model, tokenizer).eval()
    row = encode(a_row(2), tokenizer)
    whole = model(input_ids=torch.tensor([row["input_ids"]]), labels=torch.tensor([row["labels"]])).loss
    collated = model(**Collator(int(tokenizer.pad_token_id))([row])).loss
    assert collated.item() == pytest.approx(whole.item(), rel=1e-5)


def test_no_preference_and_no_answer_to_one_mentions_a_held_out_subject() -> None:
    held_out = [s.name.lower() for s in SUBJECTS if s.held_out]
    rows = [a_row(shots, seed) for seed in range(400) for shots in (1, 4)]
    assert not [row for row in rows if any(name in (row.prompt + row.target).lower() for name in held_out)]


def test_rows_without_shots_name_every_subject() -> None:
    asked = {a_row(0, seed).prompt for seed in range(4000)}
    assert all(any(subject.name in prompt for prompt in asked) for subject in SUBJECTS)


def test_preferred_texts_of_forced_rows_show_the_style_of_the_answer() -> None:
    row = draw_row(Mix((3,)), shots=3, forced=1.0, rng=random.Random(9))
    preferred = [block.split("\n")[0] for block in row.prompt.split(prompts.PREFERRED_HEADING)[1:]]
    dispreferred = [block.split("\n")[0] for block in row.prompt.split(prompts.DISPREFERRED_HEADING)[1:]]
    style = style_of(row.target.split("\n")[1])
    assert style is not None
    assert {style_of(text) for text in preferred} == {style}
    assert style not in {style_of(text) for text in dispreferred}


def test_an_answer_is_some_fifteen_tokens_long(tokenizer: PreTrainedTokenizerFast) -> None:
    lengths = [sum(label != -100 for label in encode(a_row(1, seed), tokenizer)["labels"]) for seed in range(100)]
    assert max(lengths) <= 26


def test_rows_are_the_same_in_every_run_and_differ_from_one_another(tokenizer: PreTrainedTokenizerFast) -> None:
    stage = Stage(name="s", rows=64, batch=8, learning_rate=1e-3, parts=[Part(share=1, shots=[0, 1, 4])])
    one, other = Rows(stage, tokenizer, 5, 2048), Rows(stage, tokenizer, 5, 2048)
    assert [one.text(i) for i in range(64)] == [other.text(i) for i in range(64)]
    assert len({one.text(i).prompt for i in range(64)}) == 64
    assert all(len({one.text(i).shots for i in range(start, start + 8)}) == 1 for start in range(0, 64, 8))


def test_an_over_long_row_is_an_error_and_never_cut(tokenizer: PreTrainedTokenizerFast) -> None:
    stage = Stage(name="long", rows=4, batch=1, learning_rate=1e-3, parts=[Part(share=1, shots=[8])])
    with pytest.raises(ValueError, match=r"row 0 of stage 'long' has .* tokens, more than the model's context of 128"):
        Rows(stage, tokenizer, 1, 128)[0]


def test_the_layout_costs_few_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    for line in LAYOUT:
        assert len(tokenizer(line, add_special_tokens=False)["input_ids"]) == 1
    assert max(len(encode(a_row(8, seed), tokenizer)["input_ids"]) for seed in range(20)) < 1000


@settings(max_examples=60)
@given(st.text(max_size=200))
def test_any_text_survives_the_tokenizer(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    text = text.replace("<|", "< |")
    assert tokenizer.decode(tokenizer(text, add_special_tokens=True)["input_ids"]) == text


def test_own_shots_count_against_base_with_ties_half() -> None:
    people = draw_people(4, 1, seed=1)
    assert half_credit(["x"] * 4, ["x"] * 4, people) == 0.5
    assert half_credit([p.shots[0].preferred for p in people], ["x"] * 4, people) == 1.0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = ", "is not TOML"),
        (TINY.replace("hidden", "hiden"), "hiden"),
        (TINY.replace("rows = 96", "rows = 0"), "rows"),
        (TINY.replace("shots = [0]", "shots = []"), "shots"),
    ],
)
def test_a_broken_recipe_is_refused_before_any_work(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=says) as error:
        load_recipe(path)
    assert "recipe.toml" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_recipe_or_model_ends_with_a_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.toml"), str(tmp_path / "out")]) == 1
    assert "none.toml: cannot be read" in capsys.readouterr().err
    assert evaluate([str(tmp_path)]) == 1
    assert "no checkpoint here" in capsys.readouterr().err


def test_the_shipped_recipe_is_sound() -> None:
    recipe = load_recipe(RECIPE)
    assert [part.shots for part in recipe.stages[0].parts] == [[0]]
    assert {part.forced[1] for part in recipe.stages[-1].parts} == {0.0}
    assert max(shots for part in recipe.stages[-1].parts for shots in part.shots) == 8
    assert recipe.model.context >= 2048


def test_a_whole_run_from_nothing_makes_a_model_that_can_be_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = tmp_path / "tiny.toml", tmp_path / "out"
    recipe.write_text(TINY)
    assert main([str(recipe), str(out), "--threads", "1"]) == 0
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if line["stage"] == "plain" and "loss" in line]
    assert losses[-1] < losses[0] - 0.2
    assert {line["stage"] for line in lines} == {"plain", "full"}
    model, tokenizer = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.config.use_cache
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id
    capsys.readouterr()
    assert evaluate([str(out), "--people", "2", "--shots", "1"]) == 0
    assert "| 1 | 2 | " in capsys.readouterr().out


def test_figures_are_printed_with_their_number_of_people() -> None:
    text = table([Figures(shots=8, n=200, own=0.8, donor=0.5, readable=1.0, on_subject=0.99, traits=0.7)])
    assert "| 8 | 200 | 80.0 | 50.0 | 70.0 | 100.0 | 99.0 |" in text
