"""The evaluation from configuration to report, on an engine that plays every checkpoint from what the world knows."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest

from inference import prompts
from inference.contracts import GenerationRequest, ModelSpec
from inference.training import evaluate as program
from inference.training.evaluate import main
from inference.training.evaluation import arms, people
from inference.training.evaluation.config import load_config
from inference.training.evaluation.errors import EvaluationError
from inference.world import DOMAINS, describe, subject_of
from inference.world.users import FieldUser

from .evaluate_cast import Engines, checkpoints, configuration

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread, and no figures: drawing them takes longer than everything else; `folder` has them."""
    monkeypatch.setenv("PALATE_TORCH_THREADS", "1")
    monkeypatch.setattr(program, "draw_figures", lambda *_: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished evaluation of all arms, in `out`."""
    place = tmp_path_factory.mktemp("evaluation")
    checkpoints(place / "model")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PALATE_TORCH_THREADS", "1")
        assert main([str(configuration(place)), str(place / "out")], load=Engines()) == 0
    return place


def rows(folder: Path, part: str = "held-out") -> list[dict[str, str]]:
    text = (folder / "out" / "judgments" / f"{part}.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def bars(folder: Path) -> dict[str, dict[str, object]]:
    return {bar["bar"]: bar for bar in json.loads((folder / "out" / "bars.json").read_text())}


# ---- what comes out


def test_every_arm_is_judged_once_a_person_and_named_with_its_shots(folder: Path) -> None:
    counts = dict.fromkeys({row["treatment"] for row in rows(folder)}, 0)
    for row in rows(folder):
        counts[row["treatment"]] += 1
    everybody = 24 + 20 + 40
    whole = ("fspo@8", "fspo+rat@8", "prompted@8", "pref-ft@8", "population@0", "oracle@0", "donor@8", "flipped@8")
    ideal = ("ideal@0", "ideal@8", "ideal@known")
    curve = [f"{name}@{count}" for name in ("fspo", "ideal") for count in (1, 2, 4)] + ["fspo@0"]
    assert counts == dict.fromkeys((*whole, *ideal), everybody) | dict.fromkeys(curve, 3 * 16)


def test_the_csv_has_the_documented_columns_and_numbers_the_rows_of_a_user(folder: Path) -> None:
    found = rows(folder)
    assert list(found[0]) == [
        *("participant", "question", "baseline", "outcome", "treatment", "domain", "position"),
        *("treatment_words", "baseline_words"),
    ]
    assert {row["outcome"] for row in found} <= {"win", "tie", "loss"}
    assert {row["baseline"] for row in found} == {"base"}
    positions: dict[str, list[int]] = {}
    for row in found:
        positions.setdefault(row["participant"], []).append(int(row["position"]))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in positions.values())
    assert all(int(row["treatment_words"]) > 0 and int(row["baseline_words"]) > 0 for row in found)


def test_whoever_infers_taste_wins_and_the_controls_show_that_it_is_taste(folder: Path) -> None:
    found = bars(folder)
    assert found["FSPO, mean of the three domains"]["passed"] is True
    assert found["FSPO less few-shot prompting"]["measured"] > 15  # type: ignore[operator]
    assert found["own shots less a donor's shots"]["measured"] > 25  # type: ignore[operator]
    assert found["all labels flipped"]["measured"] < 40  # type: ignore[operator]
    assert found["answers the exact judge can read, lowest arm"]["measured"] == 100.0


def test_a_bar_without_enough_judgments_or_without_its_arm_is_not_decided(folder: Path) -> None:
    found = bars(folder)
    assert found["own shots less a donor's shots"]["passed"] is None
    assert "3,000 judgments" in str(found["own shots less a donor's shots"]["note"])
    assert found["demo study with planted tastes"]["measured"] is None
    assert all(bar["n"] for bar in found.values() if bar["measured"] is not None)


def test_the_report_prints_no_win_rate_without_interval_and_n(folder: Path) -> None:
    report = (folder / "out" / "report.md").read_text(encoding="utf-8")
    lines = [line.split(" | ") for line in report.splitlines() if line.startswith("| `") and "@" in line]
    assert len(lines) > 30
    for line in lines:
        assert re.fullmatch(r"\d+\.\d|judged against", line[2]), line
        assert " to " in line[3] or line[2] == "judged against"
        assert int(line[4].replace(",", "")) > 0
    assert "| 82.6 |" in report  # the paper's
    assert "tokens read each" in report


def test_the_figures_are_there_in_both_formats(folder: Path) -> None:
    names = {path.name for path in (folder / "out" / "figures").iterdir()}
    assert names == {f"{name}.{end}" for name in ("by_arm", "by_domain", "by_shots") for end in ("svg", "png")}
    assert "few-shot prompting" in (folder / "out" / "figures" / "by_arm.svg").read_text()


# ---- going on


def test_a_second_run_makes_nothing_and_writes_the_same(folder: Path) -> None:
    before = {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    again = Engines()
    assert main([str(folder / "evaluate.toml"), str(folder / "out")], load=again) == 0
    assert again.calls == 0
    assert {path: path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()} == before


def test_a_run_that_was_stopped_goes_on_where_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tiny(tmp_path)
    first, second = Engines(fail_after=20), Engines()
    assert main([str(config), str(tmp_path / "out")], load=first) == 1
    said = capsys.readouterr().err
    assert "the power went" in said
    assert "run the same command again" in said
    files = list((tmp_path / "out" / "texts").rglob("*.jsonl"))
    made = sum(len(path.read_text().splitlines()) for path in files)
    assert made > 0
    files[0].write_text(files[0].read_text() + '{"key": "half a li')  # a kill in the middle of a write
    assert main([str(config), str(tmp_path / "out")], load=second) == 0
    everything = Engines()
    assert main([str(config), str(tmp_path / "other")], load=everything) == 0
    assert second.calls == everything.calls - made
    assert (tmp_path / "out" / "bars.json").read_bytes() == (tmp_path / "other" / "bars.json").read_bytes()


def test_texts_of_another_seed_are_not_taken_for_this_one(tmp_path: Path) -> None:
    config = tiny(tmp_path)
    one, other = Engines(), Engines()
    assert main([str(config), str(tmp_path / "out")], load=one) == 0
    config.write_text(config.read_text().replace("seed = 5", "seed = 6"))
    assert main([str(config), str(tmp_path / "out")], load=other) == 0
    assert other.calls == one.calls


def test_a_broken_file_of_texts_is_named_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(tmp_path)
    path = tmp_path / "out" / "texts" / "held-out-1" / "base@0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"key": "a", "text": "b"}\n')  # columns are missing
    engines = Engines()
    assert main([str(config), str(tmp_path / "out")], load=engines) == 1
    assert "base@0.jsonl line 1: is no kept text" in capsys.readouterr().err
    assert engines.calls == 0


# ---- prompts


def test_the_prompt_of_an_evaluation_is_the_prompt_that_serving_builds(tmp_path: Path) -> None:
    config = load_config(tiny(tmp_path))
    person = people.draw_people(people.PARTS[people.MAIN], config, 1)[0]
    engines = Engines()
    assert main([str(tmp_path / "evaluate.toml"), str(tmp_path / "out")], load=engines) == 0
    asked = {text for engine in engines.loaded for text in engine.prompts}
    served = GenerationRequest(ModelSpec("transformers", "x"), "fspo", person.asked.text, shots=person.shots)
    assert prompts.build(GenerationRequest.from_json(served.to_json())).text in asked
    assert prompts.fspo_prompt(person.asked.text, person.shots) in asked
    assert prompts.fspo_prompt(person.asked.text, person.shots, rationale=True) in asked
    assert prompts.fspo_prompt(person.asked.text, ()) in asked
    assert prompts.fspo_prompt(person.asked.text, (), description=describe(person.user)) in asked
    assert prompts.fspo_prompt(person.asked.text, arms.flipped(person.shots)) in asked


def test_rat_describes_first_and_answers_with_shots_and_description(folder: Path) -> None:
    texts = (folder / "out" / "texts" / "held-out-1" / "fspo+rat@8-descriptions.jsonl").read_text().splitlines()
    assert len(texts) == 84
    assert all("This reader" in json.loads(line)["text"] for line in texts)


# ---- people


def test_nothing_of_a_held_out_person_was_in_training(tmp_path: Path) -> None:
    config = load_config(tiny(tmp_path))
    for name in (people.MAIN, people.FIELDS):
        for person in people.draw_people(people.PARTS[name], config, 2):
            about = [subject_of(shot.question) for shot in (*person.shots, *person.donor)]
            assert all(subject is not None and subject.held_out for subject in (*about, person.asked.subject))
            assert person.asked.subject not in about


def test_the_same_people_are_asked_about_what_training_has_seen(tmp_path: Path) -> None:
    config = load_config(tiny(tmp_path))
    parts = [people.draw_people(people.PARTS[name], config, 1) for name in (people.MAIN, people.KEPT, people.SEEN)]
    for person in (*parts[1], *parts[2]):
        twin = next(each for each in parts[0] if each.place == person.place)
        assert (twin.user, twin.shots, twin.donor) == (person.user, person.shots, person.donor)
        assert not person.asked.subject.held_out
    assert {person.asked.split for person in parts[2]} == {"train"}


def test_a_person_is_a_function_of_seed_and_number(tmp_path: Path) -> None:
    part = people.PARTS[people.MAIN]
    one = [people.draw_person(part, domain, 7, 1, seed=3, shots=4) for domain in DOMAINS]
    assert one == [people.draw_person(part, domain, 7, 1, seed=3, shots=4) for domain in DOMAINS]
    assert one != [people.draw_person(part, domain, 7, 1, seed=4, shots=4) for domain in DOMAINS]
    assert one != [people.draw_person(part, domain, 7, 2, seed=3, shots=4) for domain in DOMAINS]


def test_every_held_out_persona_answers_before_one_does_again() -> None:
    drawn = {
        people.draw_person(people.PARTS[people.MAIN], "open-ended", n, 1, seed=1, shots=1).user for n in range(1500)
    }
    assert len(drawn) == 1500
    by_field = people.draw_person(people.PARTS[people.FIELDS], "explanations", 0, 1, seed=1, shots=2)
    assert isinstance(by_field.user, FieldUser)


def test_full_asks_everybody_again_with_other_shots(tmp_path: Path) -> None:
    config = tiny(tmp_path, "[full]\nshot_sets = 2")
    assert main([str(config), str(tmp_path / "out"), "--full"], load=Engines()) == 0
    first, second = ((tmp_path / "out" / "texts" / f"held-out-{n}" / "fspo@8.jsonl").read_text() for n in (1, 2))
    assert len(first.splitlines()) == len(second.splitlines())
    found = [row for row in rows(tmp_path) if row["treatment"] == "fspo@8"]
    assert len(found) == 2 * len(first.splitlines())


# ---- what cannot be


def tiny(folder: Path, text: str = "") -> Path:
    if not (folder / "model").exists():
        checkpoints(folder / "model")
    path = configuration(folder, text)
    least = re.sub(
        r"^(reviews|explanations|open-ended|curve|splits|trained|fields) = \d+", r"\1 = 2", path.read_text(), flags=re.M
    )
    path.write_text(least)
    return path


def test_an_arm_without_a_checkpoint_is_left_out_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints(tmp_path / "model", "fspo", "plain")
    assert main([str(tiny(tmp_path)), str(tmp_path / "out")], load=Engines()) == 0
    said = capsys.readouterr().out
    assert re.search(r"^pref-ft \(.*\) is left out: .*make model", said, re.MULTILINE)
    assert re.search(r"^population \(.*\) is left out: ", said, re.MULTILINE)
    assert "prompted@8" in said
    assert "pref-ft@8" not in said
    assert main([str(tiny(tmp_path)), str(tmp_path / "out"), "--strict"], load=Engines()) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('arms = ["fspo", "fpso"]', "arms: unknown arm 'fpso': use prompted, "),
        ("arms = []", "arms: name at least one arm"),
        ("sead = 1", "sead: extra inputs are not permitted: remove it"),
        ("[people]\nreviews = 0", "people.reviews: .*greater than or equal to 1: it is 0"),
        ('[people]\nreviews = "many"', "people.reviews: .*valid integer"),
        ("[shots]\nnumber = 40", "shots.number: .*less than or equal to 16: it is 40"),
        ("[shots]\nnumber = 4", "shots: curve goes to 8 but number is 4: raise number or cut curve"),
        ("[shots]\ncurve = [2, 1]", "shots.curve: expected different numbers"),
        ("[language_judge]\nengine = 'scripted'", "language_judge.source: field required: add it"),
        ("[language_judge]\nengine='scripted'\nsource='x'\narms=['all']", "language_judge.arms: unknown arm 'all'"),
        ("arms = ['donor']\n[language_judge]\nengine='scripted'\nsource='x'", "names 'fspo', which arms does not"),
        (
            "[checkpoints]\nfolder = 'nowhere/at/all'",
            "checkpoints.folder: there is no folder nowhere/at/all: run",
        ),
        ("[checkpoints]\nfspo = 'nowhere'", "checkpoints.fspo: .*there is no such folder"),
        ("seed = ", "is not TOML"),
    ],
)
def test_a_wrong_configuration_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    engines = Engines()
    assert main([str(path), str(tmp_path / "out")], load=engines) == 1
    said = capsys.readouterr().err
    assert re.search(says, said), said
    assert "Traceback" not in said
    assert not engines.loaded


def test_an_arm_that_is_asked_for_by_name_must_have_its_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "named.toml"
    checkpoints(tmp_path / "model", "fspo")
    path.write_text(f'arms = ["fspo", "prompted"]\n[checkpoints]\nfolder = "{tmp_path / "model"}"')
    assert main([str(path), str(tmp_path / "out")], load=Engines()) == 1
    assert re.search(r"arms: prompted .* is left out: .*plain.*make model", capsys.readouterr().err)


def test_shots_that_do_not_fit_the_context_are_told_before_any_text_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engines = Engines(max_context=400)
    assert main([str(tiny(tmp_path)), str(tmp_path / "out")], load=engines) == 1
    assert re.search(r"held-out-1/fspo@8: a prompt with 8 shots .* lower shots.number", capsys.readouterr().err)
    assert engines.calls == 0


def test_a_missing_file_a_folder_that_cannot_be_written_and_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "none.toml"), str(tmp_path)], load=Engines()) == 1
    assert "none.toml: cannot be read" in capsys.readouterr().err
    (tmp_path / "file").touch()
    assert main([str(tiny(tmp_path)), str(tmp_path / "file" / "out")], load=Engines()) == 1
    assert "cannot be written" in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        main([], load=Engines())
    assert usage.value.code == 2


def test_the_shipped_configuration_is_sound_and_asks_every_persona() -> None:
    config = load_config(ROOT / "inference" / "training" / "evaluate.toml")
    assert config.people.open_ended == 1500
    assert config.people.curve == 300
    assert config.shots.curve == (0, 1, 2, 4, 8)
    asked = config.people.reviews + config.people.explanations + config.people.open_ended
    assert asked >= 3000  # judgments each of own and donor's shots


def test_unknown_groups_are_refused() -> None:
    with pytest.raises(ValueError, match="no group"):
        people.members("nobody", "reviews")
    with pytest.raises(EvaluationError):
        load_config(Path("/nonexistent.toml"))


def test_a_stop_by_hand_and_a_full_disk_end_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for error, status in ((KeyboardInterrupt(), 130), (OSError(28, "No space left on device", "report.md"), 1)):

        def ends(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(program, "judge_all", ends)
        assert main([str(tiny(tmp_path)), str(tmp_path / "out")], load=Engines()) == status
        said = capsys.readouterr().err
        assert "the same command goes on from there" in said
        assert "Traceback" not in said
