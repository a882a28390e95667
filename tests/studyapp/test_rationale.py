"""RAT as it is served: one description a participant, made first, and every answer of the arm made with it."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction

from annotations.models import Comparison
from inference.contracts import GenerationRequest
from inference.models import Generation, Need
from inference.prompts import fspo_prompt
from inference.queue import waiting_keys
from inference.runner import Runner
from studyapp.models import Participant, Study
from studyapp.services import leaving, progress, settling
from tests import factory

pytestmark = [pytest.mark.django_db(transaction=True)]
State = Generation.State
ARMS = {
    "rat": {"model": "script", "context": "own_shots", "shots": 3, "rationale": True},
    "fspo": {"model": "script", "context": "own_shots", "shots": 3},
    "base": {"model": "script", "context": "none"},
}
COMPARISONS = [
    {"treatment": "rat", "baseline": "base", "items": 2},
    {"treatment": "fspo", "baseline": "base", "items": 2},
]


def a_study() -> Study:
    return factory.open_study(arms=ARMS, comparisons=COMPARISONS, controls=[], analysis=None)


def descriptions(person: Participant) -> Any:
    return Generation.objects.filter(owner=person, purpose="description")


def rat_pairs(person: Participant) -> Any:
    return Comparison.objects.filter(participant=person, arm_a="rat").order_by("position")


def work() -> None:
    for _ in range(6):
        for key in waiting_keys():
            Runner().drain(key)
        Generation.objects.filter(state=State.QUEUED).update(not_before=None)


def test_the_description_is_asked_for_once_before_any_answer_of_its_arm() -> None:
    person = factory.elicited(a_study())
    (row,) = descriptions(person)
    first = rat_pairs(person)[0]
    assert (row.arm, row.question_id, row.position, row.need) == ("rat", first.question_id, 0, Need.WAITING)
    assert row.request["window"] is None
    assert not Generation.objects.filter(owner=person, arm="rat", purpose="answer").exists()
    assert Generation.objects.filter(owner=person, arm="fspo", purpose="answer").count() == 2
    assert all(pair.generation_a_id is None for pair in rat_pairs(person))


def test_answers_are_made_with_the_description_and_their_pairs_are_judged() -> None:
    person = factory.elicited(a_study())
    work()
    (row,) = descriptions(person)
    assert row.state == State.READY
    for pair in rat_pairs(person):
        answer = pair.generation_a
        assert answer is not None
        assert answer.request["description"] == row.text
        shots = answer.request["shots"]
        assert len(shots) == 3
        assert f"## User Description\n{row.text}\n" in answer.prompt
        assert "Generate a user description based on the examples above." in answer.prompt
        assert pair.state == "ready"
        assert pair.generation_a_id != row.pk
    assert factory.judge_all(person) == 4
    assert person.state == "completed"
    assert row.prompt == fspo_prompt(row.question.text, _shots(row), rationale=True)


def _shots(row: Generation) -> Any:
    return GenerationRequest.from_json(row.request).shots


def test_a_lost_bell_is_made_up_for_by_the_page() -> None:
    person = factory.elicited(a_study())
    (row,) = descriptions(person)
    Generation.objects.filter(pk=row.pk).update(state=State.READY, text="This reader likes it short.", words=5)
    progress.advance(person)
    assert all(pair.generation_a_id for pair in rat_pairs(person))
    before = Generation.objects.count()
    progress.advance(person)
    settling.settle([row.pk])
    assert Generation.objects.count() == before


def test_a_description_that_fails_voids_its_arms_pairs_when_they_are_reached_and_no_others() -> None:
    person = factory.elicited(a_study())
    descriptions(person).update(state=State.FAILED)
    work()
    progress.advance(person)
    factory.judge_all(person)
    assert set(rat_pairs(person).values_list("state", "void_reason")) == {("void", "generation_failed")}
    assert Comparison.objects.filter(participant=person, arm_a="fspo", state="judged").count() == 2


def test_nothing_is_asked_for_somebody_who_left_while_they_were_described() -> None:
    person = factory.elicited(a_study())
    (row,) = descriptions(person)
    Generation.objects.filter(pk=row.pk).update(state=State.READY, text="This reader likes it short.")
    leaving.stop(person)
    settling.settle([row.pk])
    assert not Generation.objects.filter(owner=person, arm="rat", purpose="answer").exists()


def test_answers_are_asked_for_under_the_participants_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    person = factory.elicited(a_study())
    (row,) = descriptions(person)
    Generation.objects.filter(pk=row.pk).update(state=State.READY, text="This reader likes it short.")
    free: list[bool] = []

    def try_the_lock() -> None:
        try:
            with transaction.atomic():
                free.append(Participant.objects.select_for_update(skip_locked=True).filter(pk=person.pk).exists())
        finally:
            connection.close()

    def asked(*_: Any) -> None:
        other = threading.Thread(target=try_the_lock)
        other.start()
        other.join()

    monkeypatch.setattr("studyapp.services.texts.request_described", asked)
    settling.settle([row.pk])
    assert free == [False]


def test_withdrawal_erases_the_description() -> None:
    person = factory.elicited(a_study())
    work()
    leaving.withdraw(person)
    assert not Generation.objects.filter(owner_id=person.pk).exists()
