"""The pipeline on a language model: nothing is asked twice, money is counted, and each step shows what it is for."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from inference.contracts import Completion, EngineFacts, EngineRequest, InferenceError, Prompt, Sampling, TransientError
from inference.engines import load_engine
from inference.engines.scripted import ScriptedEngine
from inference.engines.scripted_reader import themes_of
from inference.training.synthesis.answers import Asked, Candidate
from inference.training.synthesis.calls import Call, Caller, Pace, converse
from inference.training.synthesis.config import EngineSource, Limits, Model, Personas, load_config
from inference.training.synthesis.errors import BudgetReachedError, SynthesisError
from inference.training.synthesis.instructions import read_list, read_sentence, read_verdict
from inference.training.synthesis.labels import Pair, Verdict, judge
from inference.training.synthesis.ledger import Ledger
from inference.training.synthesis.personas import plan
from inference.training.synthesize import main
from tests.inference.openai_server import Script, serving

BASE = Path(__file__).parents[2]
CONFIG = (BASE / "inference" / "training" / "synthesize-engine.toml").read_text()
SMALL = CONFIG.replace("train = 12", "train = 4").replace("held_out = 4\n", "held_out = 2\n")
SMALL = SMALL.replace("pairs = 24 ", "pairs = 16 ").replace("words = [25, 40]", "words = [25, 40]\nslots = 64")
QUIET = SMALL.replace("users = 6", "users = 0")


class Spy:
    """A scripted engine that keeps what it is asked and can be told to fail."""

    def __init__(self, **options: Any) -> None:
        self.inner = ScriptedEngine({"judge": "reader", "slots": 4} | options)
        self.asked: list[EngineRequest] = []
        self.failures = 0

    @property
    def facts(self) -> EngineFacts:
        return self.inner.facts

    @property
    def slots(self) -> int:
        return self.inner.slots

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        return self.inner.fits(prompt, sampling)

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        if self.failures:
            self.failures -= 1
            raise TransientError("the line is dead")
        self.asked += requests
        return self.inner.generate(requests)


class Clock:
    """Time that passes in sleeps alone."""

    def __init__(self) -> None:
        self.now, self.slept = 0.0, [0.0]

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept.append(seconds)


def caller(path: Path, engine: Spy, clock: Clock | None = None, **limits: Any) -> Caller:
    told = Limits(**limits)
    clock = clock or Clock()
    pace = Pace(told.calls_per_minute, lambda: clock.now, clock.sleep)
    return Caller(engine, Model(engine="scripted", source="none"), Ledger(path / "calls.sqlite"), told, pace)


def call(text: str, seed: int = 1) -> Call:
    return Call("answers", text, Sampling(max_tokens=50), seed)


def run(folder: Path, config: str) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(config)
    return main([str(folder / "config.toml"), str(folder / "out")])


def rows_of(folder: Path) -> list[dict[str, Any]]:
    paths = sorted((folder / "out" / "preferences").glob("*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def summary(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "summary.json").read_text())
    return found


def measured(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / "measures.json").read_text())
    return found


# --- asking -----------------------------------------------------------------------------------------------------------
def test_a_call_is_asked_once_in_this_run_and_the_next(tmp_path: Path) -> None:
    engine = Spy()
    calls = [call("one"), call("two"), call("one"), call("one", seed=2)]
    first = caller(tmp_path, engine).ask(calls)
    assert len(engine.asked) == 3
    assert first[0] == first[2] != first[3]
    assert caller(tmp_path, engine).ask(calls) == first
    assert len(engine.asked) == 3


def test_what_decides_a_response_decides_its_key(tmp_path: Path) -> None:
    asked = caller(tmp_path, Spy())
    changed = [call("one"), call("two"), call("one", seed=2), Call("answers", "one", Sampling(max_tokens=51), 1)]
    assert len({asked.key(each) for each in changed}) == 4
    asked.model = asked.model.model_copy(update={"revision": "v2"})
    assert asked.key(call("one")) != caller(tmp_path, Spy()).key(call("one"))


def test_the_ledger_cannot_be_changed(tmp_path: Path) -> None:
    caller(tmp_path, Spy()).ask([call("one")])
    base = sqlite3.connect(tmp_path / "calls.sqlite")
    for statement in ("UPDATE answered SET cost = 0", "DELETE FROM answered", "DELETE FROM sent", "DELETE FROM ended"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            base.execute(statement)


def test_a_ledger_that_is_none_is_said(tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").write_bytes(b"no ledger at all" * 100)
    with pytest.raises(SynthesisError, match=r"calls\.sqlite: cannot be used as the ledger of calls .*restore it"):
        Ledger(tmp_path / "calls.sqlite")


def test_a_lost_line_is_tried_again_and_a_dead_one_ends_the_run_with_everything_kept(tmp_path: Path) -> None:
    engine, clock = Spy(), Clock()
    engine.failures = 2
    assert caller(tmp_path, engine, clock).ask([call("one")])[0].text
    assert clock.slept[1:] == [1, 2]
    engine.failures = 99
    with pytest.raises(SynthesisError, match=r"failed 3 times in a row \(the line is dead\).*run the same command"):
        caller(tmp_path, engine, retries=2).ask([call("one"), call("two")])
    assert Ledger(tmp_path / "calls.sqlite").spent.calls == 1
    assert Ledger(tmp_path / "calls.sqlite").spent.lost == 0


def test_a_row_that_fails_is_tried_with_another_seed_and_filed_under_its_own(tmp_path: Path) -> None:
    engine = Spy(fail_every=3)
    calls = [call(f"number {n}") for n in range(20)]
    answers = caller(tmp_path, engine).ask(calls)
    assert all(answer.text for answer in answers)
    assert len(engine.asked) > 20
    assert caller(tmp_path, Spy()).ask(calls) == answers


def test_a_refusal_is_kept_and_a_permanent_failure_stops(tmp_path: Path) -> None:
    (refused,) = caller(tmp_path, Spy(fail_every=1, fail_with="refused")).ask([call("one")])
    assert (refused.text, refused.note) == (None, "refused")
    with pytest.raises(SynthesisError, match="engine 'scripted': scripted permanent failure"):
        caller(tmp_path, Spy(fail_every=1, fail_with="permanent")).ask([call("two")])


def test_a_call_that_does_not_fit_the_context_is_never_sent(tmp_path: Path) -> None:
    engine = Spy(max_context=60)
    long, short = caller(tmp_path, engine).ask([call("word " * 30), call("word")])
    assert (long.text, long.note) == (None, "too long")
    assert short.text
    assert len(engine.asked) == 1


def test_the_pace_is_kept(tmp_path: Path) -> None:
    engine, clock = Spy(), Clock()
    caller(tmp_path, engine, clock, calls_per_minute=30).ask([call(f"number {n}") for n in range(31)])
    assert clock.now == pytest.approx(60, abs=8)


def test_the_budget_is_never_passed_and_what_was_answered_is_kept(tmp_path: Path) -> None:
    engine = Spy()
    calls = [call(f"number {n}") for n in range(100)]
    limits: dict[str, Any] = {"price_in": 1.0, "price_out": 2.0}
    with pytest.raises(BudgetReachedError, match=r"the budget of 1 is used up"):
        caller(tmp_path, engine, **limits, budget=1.0).ask(calls)
    spent = Ledger(tmp_path / "calls.sqlite").spent
    assert 0.85 < spent.cost <= 1.0
    assert spent.calls == len(engine.asked) < 100
    caller(tmp_path, engine, **limits, budget=100.0).ask(calls)
    assert len(engine.asked) == 100


def test_calls_in_flight_at_a_kill_count_as_spent(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "calls.sqlite")
    ledger.send([("k1", "answers", 0.25), ("k2", "answers", 0.5)])
    again = Ledger(tmp_path / "calls.sqlite")
    assert (again.spent.lost, again.spent.total) == (2, 0.75)


def test_conversations_share_their_batches_and_keep_their_order() -> None:
    sizes = []

    def talk(turns: int) -> Any:
        heard = 0
        for _ in range(turns):
            heard += len((yield [call("x")] * turns))
        return heard

    def ask(calls: Sequence[Call]) -> list[Any]:
        sizes.append(len(calls))
        return list(calls)

    assert converse([talk(3), talk(0), talk(1)], ask) == [9, 0, 1]
    assert sizes == [4, 3, 3, 0]


# --- reading ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("1", 1), ("2.", 2), ("0", 0), ("**Output 2**", 2), ("output_1 is better", 1), ("Answer: 1", 1), ("(2)", 2),
        ("## Preferred Response \n2\n", 2), ("", None), ("12", None), ("both", None), ("I prefer output 1", None),
    ],
)  # fmt: skip
def test_a_verdict_is_read_from_the_beginning_or_not_at_all(text: str, verdict: int | None) -> None:
    assert read_verdict(text) == verdict


def test_lists_and_sentences_that_are_none_are_not_read() -> None:
    assert read_list("Sure!\n1. Why?\n2) How?\n- Why?\n3. When?", 2) == ["Why?", "How?"]
    assert read_list("Why? How?", 2) is None
    assert read_sentence("This reader likes tea. And more.") == "This reader likes tea."
    assert read_sentence("") is None
    assert read_sentence("word " * 60) is None


# --- personas ---------------------------------------------------------------------------------------------------------
def test_no_combination_of_traits_is_in_both_groups() -> None:
    settings = Personas(train=7, held_out=5, each=2, traits={"a": ["1", "2", "3"], "b": ["x", "y", "z"]})
    personas = plan(settings, seed=1)
    cells = {group: {p.traits for p in personas if p.group == group} for group in ("train", "held_out")}
    assert not cells["train"] & cells["held_out"]
    assert Counter(p.group for p in personas) == {"train": 7, "held_out": 5}
    assert plan(settings, seed=1) == personas != plan(settings, seed=2)


# --- whole runs -------------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run; not to be changed."""
    folder = tmp_path_factory.mktemp("engine")
    assert run(folder, SMALL) == 0
    return folder


def test_the_rows_are_those_of_the_world_in_shape_and_apart_where_they_must_be(made: Path) -> None:
    rows = rows_of(made)
    assert len(rows) == 6 * 16
    splits = {group: {row["split"] for row in rows if row["group"] == group} for group in ("train", "held_out")}
    assert splits == {"train": {"train"}, "held_out": {"train", "questions", "subjects"}}
    held_out = {row["topic"] for row in rows if row["split"] == "subjects"}
    assert held_out == {"holidays", "lending money"}
    assert Counter((row["user"], row["shot_set"]) for row in rows).most_common()[-1][1] == 8
    for user in {row["user"] for row in rows}:
        own = [
            frozenset((row["question"], row["preferred"], row["dispreferred"])) for row in rows if row["user"] == user
        ]
        assert len(set(own)) == len(own) == 16


def test_decided_labels_are_what_the_description_says(made: Path) -> None:
    for row in rows_of(made):
        cares = themes_of(row["description"])
        scores = [[theme in themes_of(row[side]) for theme in cares] for side in ("preferred", "dispreferred")]
        assert (scores[0] > scores[1]) if row["decided"] else (scores[0] == scores[1])


def test_improvement_lengthens_descriptions_and_a_user_has_one(made: Path) -> None:
    rows = rows_of(made)
    assert len({(row["user"], row["description"]) for row in rows}) == len({row["user"] for row in rows}) == 6
    assert all(row["description"].count(".") > 2 for row in rows)
    assert summary(made)["counts"]["sentences added"] > 8


def test_a_finished_run_asks_nothing_and_a_new_one_gives_the_same_bytes(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path, QUIET) == 0
    for path in (made / "out").glob("*/*.parquet"):
        assert (tmp_path / "out" / path.relative_to(made / "out")).read_bytes() == path.read_bytes()
    monkeypatch.setenv("PALATE_SCRIPTED", '{"fail_every": 1, "fail_with": "permanent"}')
    assert run(tmp_path, QUIET) == 0


def test_a_budget_stops_the_run_with_a_message_and_a_higher_one_finishes_it(
    made: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    priced = QUIET.replace("price_in = 0.0", "price_in = 0.01").replace("price_out = 0.0", "price_out = 0.1")
    assert run(tmp_path, priced.replace("# budget = 5.0", "budget = 0.5")) == 1
    error = capsys.readouterr().err
    assert re.search(
        r"out: stopped: the budget of 0\.5 is used up\. Spent 0\.4\d+ on [\d,]+ calls \(personas 6/6, ", error
    )
    assert "to go at most" in error
    assert "run the same command again: nothing that was answered is asked twice" in error
    assert run(tmp_path, priced) == 0
    assert rows_of(tmp_path) == rows_of(made)
    costs = summary(tmp_path)["calls"]
    assert costs["by step"] == {k: v for k, v in summary(made)["calls"]["by step"].items() if k != "measure"}
    assert costs["cost"] == pytest.approx((costs["prompt tokens"] * 0.01 + costs["completion tokens"] * 0.1) / 1000)


def test_order_sensitive_pairs_are_dropped_and_counted(tmp_path: Path) -> None:
    config = QUIET.replace('judge = "reader"', 'judge = "reader"\nfirst_every = 4').replace("rounds = 1", "rounds = 0")
    assert run(tmp_path, config) == 0
    counts = summary(tmp_path)["counts"]
    assert counts["pairs order-sensitive"] > 20
    assert len(rows_of(tmp_path)) == 6 * 16 - counts["pairs order-sensitive"]


def test_answers_that_cannot_be_read_are_asked_for_again_and_then_counted(tmp_path: Path) -> None:
    assert run(tmp_path, QUIET.replace('judge = "reader"', 'judge = "reader"\nempty_every = 3')) == 0
    counts = summary(tmp_path)["counts"]
    assert counts["pairs unreadable"] > 0
    assert summary(tmp_path)["dropped before pairs"]["answers empty"] > 10
    assert len(rows_of(tmp_path)) + counts["pairs unreadable"] + counts.get("pairs order-sensitive", 0) <= 6 * 16


def test_a_judge_that_never_gives_a_verdict_is_counted_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, QUIET.replace('judge = "reader"', "")) == 1
    assert "not one pair was labelled" in capsys.readouterr().err
    assert summary(tmp_path)["dropped before pairs"]["topics without questions"] == 10


def test_a_few_shots_before_each_row_come_from_the_users_other_questionnaire(tmp_path: Path) -> None:
    assert run(tmp_path, QUIET.replace("seed = 7", "seed = 7\nshots = 2")) == 0
    paths = sorted((tmp_path / "out" / "trl").glob("*.parquet"))
    view = [row for path in paths for row in pq.read_table(path).to_pylist()]
    rows = rows_of(tmp_path)
    for row, seen in zip(rows, view, strict=True):
        others = [r for r in rows if r["user"] == row["user"] and r["shot_set"] != row["shot_set"]]
        assert re.findall(r"## Dispreferred Response \n(.*)\n", seen["prompt"]) == [
            r["dispreferred"] for r in others[:2]
        ]


def test_view_conditioning_off_makes_the_answers_alike(made: Path, tmp_path: Path) -> None:
    assert run(tmp_path, SMALL.replace("view_conditioning = true", "view_conditioning = false")) == 0
    on, off = measured(made)["diversity"]["answers, by view"], measured(tmp_path)["diversity"]["answers, not by view"]
    assert off["similarity"] > on["similarity"] + 0.2
    assert off["distinct_2"] < on["distinct_2"] - 0.1


def test_improvement_skipped_makes_labels_contradict_themselves(made: Path, tmp_path: Path) -> None:
    assert run(tmp_path, SMALL.replace("rounds = 1", "rounds = 0")) == 0
    on = measured(made)["coherence"]["after improvement"]
    off = measured(tmp_path)["coherence"]["without improvement"]
    assert off["entropy"] > on["entropy"] + 0.15
    assert off["cyclic"] > on["cyclic"] + 0.1
    decided = [sum(row["decided"] for row in rows_of(folder)) / len(rows_of(folder)) for folder in (made, tmp_path)]
    assert decided[0] > decided[1] + 0.3


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('engine = "scripted"', 'engine = "magic"'), "engine 'magic' is unknown: use one of openai, scripted"),
        (('judge = "reader"', 'jduge = "reader"'), "knows no option 'jduge': use .*judge"),
        (("viewpoints = 4", "viewpoint = 4"), r"source\.viewpoint: there is no such key: use one of held_out, "),
        (("train = 4", "train = 40"), r"source\.personas: 42 personas, 1 a cell, need more than the 18 cells"),
        (("rounds = 1", "rounds = -1"), r"source\.improvement\.rounds: Input should be greater than or equal to 0"),
        (
            ("price_in = 0.0", "price = 0.0"),
            r"limits\.price: there is no such key: use one of budget, calls_per_minute",
        ),
        (('layout = "chat"', 'layout = "poem"'), r"source\.model\.layout: Input should be 'fspo' or 'chat'"),
    ],
)
def test_a_wrong_configuration_is_said(
    change: tuple[str, str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, SMALL.replace(*change, 1)) == 1
    error = capsys.readouterr().err
    assert re.search(told, error), error
    assert not (tmp_path / "out").exists()


def test_the_folder_of_another_configuration_is_refused_from_the_first_call_on(
    made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made / "other.toml"
    path.write_text(SMALL.replace("pairs = 16", "pairs = 8"))
    assert main([str(path), str(made / "out")]) == 1
    assert "begun with another configuration" in capsys.readouterr().err


GIVEN = """
[source.writing]
max_tokens = 120

[source.personas]
train = 2
held_out = 1
given = ["This reader likes it short.", "This reader likes it long.", "This reader likes figures."]

[[source.topics]]
domain = "decisions"
names = ["keeping bees", "baking"]
asked = {"keeping bees" = ["Is keeping bees a good idea?"], "baking" = ["Is baking your own bread a good idea?"]}
"""


def without_personas(config: str) -> str:
    """The configuration with personas and questions given, and no engine options."""
    config = re.sub(r"\[source\.model\.options\].*?\n\n", "", config, flags=re.DOTALL)
    given = f"{GIVEN}\n[source.improvement]"
    return re.sub(r"\[source\.personas\].*\[source\.improvement\]", given, config, flags=re.DOTALL)


def test_given_questions_and_personas_are_taken_as_they_are(tmp_path: Path) -> None:
    config = re.sub(
        r"\[source\.personas\].*\[source\.improvement\]", f"{GIVEN}\n[source.improvement]", QUIET, flags=re.DOTALL
    )
    asked = 'asked = {"keeping bees" = ["Bees?", "Honey?"], "baking" = ["Bread?", "Cake?"]}'
    assert run(tmp_path, re.sub(r"asked = .*", asked, config)) == 0
    assert {row["question"] for row in rows_of(tmp_path) if row["group"] == "train"} == {"Bees?", "Bread?"}
    assert {row["question"] for row in rows_of(tmp_path)} == {"Bees?", "Bread?", "Honey?", "Cake?"}
    assert not {"personas", "questions"} & set(summary(tmp_path)["calls"]["by step"])
    assert run(tmp_path / "wrong", config.replace('"baking"]', '"cooking"]')) == 1


# --- a real server, real processes, a real model --------------------------------------------------------------------
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_server_on_this_machine_makes_the_rows_that_the_same_engine_makes_here(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"judge": "reader", "words": [25, 40], "slots": 64}
    config = re.sub(r"\[source\.model\.options\].*?\n\n", "", SMALL, flags=re.DOTALL)
    config = config.replace('"scripted"', '"openai"').replace('"none"', '"palate"')
    script = Script(engine=ScriptedEngine(options), can_tokenize=False, max_model_len=8192)
    with serving(script) as address:
        monkeypatch.setenv("PALATE_OPENAI_URLS", address)
        assert run(tmp_path, config) == 0
    assert rows_of(tmp_path) == rows_of(made)
    assert len(script.completions()) == sum(summary(tmp_path)["calls"]["by step"].values())


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_process_killed_in_mid_run_goes_on_and_asks_nothing_twice(tmp_path: Path) -> None:
    slow = CONFIG.replace('judge = "reader"', 'judge = "reader"\ndelay_s = 0.02').replace(
        "per_shard = 10", "per_shard = 3"
    )
    (tmp_path / "config.toml").write_text(slow)
    command = [sys.executable, "-m", "inference.training.synthesize", str(tmp_path / "config.toml")]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for least in (20, 700, 1500):
        process = subprocess.Popen(
            [*command, str(killed)], cwd=BASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while process.poll() is None and answered(killed) < least:
            time.sleep(0.01)
        assert process.poll() is None, "it was done before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for folder in (killed, whole):
        done = subprocess.run([*command, str(folder)], cwd=BASE, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    for path in whole.glob("*/*.parquet"):
        assert (killed / path.relative_to(whole)).read_bytes() == path.read_bytes()
    base = sqlite3.connect(killed / "calls.sqlite")
    sent, ended, again = (base.execute(f"SELECT count({what}) FROM {table}").fetchone()[0]
                          for what, table in (("*", "sent"), ("*", "ended"), ("DISTINCT key", "sent")))  # fmt: skip
    assert answered(killed) == answered(whole) == again == ended
    in_flight = sent - ended
    # Only what was in flight at the three kills, at most a batch each, was sent a second time.
    assert in_flight <= 3 * 16
    twice = base.execute("SELECT count(*) FROM (SELECT key FROM sent GROUP BY key HAVING count(*) > 1)").fetchone()[0]
    assert twice <= in_flight
    answered_twice = base.execute(
        "SELECT count(*) FROM (SELECT key FROM sent JOIN ended USING (number) GROUP BY key HAVING count(*) > 1)"
    ).fetchone()[0]
    assert answered_twice == 0


def answered(folder: Path) -> int:
    """Calls in a ledger that another process writes."""
    try:
        base = sqlite3.connect(f"file:{folder / 'calls.sqlite'}?mode=ro", uri=True)
        return int(base.execute("SELECT count(*) FROM answered").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_model_that_cannot_judge_is_counted_and_nothing_crashes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = without_personas(QUIET).replace('"scripted"', '"transformers"').replace('"none"', '"bundled:palate-1"')
    config = config.replace("view_conditioning = true", "view_conditioning = false").replace('"chat"', '"fspo"')
    assert run(tmp_path, config) == 1
    assert "not one pair was labelled" in capsys.readouterr().err
    found = summary(tmp_path)
    assert found["rows"] == 0
    assert found["calls"]["by step"]["answers"] == 12
    # Answers that cannot be used, or verdicts that cannot be read: either way each is counted.
    assert sum(found["dropped before pairs"].values()) + found["counts"].get("pairs unreadable", 0) >= 12


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_real_model_that_gives_no_verdict_is_asked_as_often_as_allowed(tmp_path: Path) -> None:
    config = load_config(BASE / "inference" / "training" / "synthesize-engine.toml")
    assert isinstance(config.source, EngineSource)
    model = Model(engine="transformers", source="bundled:palate-1", layout="fspo")
    engine = load_engine(model.spec, bundled_root=BASE / "inference" / "bundled")
    ledger = Ledger(tmp_path / "calls.sqlite")
    asked = Asked("decisions", "bees", "Is keeping bees a good idea?", "train")
    pair = Pair(asked, Candidate("On balance, yes.", "view-1"), Candidate("As far as I can see, no.", "view-2"))
    talk = judge("This reader is wary of new things.", [pair], config.source, seed=1)
    caller = Caller(engine, model, ledger, Limits(), Pace(0))
    assert converse([talk], caller.ask) == [[Verdict.UNREADABLE]]
    assert ledger.steps["labels"][0] == 2 * config.source.judging.tries
    assert ledger.spent.prompt_tokens > 0
