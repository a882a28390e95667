"""The language judge: asked in both orders, order-sensitive pairs dropped and counted."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import pytest

from inference.contracts import Completion, EngineFacts, EngineRequest, InferenceError, ModelSpec, Prompt, Sampling
from inference.engines import load_engine
from inference.training import evaluate as program
from inference.training.evaluate import main
from inference.training.evaluation import people
from inference.training.evaluation.config import load_config
from inference.training.evaluation.errors import EvaluationError
from inference.training.evaluation.judges import Pair, judge_prompt, language_verdicts, settle, verdict_of
from inference.world import describe
from inference.world.judge import liking

from .evaluate_cast import Engines, checkpoints, configuration


class Reader:
    """A judge that knows the people: it prefers what they like, or always the first output."""

    slots = 16
    alive = True
    facts = EngineFacts("reader", "", "", {}, "cpu", 100_000, True, False)

    def __init__(self, known: Sequence[people.Person], *, first_always: bool = False) -> None:
        self.known = {describe(person.user): person.user for person in known}
        self.first_always = first_always
        self.asked: list[Prompt] = []

    def fits(self, prompt: Prompt, sampling: Sampling) -> bool:
        return True

    def generate(self, requests: Sequence[EngineRequest]) -> list[Completion | InferenceError]:
        return [self._row(request) for request in requests]

    def _row(self, request: EngineRequest) -> Completion | InferenceError:
        self.asked.append(request.prompt)
        assert request.prompt.messages is not None
        text = request.prompt.messages[-1]["content"]
        user = self.known[text.split("# The person\n")[1].split("\n")[0]]
        first, second = (text.split(f"# Output ({n})\n")[1].split("\n")[0] for n in (1, 2))
        better = 1 if self.first_always or liking(first, user) > liking(second, user) else 2
        return Completion(request.id, f"Output ({better})", "stop", 100, 3)


@pytest.fixture
def pairs(tmp_path: Path) -> list[Pair]:
    config = load_config(configuration(tmp_path))
    found = people.draw_people(people.PARTS[people.MAIN], config, 1)[24:48]  # explanations and open-ended
    return [Pair(person, person.shots[0].preferred, person.shots[0].dispreferred) for person in found]


def test_a_judge_that_follows_taste_agrees_with_it_in_both_orders(pairs: list[Pair], tmp_path: Path) -> None:
    engine = Reader([pair.person for pair in pairs])
    verdicts = language_verdicts(engine, pairs, tmp_path / "v.jsonl", "judge", seed=1)
    decided = [score for score in verdicts.scores if score is not None]
    assert len(engine.asked) == 2 * len(pairs)
    assert len(decided) + verdicts.order_sensitive == len(pairs)
    # A pair that a person likes alike is decided by place: it is dropped. All others are right.
    assert set(decided) == {1.0}
    assert len(decided) > len(pairs) / 2


def test_a_judge_that_follows_the_order_decides_nothing(pairs: list[Pair], tmp_path: Path) -> None:
    engine = Reader([pair.person for pair in pairs], first_always=True)
    verdicts = language_verdicts(engine, pairs, tmp_path / "v.jsonl", "judge", seed=1)
    assert verdicts.order_sensitive == len(pairs)
    assert set(verdicts.scores) == {None}


def test_replies_are_kept_and_not_asked_for_again(pairs: list[Pair], tmp_path: Path) -> None:
    first, second = (Reader([pair.person for pair in pairs]) for _ in range(2))
    one = language_verdicts(first, pairs, tmp_path / "v.jsonl", "judge", seed=1)
    assert language_verdicts(second, pairs, tmp_path / "v.jsonl", "judge", seed=1) == one
    assert not second.asked


def test_the_scripted_engine_gives_no_verdict_and_every_pair_is_dropped_and_counted(
    pairs: list[Pair], tmp_path: Path
) -> None:
    engine = load_engine(ModelSpec("scripted", "judge"), bundled_root=tmp_path)
    verdicts = language_verdicts(engine, pairs, tmp_path / "v.jsonl", "judge", seed=1)
    assert verdicts.unreadable == len(pairs)
    failing = load_engine(ModelSpec("scripted", "judge", options={"fail_every": 1}), bundled_root=tmp_path)
    with pytest.raises(EvaluationError, match="run the same command again"):
        language_verdicts(failing, pairs, tmp_path / "w.jsonl", "judge", seed=1)


def test_the_prompt_tells_person_question_and_outputs_and_not_the_arms(pairs: list[Pair]) -> None:
    pair = pairs[0]
    for layout in ("chat", "text"):
        prompt = judge_prompt(pair.person, pair.text, pair.base, layout)
        said = prompt.text or "\n".join(part["content"] for part in prompt.messages or ())
        for needed in (describe(pair.person.user), pair.person.asked.text, pair.text, pair.base, "length"):
            assert needed in said
        assert not [name for name in ("fspo", "base", "treatment") if f"{name}@" in said]


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("Output (1)", 1),
        ("output 2.", 2),
        ("(2)", 2),
        ("1)", 1),
        ("**Output (1)** because", 1),
        ("The preferred output is Output (2)", 2),
        ("12", None),
        ("I cannot decide", None),
        ("", None),
    ],
)
def test_a_verdict_is_read_from_how_the_reply_begins(reply: str, verdict: int | None) -> None:
    assert verdict_of(reply) == verdict


def test_verdicts_settle() -> None:
    found = settle([(1, 2), (2, 1), (1, 1), (None, 1)])
    assert found.scores == (1.0, 0.0, None, None)
    assert (found.order_sensitive, found.unreadable) == (1, 1)


def test_a_run_with_a_language_judge_reports_it_and_writes_its_judgments(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALATE_TORCH_THREADS", "1")
    monkeypatch.setattr(program, "draw_figures", lambda *_: None)
    checkpoints(tmp_path / "model")
    judge = '[language_judge]\nengine = "reader"\nsource = "x"\npeople = 3\narms = ["fspo", "prompted"]'
    path = configuration(tmp_path, judge)
    text = path.read_text().replace("seed = 5", 'seed = 5\narms = ["fspo", "prompted"]')
    for name in ("reviews = 24", "explanations = 20", "open-ended = 40", "curve = 16", "trained = 8", "fields = 12"):
        text = text.replace(name, f"{name.split(' = ')[0]} = 4")
    path.write_text(text)
    known = people.draw_people(people.PARTS[people.MAIN], load_config(path), 1)
    engines = Engines()
    load = lambda spec: Reader(known) if spec.engine == "reader" else engines(spec)  # noqa: E731
    assert main([str(path), str(tmp_path / "out")], load=load) == 0
    said = capsys.readouterr().out
    assert "## Language judge" in said
    assert "| `prompted@8` | " in said.split("## Language judge")[1]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "judgments" / "language-judge.csv").read_text())))
    assert rows
    assert {row["outcome"] for row in rows} <= {"win", "loss"}
    assert {row["treatment"] for row in rows} <= {"fspo@8", "prompted@8"}
