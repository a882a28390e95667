"""What the conditioned model thinks of the pairs a person chose from: asked for last, worked on last, stored once."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from annotations.models import Preference
from inference import queue
from inference.contracts import (
    InferenceError,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    Scored,
    ScoreRequest,
)
from inference.engines import load_engine
from inference.engines.scripted import ScriptedEngine
from inference.models import Generation, Need, Score
from inference.prompts import fspo_prompt, fspo_target
from inference.queue.scores import claim_scores, end_scores
from inference.runner import Runner
from inference.scores import score_rows
from studyapp.models import Study
from studyapp.services import leaving, scoring
from tests import factory

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]
State = Score.State
BUNDLED = Path(__file__).resolve().parents[2] / "inference" / "bundled"


def drain(runner: Runner | None = None) -> None:
    runner = runner or Runner()
    for key in queue.waiting_keys():
        runner.drain(key)


def prompt(text: str) -> Prompt:
    return Prompt(text, None, (), 0, 0)


def test_two_scores_a_probe_are_asked_for_when_the_last_pair_is_labelled_and_not_before() -> None:
    study = factory.open_study()
    person = factory.consented(study)
    assert not Score.objects.exists()
    person = factory.elicited(study)
    probes = Preference.objects.filter(participant=person, role=Preference.Role.PROBE)
    rows = Score.objects.filter(owner=person)
    assert rows.count() == 2 * probes.count() > 0
    for row in rows:
        assert (row.arm, row.state, row.need) == ("fspo", State.QUEUED, Need.SCORE)
        assert row.request["continuation"] == fspo_target(row.candidate.text)
        assert row.request["request"]["question"] == row.probe.question.text
        assert row.request["request"]["shots"]
        assert row.candidate_id in (row.probe.first_id, row.probe.second_id)


def test_texts_come_before_scores() -> None:
    factory.elicited(factory.open_study())
    seen: list[int] = []

    class Watching(ScriptedEngine):
        def score(self, requests: Any) -> Any:
            seen.append(Generation.objects.filter(state=Generation.State.QUEUED).count())
            return super().score(requests)

    drain(Runner(load=lambda spec: Watching(spec.options)))
    assert seen
    assert set(seen) == {0}


def test_a_score_holds_the_text_with_and_without_the_shots() -> None:
    person = factory.elicited(factory.open_study())
    drain()
    engine = ScriptedEngine({})
    rows = list(Score.objects.filter(owner=person))
    assert any(row.logprob != row.reference_logprob for row in rows)
    for row in rows:
        assert row.state == State.READY
        question, text = row.probe.question.text, fspo_target(row.candidate.text)
        bare, _ = engine.score([ScoreRequest("", prompt(fspo_prompt(question, ())), text)] * 2)
        assert isinstance(bare, Scored)
        assert row.reference_logprob == pytest.approx(bare.logprob)
        assert row.tokens == bare.tokens
        assert row.finished_at is not None


def test_asking_again_changes_nothing() -> None:
    person = factory.elicited(factory.open_study())
    before = list(Score.objects.order_by("pk").values_list("pk", "state"))
    scoring.request_scores(person)
    assert list(Score.objects.order_by("pk").values_list("pk", "state")) == before


def test_a_reference_on_another_model_is_asked_there() -> None:
    models = {
        "tuned": {"engine": "scripted", "source": "one", "reference": "plain"},
        "plain": {"engine": "scripted", "source": "two"},
    }
    values = factory.protocol("small")
    arms = {name: {**arm, "model": "tuned"} for name, arm in values["arms"].items()}
    person = factory.elicited(factory.open_study(models=models, arms=arms))
    keys = {ModelSpec("scripted", "one").key, ModelSpec("scripted", "two").key}
    runner = Runner()
    runner.drain(ModelSpec("scripted", "one").key)
    half = Score.objects.filter(owner=person)
    assert {row.model_key for row in half} == {ModelSpec("scripted", "two").key}
    assert all(row.logprob is not None and row.reference_logprob is None for row in half)
    assert ModelSpec("scripted", "two").key in queue.waiting_keys()
    for key in keys:
        runner.drain(key)
    assert all(row.state == State.READY and row.reference_logprob is not None for row in half.all())


def test_errors_come_again_until_the_budget_is_spent(settings: Any) -> None:
    settings.GENERATION_MAX_ATTEMPTS = 2
    person = factory.elicited(factory.open_study())

    class Failing(ScriptedEngine):
        def score(self, requests: Any) -> list[Scored | InferenceError]:
            raise RuntimeError("no memory left")

    runner = Runner(load=lambda spec: Failing(spec.options))
    drain(runner)
    assert set(Score.objects.filter(owner=person).values_list("state", "tries")) == {(State.QUEUED, 1)}
    Score.objects.update(not_before=None)
    drain(runner)
    assert set(Score.objects.filter(owner=person).values_list("state", flat=True)) == {State.FAILED}
    assert "no memory left" in Score.objects.first().error  # type: ignore[union-attr]


def test_the_scores_of_a_lost_worker_come_back() -> None:
    factory.elicited(factory.open_study())
    (row, *_) = Score.objects.all()
    held = claim_scores(row.model_key, 100)
    assert {one.state for one in held} == {State.RUNNING}
    assert claim_scores(row.model_key, 100) == []
    assert queue.sweep(bells=False) == 0
    Score.objects.update(lease_until="2020-01-01T00:00:00Z")
    assert queue.sweep(bells=False) == len(held)
    assert set(Score.objects.values_list("state", flat=True)) == {State.QUEUED}


def test_whoever_comes_late_writes_nothing() -> None:
    factory.elicited(factory.open_study())
    (row, *_) = Score.objects.all()
    endings = score_rows(ScriptedEngine({}), claim_scores(row.model_key, 2))
    Score.objects.update(lease_until="2020-01-01T00:00:00Z")
    queue.sweep(bells=False)
    assert end_scores(endings) == 0
    assert not Score.objects.filter(logprob__isnull=False).exists()


@pytest.mark.parametrize(("leave", "left"), [(leaving.stop, {State.DISCARDED}), (leaving.withdraw, set())])
def test_nobody_scores_what_a_leaver_chose(leave: Any, left: set[str]) -> None:
    person = factory.elicited(factory.open_study())
    leave(person)
    assert set(Score.objects.values_list("state", flat=True)) == left


def test_a_worker_starts_an_engine_for_scores_alone() -> None:
    study: Study = factory.open_study()
    factory.elicited(study)
    factory.finish_texts(study)
    assert Score.objects.exists()
    drain()
    assert set(Score.objects.values_list("state", flat=True)) == {State.READY}


# ---- what engines say


def test_the_transformers_engine_sums_the_models_own_log_probabilities_alone_and_in_any_batch() -> None:
    engine: Any = load_engine(ModelSpec("transformers", "bundled:palate-1"), bundled_root=BUNDLED)
    questions = ["Is tea nice?", "What do you think about a long walk by the river in winter?", "Why?"]
    texts = ["It is nice.", "A long walk is a good idea. So take one small step this week and see how it feels.", "Yes"]
    asked = [
        ScoreRequest(str(n), prompt(fspo_prompt(q, ())), fspo_target(t))
        for n, (q, t) in enumerate((q, t) for q in questions for t in texts)
    ]
    together = engine.score(asked)
    for request, found in zip(asked, together, strict=True):
        (alone,) = engine.score([request])
        assert (found.id, found.tokens) == (request.id, alone.tokens)
        assert found.logprob == pytest.approx(alone.logprob, abs=1e-3)
        assert found.logprob == pytest.approx(by_hand(engine, request), abs=1e-3)
    assert len({found.logprob for found in together}) == len(asked)


def by_hand(engine: Any, request: ScoreRequest) -> float:
    before = engine.tokenizer(request.prompt.text, add_special_tokens=False)["input_ids"]
    after = engine.tokenizer(request.continuation, add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = engine.model(torch.tensor([before + after])).logits[0].double().log_softmax(-1)
    return math.fsum(float(logits[len(before) - 1 + n, token]) for n, token in enumerate(after))


def test_what_cannot_be_scored_is_a_typed_error_of_its_row_alone() -> None:
    engine = load_engine(ModelSpec("transformers", "bundled:palate-1"), bundled_root=BUNDLED)
    good = ScoreRequest("a", prompt("# Task"), "text")
    found = engine.score(
        [
            good,
            ScoreRequest("b", prompt("# Task"), ""),
            ScoreRequest("c", prompt("# Task"), "word " * 9000),
            ScoreRequest("d", prompt("# Task"), "text", "/an/adapter"),
        ]
    )
    assert isinstance(found[0], Scored)
    assert all(isinstance(one, PermanentError) for one in found[1:])
    for word, one in zip(("empty", "context", "adapter"), found[1:], strict=True):
        assert word in str(one)


def test_engines_cut_a_text_into_pieces_that_join_to_it() -> None:
    text = "A first line,\nand  a second one. Wörter und 42 apples"
    for spec in (ModelSpec("scripted", "x"), ModelSpec("transformers", "bundled:palate-1")):
        engine = load_engine(spec, bundled_root=BUNDLED)
        pieces = engine.pieces(text)
        assert len(pieces) > 5
        if spec.engine == "scripted":
            assert "".join(pieces) == text
        assert engine.fits(prompt(text), Sampling(max_tokens=1))
