"""A good folder is accepted, means what it says, survives the database, and is held by its hash."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from annotations.plan import draw_block
from studyapp.protocol import (
    Protocol,
    QuestionRow,
    availability,
    budget,
    load_folder,
    plan_spec,
    render_report,
    to_json,
)
from tests.studyapp.protocol_folder import good_folder, question_rows, write_rows

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return good_folder(tmp_path / "tea")


def the_protocol(folder: Path) -> Protocol:
    loaded = load_folder(folder)
    assert loaded.problems == ()
    assert loaded.protocol is not None
    return loaded.protocol


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "study.toml").read_text(encoding="utf-8")
    assert old in text
    (folder / "study.toml").write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_good_folder_has_no_problem_and_no_warning(folder: Path) -> None:
    loaded = load_folder(folder)
    assert loaded.problems == ()
    assert loaded.warnings == ()
    assert len(loaded.questions) == 52
    assert len(loaded.candidates) == 24
    assert len(loaded.attention) == 2
    assert set(loaded.documents) == {"consent", "instructions", "debrief"}


def test_a_protocol_survives_the_database(folder: Path) -> None:
    protocol = the_protocol(folder)
    stored = json.loads(json.dumps(protocol.model_dump(mode="json"), allow_nan=False))
    assert Protocol.model_validate(stored) == protocol


def test_a_protocol_cannot_be_changed_after_it_was_read(folder: Path) -> None:
    with pytest.raises(ValidationError):
        the_protocol(folder).elicitation.shots = 9


def test_an_arm_samples_as_the_study_does_but_for_its_own_keys(folder: Path) -> None:
    edit(folder, "sampling = { temperature = 0.7 }", "sampling = { temperature = 0.2 }")
    edit(folder, "items = 6", 'items = 6\ndiffers_because = "the temperature is what we study"')
    protocol = the_protocol(folder)
    assert (protocol.arm_sampling("base").temperature, protocol.arm_sampling("base").max_tokens) == (0.2, 200)
    assert protocol.arm_sampling("fspo").temperature == 0.7


def test_an_arm_sees_the_shots_it_asks_for(folder: Path) -> None:
    protocol = the_protocol(folder)
    assert (protocol.arm_shots("fspo"), protocol.arm_shots("base")) == (4, 0)
    edit(folder, 'context = "own_shots"\nshots = 4', 'context = "own_shots"')
    edit(folder, "shots = 4", "shots = 5")
    assert the_protocol(folder).arm_shots("fspo") == 5


def test_the_effective_values_follow_the_protocol(folder: Path) -> None:
    protocol = the_protocol(folder)
    assert (protocol.seats, protocol.main_items, protocol.control_items) == (24, 6, 3)
    assert protocol.model_spec("fspo").source == "bundled:palate-1"
    assert (protocol.window().min_words, protocol.window().max_words) == (20, 60)
    edit(folder, "max_enrolled = 24\n", "")
    assert the_protocol(folder).seats == 20
    edit(folder, "target_participants = 20\n", "")
    assert the_protocol(folder).seats is None


def test_without_a_primary_every_comparison_is_primary(folder: Path) -> None:
    edit(folder, 'primary = ["fspo>base"]\n', "")
    assert the_protocol(folder).primary == ("fspo>base",)


def test_an_exit_is_a_code_or_an_address_with_a_code(folder: Path) -> None:
    exits = the_protocol(folder).exits
    assert (exits.code("completed"), exits.url("completed")[:24]) == ("C0DE", "https://app.prolific.com")
    assert (exits.code("stopped"), exits.url("stopped")) == ("STOP-1", "")
    assert (exits.code("excused"), exits.url("excused")) == ("", "")
    with pytest.raises(KeyError):
        exits.value("vanished")


def test_a_date_may_stand_where_a_date_or_an_event_is_asked(folder: Path) -> None:
    assert the_protocol(folder).privacy.withdraw_until == "2027-01-31"


def test_seats_can_be_drawn_from_a_good_folder(folder: Path) -> None:
    seats = draw_block(plan_spec(load_folder(folder)), 4, random.Random(1))
    assert [len(seat.comparisons) for seat in seats] == [9] * 4
    assert [len(seat.pairs) for seat in seats] == [7] * 4
    shown = next(c for c in seats[0].comparisons if c.kind == "attention")
    assert (shown.candidate_a, shown.candidate_b) == ("expected", "other")


def test_no_plan_and_no_estimate_without_a_valid_protocol(folder: Path) -> None:
    (folder / "study.toml").write_text("slug = 3\n", encoding="utf-8")
    loaded = load_folder(folder)
    for ask in (plan_spec, budget):
        with pytest.raises(ValueError, match=r"study\.toml is not valid"):
            ask(loaded)
    assert to_json(loaded)["asks"] is None
    assert "cannot be used yet" in render_report(loaded)


def test_checking_a_folder_needs_no_django() -> None:
    program = (
        "import sys, types; package = types.ModuleType('studyapp'); package.__path__ = ['studyapp']; "
        "sys.modules['studyapp'] = package; import studyapp.protocol; sys.exit('django' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60, cwd=ROOT).returncode == 0


class TestHash:
    def test_the_hash_is_the_same_for_the_same_files_written_in_another_order(
        self, folder: Path, tmp_path: Path
    ) -> None:
        copy = tmp_path / "copy"
        copy.mkdir()
        for file in sorted(folder.iterdir(), reverse=True):
            (copy / file.name).write_bytes(file.read_bytes())
        assert load_folder(copy).hash == load_folder(folder).hash

    def test_line_ends_byte_order_marks_and_other_files_leave_the_hash_alone(self, folder: Path) -> None:
        before = load_folder(folder).hash
        (folder / "README.md").write_text("Notes.", encoding="utf-8")
        for name in ("consent.md", "study.toml", "questions.jsonl"):
            content = (folder / name).read_bytes()
            (folder / name).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n"))
        loaded = load_folder(folder)
        assert loaded.hash == before
        assert loaded.problems == ()
        assert "\r" not in loaded.documents["consent"]

    @pytest.mark.parametrize(
        "name",
        [
            "study.toml",
            "consent.md",
            "instructions.md",
            "debrief.md",
            "questions.jsonl",
            "candidates.jsonl",
            "attention.jsonl",
        ],
    )
    def test_one_more_byte_in_any_file_changes_the_hash(self, folder: Path, name: str) -> None:
        before = load_folder(folder).hash
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("\n")
        assert load_folder(folder).hash != before

    def test_moving_text_from_one_file_to_the_next_changes_the_hash(self, folder: Path) -> None:
        before = load_folder(folder).hash
        one, other = folder / "consent.md", folder / "debrief.md"
        text = one.read_text() + other.read_text()
        one.write_text(text[:-5])
        other.write_text(text[-5:])
        assert load_folder(folder).hash != before

    def test_later_files_count_too(self, folder: Path) -> None:
        before = load_folder(folder).hash
        (folder / "forms").mkdir()
        (folder / "forms" / "about.toml").write_text('title = "About you"\n', encoding="utf-8")
        with_form = load_folder(folder).hash
        (folder / "calibration.jsonl").write_text('{"id": "c1"}\n', encoding="utf-8")
        assert len({before, with_form, load_folder(folder).hash}) == 3


class TestAvailability:
    @pytest.mark.parametrize(
        ("old", "new", "where"),
        [
            ('engine = "scripted"', 'engine = "http"\nsource = "x"', "models.plain.engine"),
            ('layout = "fspo"', 'layout = "fspo"\ntarget = "f"', "models.tuned.target"),
            ('layout = "fspo"', 'layout = "fspo"\nresponses = "r.jsonl"', "models.tuned.responses"),
            ('context = "own_shots"', 'context = "donor_shots"', "arms.fspo.context"),
            ('context = "own_shots"', 'context = "own_shots"\nflip_rate = 0.5', "arms.fspo.flip_rate"),
            ('context = "own_shots"', 'context = "own_shots"\npool = "others"', "arms.fspo.pool"),
            ('context = "own_shots"', 'context = "own_shots"\nmax_uses = 2', "arms.fspo.max_uses"),
            ('overlap = "none"', 'overlap = "factor"', "elicitation.overlap"),
            ("items = 6", 'items = 6\nkind = "swap"', "comparisons[1].kind"),
            ('kind = "null"', 'kind = "identical"', "controls[1].kind"),
            ('kind = "null"', 'kind = "null"\npath = "same"', "controls[1].path"),
            ('kind = "repeat"\nitems = 1\nlag = 3', 'kind = "calibration"\nitems = 1', "controls[2].kind"),
            ('scale = "choice+strength"', 'scale = "bipolar7"', "judging.scale"),
            ("break_every = 4", "reason_items = 4", "judging.reason_items"),
            ("[wait]", '[[judging.also]]\nid = "clear"\ntext = "How clear?"\n\n[wait]', "judging.also"),
            ("[wait]", '[[quotas]]\nby = "age"\nmax = { young = 5 }\n\n[wait]', "quotas"),
            ("[wait]", "[eligibility]\nmin_age = 21\n\n[wait]", "eligibility.min_age"),
            ("[wait]", '[eligibility]\nnot_in = ["other"]\n\n[wait]', "eligibility.not_in"),
            ("[wait]", '[disclosure]\npurpose = "full"\n\n[wait]', "disclosure.purpose"),
            ("[wait]", "[disclosure]\nguess = false\n\n[wait]", "disclosure.guess"),
            ("[wait]", "[stopping]\ntarget = 5\n\n[wait]", "stopping.target"),
        ],
    )
    def test_what_is_not_built_is_warned_about_and_is_no_problem(
        self, folder: Path, old: str, new: str, where: str
    ) -> None:
        edit(folder, old, new)
        loaded = load_folder(folder)
        assert [str(p) for p in loaded.problems] == []
        assert loaded.protocol is not None
        found = availability(loaded.protocol)
        assert [problem.where for problem in found] == [where]
        assert "not available yet" in str(found[0])
        assert found[0] in loaded.warnings

    def test_a_form_is_not_built_but_its_file_must_be_there(self, folder: Path) -> None:
        form = '[[forms]]\nid = "about"\nat = "before_shots"\nfile = "forms/about.toml"\n\n[wait]'
        edit(folder, "[wait]", form)
        assert "forms[1].file" in {problem.where for problem in load_folder(folder).problems}
        (folder / "forms").mkdir()
        (folder / "forms" / "about.toml").write_text('title = "About you"\n', encoding="utf-8")
        loaded = load_folder(folder)
        assert loaded.problems == ()
        assert [problem.where for problem in availability(loaded)] == ["forms"]

    def test_the_defaults_of_what_is_not_built_may_be_written_out(self, folder: Path) -> None:
        edit(folder, "plain_text = true", "pair_ratio = 1.15")
        edit(folder, "break_every = 4", "reason_items = 3")
        edit(folder, "alpha = 0.05", 'interval = "two_way"\nlooks = "none"')
        edit(folder, "[wait]", "[eligibility]\nmin_age = 18\n\n[disclosure]\nguess = true\n\n[wait]")
        assert load_folder(folder).warnings == ()

    def test_a_question_for_some_people_only_is_not_built(self, folder: Path) -> None:
        rows = question_rows()
        rows[0]["only_if"] = {"likes": "tea"}
        write_rows(folder / "questions.jsonl", rows)
        loaded = load_folder(folder)
        assert loaded.problems == ()
        assert [problem.file for problem in availability(loaded)] == ["questions.jsonl"]


class TestEstimate:
    def test_words_are_counted_part_by_part(self, folder: Path) -> None:
        cost = budget(load_folder(folder))
        assert cost.words["instructions"] == 7
        assert cost.words["labelled pairs"] == 7 * (4 + 2 * 10)
        assert cost.words["judged pairs"] == 8 * (5 + 80) + 1 * (4 + 3 + 3)
        assert cost.total_words == sum(cost.words.values())

    def test_minutes_are_reading_and_deciding(self, folder: Path) -> None:
        cost = budget(load_folder(folder))
        assert cost.decisions_s == 7 * 6 + 9 * 20
        assert cost.minutes[238] == pytest.approx(cost.total_words / 238 + cost.decisions_s / 60, abs=0.05)
        assert cost.minutes[180] > cost.minutes[238] > cost.minutes[300]

    def test_pay_an_hour_is_given_only_when_pay_is(self, folder: Path) -> None:
        cost = budget(load_folder(folder))
        assert cost.pay_per_hour is not None
        assert cost.pay_per_hour[238] == pytest.approx(3.0 * 60 / cost.minutes[238], abs=0.01)
        edit(folder, 'currency = "GBP"\namount = 3.0\nminutes = 15\nfloor_per_hour = 9\n', "")
        assert budget(load_folder(folder)).pay_per_hour is None

    def test_over_thirty_five_minutes_is_a_warning(self, folder: Path) -> None:
        edit(folder, "words = [20, 60]", "words = [400, 600]")
        edit(folder, "max_tokens = 200", "max_tokens = 800")
        texts = [str(warning) for warning in load_folder(folder).warnings]
        assert any("over 35" in text for text in texts), texts

    def test_pay_under_the_floor_and_minutes_untold_are_warnings(self, folder: Path) -> None:
        edit(folder, "amount = 3.0\nminutes = 15", "amount = 0.5\nminutes = 4")
        assert {w.where for w in load_folder(folder).warnings} == {"pay.amount", "pay.minutes"}

    def test_a_ceiling_under_the_cost_of_all_seats_is_a_warning(self, folder: Path) -> None:
        edit(folder, "floor_per_hour = 9", "ceiling = 71")
        assert [w.where for w in load_folder(folder).warnings] == ["pay.ceiling"]
        edit(folder, "ceiling = 71", "ceiling = 72")
        assert load_folder(folder).warnings == ()


class TestReport:
    def test_the_report_ends_with_what_the_study_asks_of_people(self, folder: Path) -> None:
        report = render_report(load_folder(folder))
        asks = report.split("\n\n")[-1]
        assert asks.startswith("What the study asks of one person")
        for part in ("words", "180 wpm", "238 wpm", "300 wpm", "GBP an hour"):
            assert part in asks
        assert "No problems." in report

    def test_the_report_prints_every_problem_and_warning(self, folder: Path) -> None:
        edit(folder, 'model = "tuned"', 'model = "tunde"')
        edit(folder, 'scale = "choice+strength"', 'scale = "bipolar7"')
        loaded = load_folder(folder)
        report = render_report(loaded)
        for problem in (*loaded.problems, *loaded.warnings):
            assert str(problem) in report
        assert 'did you mean "tuned"?' in report

    def test_the_json_says_the_same(self, folder: Path) -> None:
        document = json.loads(json.dumps(to_json(load_folder(folder)), allow_nan=False))
        assert document["ok"] is True
        assert document["asks"]["labelled_pairs"] == 7
        assert Protocol.model_validate(document["protocol"]).slug == "tea"
        assert document["banks"] == {"elicit": 12, "judge": 40, "candidates": 24, "attention": 2}


class TestHints:
    @pytest.mark.parametrize(
        ("old", "new", "expected"),
        [
            ("[wait]", '[arms.idle]\nmodel = "plain"\n\n[wait]', "arms.idle: is in no comparison"),
            ("[wait]", '[models.idle]\nengine = "scripted"\n\n[wait]', "models.idle: is used by no arm"),
            ("items = 6", 'items = 6\ndiffers_because = "habit"', "explains a difference that is not there"),
            ("max_tokens = 200", "max_tokens = 50", "may cut a text of 60 words"),
            ('source = "bundled:palate-1"', 'source = "lab/model"', "may get other weights"),
            ('"STOP-1"', '"REPLACE-1"', 'exits.stopped: still holds "REPLACE"'),
            (
                "stopped = ",
                'failed_checks = "CHECKS-1"\nstopped = ',
                "who miss 2 attention checks or more, and there are 1",
            ),
            ('kind = "attention"', 'kind = "attention"\nlag = 2', "means nothing for the control attention"),
        ],
    )
    def test_a_hint_is_a_warning(self, folder: Path, old: str, new: str, expected: str) -> None:
        edit(folder, old, new)
        loaded = load_folder(folder)
        assert loaded.problems == ()
        assert any(expected in str(warning) for warning in loaded.warnings), loaded.warnings

    def test_few_questions_an_unused_bank_and_headings_in_texts_are_warnings(self, folder: Path) -> None:
        write_rows(folder / "questions.jsonl", question_rows()[:30])
        edit(folder, '[[controls]]\nkind = "attention"\nitems = 1\n', "")
        candidates = (folder / "candidates.jsonl").read_text().replace("I would say", "# I would say", 1)
        (folder / "candidates.jsonl").write_text(candidates)
        loaded = load_folder(folder)
        assert loaded.problems == ()
        assert {w.file for w in loaded.warnings} == {"questions.jsonl", "attention.jsonl", "candidates.jsonl"}


def test_a_question_may_run_over_several_lines() -> None:
    row = QuestionRow(id="q", use="judge", domain="d", topic="t", text="First this.\nThen that?")
    assert "\n" in row.text


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ('engine = "openai"\nsource = "tuned"', "returns log-probabilities of a prompt"),
        ('engine = "vllm"\nsource = "/models/base"\nadapter = "/models/adapter"', "while it serves adapters"),
        ('engine = "vllm"\nsource = "/models/base"', ""),
    ],
)
def test_models_that_may_not_score_the_probes_are_named(folder: Path, model: str, says: str) -> None:
    text = (folder / "study.toml").read_text(encoding="utf-8")
    start = text.index("[models.")
    end = text.index("\n[", start + 1)
    heading = text[start : text.index("\n", start)]
    (folder / "study.toml").write_text(f"{text[:start]}{heading}\n{model}\n{text[end:]}", encoding="utf-8")
    warned = [warning for warning in load_folder(folder).warnings if "scores" in warning.what]
    assert [says in warning.what for warning in warned] == ([True] if says else [])
