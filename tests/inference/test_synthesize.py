"""Preferences of the world: exact, apart where they must be, the same bytes after any kill, plain about problems."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pydantic import BaseModel

from inference.prompts import fspo_prompt, fspo_target
from inference.training.synthesis.config import Config, HeldOut, Part, WorldSource, load_config
from inference.training.synthesis.errors import SynthesisError
from inference.training.synthesis.records import SCHEMA, Preference, Questionnaire
from inference.training.synthesis.store import Store
from inference.training.synthesis.world_source import World, ask, draw_rows, users_of
from inference.training.synthesize import main
from inference.world import DOMAINS, describe, names_subject, reads
from inference.world.judge import outcome, sentences_of
from inference.world.subjects import subject_of

BASE = Path(__file__).parents[2]
SMALL = """
seed = 5
shots = 3
shard_rows = 80
source.kind = "world"
measure = {users = 0, prompts = 2}
[[source.parts]]
users = "reviews"
train = 160
held_out = 80
[[source.parts]]
users = "explanations"
train = 80
[[source.parts]]
users = "explanations-by-field"
train = 80
held_out = 80
[[source.parts]]
users = "open-ended"
train = 80
held_out = 240
"""
COLUMNS = [
    *("user", "group", "domain", "topic", "question", "split", "preferred", "dispreferred", "description"),
    *("shot_set", "contrast", "decided"),
]
EVEN = HeldOut(train=1, questions=1, subjects=1)
SOURCE = WorldSource(kind="world", parts=[Part(users="reviews")])


def written(folder: Path, kind: str = "preferences") -> list[dict[str, Any]]:
    """All rows, shard after shard."""
    return [row for path in sorted((folder / kind).glob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def contents(folder: Path) -> dict[str, bytes]:
    """What decides a run's result, byte for byte."""
    paths = [*folder.glob("*/*.parquet"), folder / "manifest.json", folder / "measures.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(SMALL)
    return path


@pytest.fixture(scope="module")
def made(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a whole run; not to be changed."""
    folder = tmp_path_factory.mktemp("made")
    assert main([str(config), str(folder)]) == 0
    return folder


# --- rows -------------------------------------------------------------------------------------------------------------
def test_the_columns_are_the_documented_ones_in_their_order(made: Path) -> None:
    (path, *_) = sorted((made / "preferences").glob("*.parquet"))
    schema = pq.read_schema(path)
    assert schema.names == SCHEMA.names == list(Preference._fields) == COLUMNS
    assert {str(schema.field(name).type) for name in COLUMNS} == {"string", "int32", "bool"}
    documented = re.findall(r"^\| `(\w+)` \|", (BASE / "docs" / "synthesis.md").read_text(), re.MULTILINE)
    assert documented == COLUMNS


def test_there_are_as_many_rows_as_asked_for_in_whole_questionnaires(made: Path) -> None:
    rows = written(made)
    assert len(rows) == 800
    for start in range(0, len(rows), 8):
        each = rows[start : start + 8]
        assert len({(row["user"], row["group"], row["shot_set"]) for row in each}) == 1
        assert len({subject_of(row["question"]) for row in each}) == 8
    sets = Counter((row["group"], row["user"], row["shot_set"]) for row in rows)
    assert set(sets.values()) == {8}


def test_the_exact_judge_agrees_with_every_label_that_was_decided(made: Path) -> None:
    people = {user.code: user for kind in (*DOMAINS, "explanations-by-field") for group in ("train", "held_out")
              for user in users_of(kind, group)}  # fmt: skip
    undecided = 0
    for row in written(made):
        user = people[row["user"]]
        won = outcome(row["preferred"], row["dispreferred"], user, subject_of(row["question"]))
        assert won == (1 if row["decided"] else 0.5), row
        assert row["description"] == describe(user)
        assert reads(row["preferred"])
        assert names_subject(row["preferred"], row["question"])
        undecided += not row["decided"]
    assert 0 < undecided < 160
    assert json.loads((made / "summary.json").read_text())["counts"]["undecided"] == undecided


def test_users_of_training_are_asked_nothing_that_is_held_out_and_others_everything(made: Path) -> None:
    splits: dict[str, set[str]] = {"train": set(), "held_out": set()}
    topics: dict[str, set[str]] = {"train": set(), "questions": set(), "subjects": set()}
    for row in written(made):
        splits[row["group"]].add(row["split"])
        topics[row["split"]].add(row["topic"])
    assert splits == {"train": {"train"}, "held_out": {"train", "questions", "subjects"}}
    assert not topics["subjects"] & (topics["train"] | topics["questions"])
    groups = {(row["domain"], row["user"]): row["group"] for row in written(made)}
    shared = {
        (row["domain"], row["user"]) for row in written(made) if groups[row["domain"], row["user"]] != row["group"]
    }
    assert shared == set()


@pytest.mark.parametrize(
    "weights", [HeldOut(train=0, questions=0, subjects=1), HeldOut(train=1, questions=3, subjects=0)]
)
def test_held_out_questions_come_in_the_wanted_proportion(weights: HeldOut) -> None:
    user = users_of("open-ended", "held_out")[0]
    drawn = Counter(q.split for number in range(200) for q in ask(1, user, "held_out", number, weights))
    wanted = {"train": weights.train, "questions": weights.questions, "subjects": weights.subjects}
    for split, weight in wanted.items():
        assert drawn[split] / drawn.total() == pytest.approx(weight / sum(wanted.values()), abs=0.04)  # type: ignore[index]


def test_a_row_depends_on_seed_user_and_number_alone(made: Path) -> None:
    rows = written(made)
    for row in (rows[0], rows[400], rows[-1]):
        kind = "explanations-by-field" if row["user"].startswith("levels-") else row["domain"]
        (user,) = [user for user in users_of(kind, row["group"]) if user.code == row["user"]]
        again = draw_rows(5, user, row["group"], row["shot_set"], SOURCE)
        assert row in [each._asdict() for each in again]
        assert again != draw_rows(6, user, row["group"], row["shot_set"], SOURCE)


def test_questionnaires_alike_differ_in_what_the_answers_say_alone() -> None:
    user = users_of("open-ended", "train")[0]
    alike = SOURCE.model_copy(update={"alike": 1.0})
    for number in range(20):
        plain, same = (draw_rows(1, user, "train", number, source) for source in (SOURCE, alike))
        assert [row.contrast for row in plain] == [row.contrast for row in same]
        for row in same:
            pairs = zip(sentences_of(row.preferred), sentences_of(row.dispreferred), strict=True)
            assert sum(one != other for one, other in pairs) == len(row.contrast.split("+"))
    half = SOURCE.model_copy(update={"alike": 0.5})
    drawn = [draw_rows(1, user, "train", number, half) for number in range(200)]
    found = [made == draw_rows(1, user, "train", number, alike) for number, made in enumerate(drawn)]
    assert 70 < sum(found) < 130


def test_the_trl_view_is_the_serving_prompt_with_shots_of_the_neighbouring_questionnaire(made: Path) -> None:
    rows, view = written(made), written(made, "trl")
    assert len(view) == len(rows)
    for row, seen in list(zip(rows, view, strict=True))[::37]:
        kind = "explanations-by-field" if row["user"].startswith("levels-") else row["domain"]
        (user,) = [user for user in users_of(kind, row["group"]) if user.code == row["user"]]
        shots = [each.shot for each in draw_rows(5, user, row["group"], row["shot_set"] ^ 1, SOURCE)[:3]]
        assert seen == {
            "prompt": fspo_prompt(row["question"], shots),
            "chosen": fspo_target(row["preferred"]),
            "rejected": fspo_target(row["dispreferred"]),
        }
        assert subject_of(row["question"]) not in [subject_of(shot.question) for shot in shots]


# --- going on ---------------------------------------------------------------------------------------------------------
def test_a_run_that_was_cut_short_goes_on_to_the_same_bytes(config: Path, made: Path, tmp_path: Path) -> None:
    world = World(load_config(config), load_config(config).source)  # type: ignore[arg-type]
    kept, lost, half = list(world.shards)[:3]
    assert main([str(config), str(tmp_path)]) == 0
    whole = contents(tmp_path)
    assert whole == contents(made)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["shards"] = {kept: manifest["shards"][kept], lost: manifest["shards"][lost]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    (tmp_path / "trl" / f"{lost}.parquet").unlink()
    (tmp_path / "preferences" / f"{half}.part").write_bytes(b"torn")
    before = (tmp_path / "preferences" / f"{kept}.parquet").stat().st_mtime_ns
    assert main([str(config), str(tmp_path)]) == 0
    assert contents(tmp_path) == whole
    assert (tmp_path / "preferences" / f"{kept}.parquet").stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*/*.part"))


def test_a_finished_run_writes_nothing_again(config: Path, made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(made)
    assert main([str(config), str(made)]) == 0
    assert "none by this run" in capsys.readouterr().out
    assert contents(made) == before


def test_limits_and_measures_may_change_and_nothing_else(config: Path) -> None:
    own = load_config(config)
    assert own.digest == own.model_copy(update={"measure": own.measure.model_copy(update={"users": 9})}).digest
    assert own.digest != own.model_copy(update={"seed": 6}).digest


def test_memory_holds_one_row_group_at_a_time(tmp_path: Path) -> None:
    user = users_of("reviews", "train")[0]
    rows = draw_rows(1, user, "train", 0, SOURCE)
    alive, most = Counter[str](), 0

    def endless() -> Any:
        nonlocal most
        for number in range(2000):
            alive["made"] = number
            yield Questionnaire(rows)

    with Store(tmp_path, "d", "c").opened(["one"]) as store:
        done = store.write("one", endless(), {})
    assert done.rows == 16_000
    metadata = pq.ParquetFile(tmp_path / "preferences" / "one.parquet").metadata
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [4096] * 3 + [3712]


# --- what is wrong ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("seed = 5", "sede = 5"), r"sede: there is no such key: use one of limits, measure, seed"),
        (("seed = 5", ""), "seed: is missing: add it"),
        (("train = 160", "train = 161"), r"source\.parts\.0: train = 161 rows are no whole questionnaires: use 168"),
        (("train = 160", "trian = 160"), r"source\.parts\.0\.trian: there is no such key: use one of held_out, train"),
        (('"reviews"', '"films"'), "users 'films' is unknown: use one of reviews, explanations, open-ended"),
        (('"explanations"', '"reviews"'), "named in two parts: join the parts"),
        (('"world"', '"moon"'), 'source.kind: use "world" or "engine"'),
        (("shots = 3", "shots = 9"), "shots: input should be less than or equal to 8|shots: Input should be less"),
        (("seed = 5", "seed = = 5"), "is not TOML"),
    ],
)
def test_a_wrong_configuration_names_file_key_and_remedy(
    change: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(SMALL.replace(*change, 1))
    assert main([str(path), str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"{path}: ")
    assert re.search(told, error), error
    assert not (tmp_path / "out").exists()


def test_a_missing_configuration_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.toml"), str(tmp_path / "out")]) == 1
    assert "none.toml: cannot be read (No such file or directory): give the path" in capsys.readouterr().err


def test_wrong_usage_is_status_2() -> None:
    with pytest.raises(SystemExit) as stop:
        main(["only-one"])
    assert stop.value.code == 2


def test_the_folder_of_another_configuration_is_refused(
    config: Path, made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.toml"
    other.write_text(SMALL.replace("seed = 5", "seed = 6"))
    before = contents(made)
    assert main([str(other), str(made)]) == 1
    assert re.search(r"manifest\.json: this folder was begun with another configuration .*give an empty folder",
                     capsys.readouterr().err)  # fmt: skip
    assert contents(made) == before


def test_a_truncated_shard_is_noticed_before_any_work_and_made_anew_once_deleted(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(config), str(tmp_path)]) == 0
    whole = contents(tmp_path)
    shard = sorted((tmp_path / "preferences").glob("*.parquet"))[2]
    shard.write_bytes(shard.read_bytes()[:-100])
    assert main([str(config), str(tmp_path)]) == 1
    assert f"{shard}: is truncated or changed" in capsys.readouterr().err
    shard.unlink()
    assert main([str(config), str(tmp_path)]) == 0
    assert contents(tmp_path) == whole


def test_a_manifest_that_is_none_is_said(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.json").write_text("[1]")
    assert main([str(config), str(tmp_path)]) == 1
    assert "manifest.json: is no manifest" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_said(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(config), str(tmp_path / "file" / "out")]) == 1
    assert "cannot be written (Not a directory): give a folder" in capsys.readouterr().err


def test_a_full_disk_at_the_end_is_said_too(config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "summary.json").mkdir()
    assert main([str(config), str(tmp_path)]) == 1
    assert f"{tmp_path}: cannot be written (Is a directory): make room" in capsys.readouterr().err


def test_two_runs_do_not_share_a_folder(tmp_path: Path) -> None:
    with (
        Store(tmp_path, "d", "c").opened([]),
        pytest.raises(SynthesisError, match="another run writes here"),
        Store(tmp_path, "d", "c").opened([]),
    ):
        pass


def test_the_shipped_configuration_makes_a_million_rows() -> None:
    config = load_config(BASE / "inference" / "training" / "synthesize-world.toml")
    assert World(config, config.source).rows == 1_000_000  # type: ignore[arg-type]


def test_no_table_of_the_configuration_takes_unknown_keys() -> None:
    assert Config.model_config["extra"] == "forbid"
    kinds: Sequence[type[BaseModel]] = Config.__mro__[1].__subclasses__()
    assert len(kinds) >= 10
    assert all(kind.model_config["extra"] == "forbid" for kind in kinds)


# --- real processes ---------------------------------------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_killed_in_mid_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(SMALL.replace("held_out = 240", "held_out = 8000"))
    command = [sys.executable, "-m", "inference.training.synthesize", str(path)]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    shards = 0
    for want in (2, 30, 60):
        process = subprocess.Popen(
            [*command, str(killed)], cwd=BASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and len(list(killed.glob("preferences/*.parquet"))) < want:
            time.sleep(0.005)
        assert process.poll() is None, "it was done before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        found = len(list(killed.glob("preferences/*.parquet")))
        assert found >= max(want, shards)
        shards = found
    for folder in (killed, whole):
        done = subprocess.run([*command, str(folder)], cwd=BASE, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    assert contents(killed) == contents(whole)
