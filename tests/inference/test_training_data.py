"""What a model is trained on: the serving prompt, a user's own preferences, and never a rejected answer."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from inference.contracts import GenerationRequest, ModelSpec, Sampling, Shot, Window
from inference.prompts import (
    PREFERRED_HEADING,
    build,
    description_target,
    fspo_prompt,
    fspo_target,
)
from inference.training.curriculum import Ease
from inference.training.descriptions import STOPS, closeness, pairs
from inference.training.fewshot import IGNORED, Example, TooLongError, draw_example
from inference.training.preferences import Labelled, PreferenceError, load
from inference.training.recipe import Part, Stage
from inference.training.rows import Rows, encode_densely
from inference.training.tokenizer import END, idea_tokens, train_tokenizer
from inference.training.train import tokenizer_texts
from tests.inference.training_data import preference_rows, save


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return train_tokenizer(tokenizer_texts(1), vocabulary=2048, context=1024)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> list[Labelled]:
    return load(save(preference_rows(), tmp_path_factory.mktemp("preferences") / "some.parquet"))


def any_fits(_: str) -> bool:
    return True


def learnt(encoded: dict[str, list[int]], tokenizer: Any) -> str:
    return str(tokenizer.decode([label for label in encoded["labels"] if label != IGNORED]))


def rows_of(stage: dict[str, Any], users: list[Labelled], tokenizer: Any, context: int = 1024) -> Rows:
    whole = {"name": "s", "kind": "sft", "rows": 64, "batch": 4, "learning_rate": 1e-3, **stage}
    return Rows(Stage.model_validate(whole), 3, tokenizer, context, users)


# -------------------------------------------------------------------------------------------------------- examples


def test_a_training_prompt_is_the_served_prompt_byte_for_byte(users: list[Labelled]) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        user = rng.choice(users)
        example = draw_example(user, "answer", 4, rng, any_fits)
        again = random.Random(seed)
        again.choice(users)
        source, other = again.sample(user.sets, 2)
        shots, asked = tuple(again.sample(source, 4)), again.choice(other)
        request = GenerationRequest(
            model=ModelSpec("scripted", "anything"),
            layout="fspo",
            question=asked.question,
            shots=shots,
            sampling=Sampling(),
            window=Window(1, 100),
        )
        assert example.prompt.encode() == str(build(request).text).encode()
        assert example.chosen == fspo_target(asked.preferred)
        assert example.rejected == fspo_target(asked.dispreferred)


def test_shots_come_from_one_questionnaire_and_the_answer_from_another(users: list[Labelled]) -> None:
    for seed in range(40):
        rng = random.Random(seed)
        user = rng.choice(users)
        example = draw_example(user, "answer", 8, rng, any_fits)
        inside = [n for n, one in enumerate(user.sets) if all(shot.preferred in example.prompt for shot in one)]
        assert len(inside) == 1
        assert example.chosen not in example.prompt
        assert example.shots == 8


def test_descriptions_are_asked_for_and_given_as_in_serving(users: list[Labelled]) -> None:
    user = users[0]
    asked = draw_example(user, "describe", 2, random.Random(1), any_fits)
    assert "Generate a user description based on the examples above." in asked.prompt
    given = draw_example(user, "described", 2, random.Random(1), any_fits)
    assert given.prompt == asked.prompt + description_target(user.description)
    # A description is followed by the answer, in training as in serving, where it is only a first step.
    assert asked.prompt + asked.chosen == given.prompt + given.chosen
    oracle = draw_example(user, "described", 0, random.Random(1), any_fits)
    assert oracle.prompt.startswith("# Task\nGenerate a response to the following question.\n")
    assert oracle.prompt.endswith(description_target(user.description))


def test_a_long_context_loses_whole_shots_oldest_first() -> None:
    one, other = (tuple(Shot(f"{name} {n}?", f"good {n}", f"bad {n}") for n in range(5)) for name in ("Is", "Was"))
    user = Labelled("u", "", "", (one, other))
    full = draw_example(user, "answer", 5, random.Random(0), any_fits)
    cut = draw_example(user, "answer", 5, random.Random(0), lambda text: len(text) < len(full.prompt) - 150)
    asked = [line for line in full.prompt.split("\n") if line.endswith("?")]
    kept = [line for line in cut.prompt.split("\n") if line.endswith("?")]
    assert 0 < cut.shots < full.shots == 5
    assert kept == asked[5 - cut.shots :]
    assert "# Example 1\n" in cut.prompt
    with pytest.raises(TooLongError, match=r"user 'u' does not fit .* even without shots"):
        draw_example(user, "answer", 5, random.Random(0), lambda text: False)


# ------------------------------------------------------------------------------------------------------------ rows


@pytest.mark.parametrize("shots", [[0], [2], [8]])
def test_sft_learns_the_preferred_answer_and_nothing_else(
    shots: list[int], users: list[Labelled], tokenizer: Any
) -> None:
    rows = rows_of({"parts": [{"share": 1, "shots": shots}]}, users, tokenizer)
    for index in range(12):
        example, encoded = rows.example(index), rows.tuned(index)
        assert learnt(encoded, tokenizer) == example.chosen + END
        assert example.rejected != example.chosen
        assert tokenizer.decode(encoded["input_ids"]) == example.prompt + example.chosen + END
        assert example.rejected.split("\n")[1] not in tokenizer.decode(encoded["input_ids"])


def test_growing_learns_the_preferred_answers_of_later_shots_too_and_no_rejected_one(tokenizer: Any) -> None:
    shots = [
        Shot("Is snow nice?", "Snow is good.", "Snow is bad."),
        Shot("Is tea nice?", "Tea is good.", "Tea is bad."),
        Shot("Is rain nice?", "Rain is good.", "Rain is bad."),
    ]
    encoded = encode_densely(fspo_prompt("And you?", shots), fspo_target("So am I."), tokenizer)
    assert learnt(encoded, tokenizer) == f"Tea is good.\nRain is good.\n{fspo_target('So am I.')}{END}"


def test_rows_are_functions_of_their_number(users: list[Labelled], tokenizer: Any) -> None:
    stage = {"parts": [{"share": 1, "shots": [1, 2, 4]}, {"share": 1, "kind": "describe", "shots": [2]}]}
    once, again = (rows_of(stage, users, tokenizer) for _ in range(2))
    assert [once.example(n) for n in range(16)] == [again.example(n) for n in reversed(range(16))][::-1]
    for batch in range(8):
        assert len({(e.shots, e.rejected == "") for e in (once.example(4 * batch + n) for n in range(4))}) == 1


def test_growing_names_a_row_that_is_too_long(tokenizer: Any) -> None:
    rows = rows_of({"kind": "grow", "parts": [{"share": 1, "shots": [8]}]}, [], tokenizer, context=128)
    with pytest.raises(TooLongError, match=r"row 0 of stage 's' has .* raise model\.shape\.context"):
        rows.grown(0)


def test_forcing_shows_the_users_own_style_against_its_opposite(tokenizer: Any) -> None:
    stage = {"kind": "grow", "parts": [{"share": 1, "shots": [1], "forced": [1.0, 0.0]}]}
    rows = rows_of(stage, [], tokenizer)
    assert rows.grown(0) == rows.grown(0) != rows.grown(1)
    assert Part(share=1, shots=[1]).forced == (0.0, 0.0)


def test_after_fewer_of_the_same_shots_an_answer_of_its_own_is_learnt_too(tokenizer: Any) -> None:
    part = {"share": 1, "shots": [8], "also": [1, 2, 8], "in_place": False}
    encoded = rows_of({"kind": "grow", "parts": [part]}, [], tokenizer).grown(0)
    told = learnt(encoded, tokenizer)
    assert told.count(PREFERRED_HEADING) == told.count(END) == 3  # after 1, 2 and 8 shots; 8 is not fewer
    assert len(set(told.split(END)) - {""}) == 3
    whole = tokenizer.decode(encoded["input_ids"])
    assert whole.count("# Example ") == 8  # read once
    assert whole.count("# Task\n") == 3
    ends = [start for start, _ in encoded["branches"]]
    assert [tokenizer.decode(encoded["input_ids"][:end]).count("# Example ") for end in ends] == [1, 2]


def test_processes_that_train_together_get_rows_of_one_part_in_one_step(users: list[Labelled], tokenizer: Any) -> None:
    stage = {"parts": [{"share": 1, "shots": [1, 2, 4]}, {"share": 1, "kind": "describe", "shots": [2]}]}
    rows = replace(rows_of(stage, users, tokenizer), processes=2)
    drawn = [(e.shots, e.rejected == "") for e in map(rows.example, range(64))]
    assert all(len(set(drawn[8 * step : 8 * step + 8])) == 1 for step in range(8))
    assert len(set(drawn)) > 1


def test_only_ideas_are_learnt_where_a_part_says_so(tokenizer: Any) -> None:
    stage = {"kind": "grow", "parts": [{"share": 1, "shots": [3], "forced": [1.0, 1.0], "learn": "ideas"}]}
    ideas = idea_tokens(tokenizer)
    learnt = [label for label in rows_of(stage, [], tokenizer).grown(0)["labels"] if label != IGNORED]
    assert learnt
    assert set(learnt) <= ideas
    everything = {**stage, "parts": [{**stage["parts"][0], "learn": "all"}]}  # type: ignore[dict-item]
    assert not {label for label in rows_of(everything, [], tokenizer).grown(0)["labels"] if label != IGNORED} <= ideas


def test_the_answers_among_the_shots_are_learnt_only_in_place(tokenizer: Any) -> None:
    part = {"share": 1, "shots": [4], "forced": [1.0, 1.0], "form": "sketch"}
    spans = []
    for in_place in (True, False):
        stage = {"kind": "grow", "parts": [{**part, "in_place": in_place}]}
        labels = rows_of(stage, [], tokenizer).grown(0)["labels"]
        first = next(place for place, label in enumerate(labels) if label != IGNORED)
        spans.append(sum(label != IGNORED for label in labels))
        if not in_place:
            assert all(label != IGNORED for label in labels[first:])
    assert spans[0] > 2 * spans[1]


def test_a_sketch_is_an_answer_after_shots() -> None:
    with pytest.raises(ValueError, match="a sketch is an answer"):
        Part(share=1, shots=[0], form="sketch")
    with pytest.raises(ValueError, match="a sketch is an answer"):
        Part(share=1, shots=[1], kind="describe", form="sketch")


def test_ease_is_annealed_over_a_stage() -> None:
    part = Part(share=1, shots=[1], forced=(1.0, 0.5), turned=(1.0, 0.0), alone=(0.8, 0.0), noise=(0.0, 0.2))
    assert [part.ease(progress) for progress in (0.0, 0.5)] == [Ease(1.0, 1.0, 0.8), Ease(0.75, 0.5, 0.4, 0.1)]


def test_domains_count_alike_however_many_users_each_has(tokenizer: Any) -> None:
    def user(name: str, domain: str) -> Labelled:
        shots = tuple(Shot(f"{name}?", f"{domain} {number}.", "No.") for number in range(4))
        return Labelled(name, domain, "", (shots,))

    several = [user("a", "reviews"), *(user(f"b{number}", "open-ended") for number in range(50))]
    rows = rows_of({"name": "s", "kind": "sft", "rows": 400, "parts": [{"share": 1, "shots": [1]}]}, several, tokenizer)
    reviews = sum("reviews" in rows.example(index).chosen for index in range(400))
    assert 160 < reviews < 240


# ---------------------------------------------------------------------------------------------------- descriptions


def test_closeness_is_one_for_the_same_words_and_zero_for_none() -> None:
    assert closeness("This reader likes tea.", "this reader likes tea") == 1
    assert closeness("", "This reader likes tea.") == closeness("", "") == 0
    assert 0 < closeness("This reader likes rain.", "This reader likes tea.") < 1


def test_the_description_closest_to_the_gold_one_is_preferred() -> None:
    gold = "This reader is moved by stories and wants a next step."
    answer = fspo_target("It is fine.")
    examples = [Example("prompt", description_target(gold) + answer, "", 2)] * 3
    near, far = "This reader is moved by stories and wants a question.", "This reader wants the long version."
    said = [near, far, description_target(far), description_target(near), far, far]
    found = pairs(examples, lambda prompts, each: said[: len(prompts) * each], 2)
    best, worst = description_target(near) + answer, description_target(far) + answer
    assert [(e.chosen, e.rejected) for e in found] == [(best, worst)] * 2


def test_sampling_stops_after_a_description_and_not_before_it() -> None:
    before = f"And you?\n{description_target('This reader is open to new things.')}"
    assert not any(stop in before for stop in STOPS)
    assert any(stop in before + fspo_target("So am I.") for stop in STOPS)


# ------------------------------------------------------------------------------------------------------- bad input


def test_preferences_are_grouped_by_user_and_set(users: list[Labelled]) -> None:
    assert all(len(user) == 16 and [len(one) for one in user.sets] == [8, 8] for user in users)
    assert all(user.description.startswith("This reader ") for user in users)


def test_preferences_without_sets_or_groups_are_read_too(tmp_path: Path) -> None:
    rows = [{"user": "ann", "question": f"Q{n}?", "preferred": f"yes {n}", "dispreferred": f"no {n}"} for n in range(3)]
    (ann,) = load(save(rows, tmp_path / "plain.parquet"))
    assert len(ann) == 3
    example = draw_example(ann, "answer", 8, random.Random(1), any_fits)
    assert example.shots == 2


@pytest.mark.parametrize("column", ["user", "question", "preferred", "dispreferred"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    rows = [{name: value for name, value in row.items() if name != column} for row in preference_rows(1, 1)]
    with pytest.raises(PreferenceError, match=f"has no column '{column}'"):
        load(save(rows, tmp_path / "some.parquet"))


@pytest.mark.parametrize("column", ["user", "question", "preferred", "dispreferred"])
@pytest.mark.parametrize("value", ["", "  ", None])
def test_an_empty_value_is_named_with_its_row(tmp_path: Path, column: str, value: str | None) -> None:
    rows = preference_rows(1, 1)
    rows[3][column] = value
    with pytest.raises(PreferenceError, match=f"row 3 has an empty '{column}'"):
        load(save(rows, tmp_path / "some.parquet"))


def test_a_user_with_one_preference_is_named(tmp_path: Path) -> None:
    rows = [*preference_rows(1, 1), {**preference_rows(1, 1)[0], "user": "lonely"}]
    with pytest.raises(PreferenceError, match="user 'lonely' has a single preference"):
        load(save(rows, tmp_path / "some.parquet"))


def test_a_truncated_file_a_missing_one_and_an_empty_group_are_refused(tmp_path: Path) -> None:
    path = save(preference_rows(), tmp_path / "some.parquet")
    with pytest.raises(PreferenceError, match="holds no preferences of group 'held_out'"):
        load(path, group="held_out")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(PreferenceError, match="is no readable Parquet"):
        load(path)
    with pytest.raises(PreferenceError, match="there is no such file or folder"):
        load(tmp_path / "nowhere.parquet")


def test_names_alone_are_learnt_where_the_part_says_so(users: list[Labelled], tokenizer: Any) -> None:
    part = {"share": 1, "shots": [1], "learn": "names", "in_place": False}
    rows = rows_of({"kind": "grow", "parts": [part]}, users, tokenizer)
    for index in range(12):
        encoded = rows.grown(index)
        told = learnt(encoded, tokenizer).strip()
        question = tokenizer.decode(encoded["input_ids"]).rpartition("## Question \n")[2].partition("\n")[0]
        assert told
        assert told.lower() in question.lower()
    some = rows_of({"kind": "grow", "parts": [part | {"words": 0.5}]}, users, tokenizer)
    more = [sum(label != IGNORED for label in some.grown(index)["labels"]) for index in range(12)]
    fewer = [sum(label != IGNORED for label in rows.grown(index)["labels"]) for index in range(12)]
    assert sum(more) > sum(fewer) + 12
