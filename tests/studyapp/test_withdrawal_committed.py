"""Withdrawal where rows are committed: the trigger that keeps judgments, and a worker at work on a person's texts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest
from django.core.cache import cache
from django.db import IntegrityError, connection, connections, transaction

from annotations.models import Comparison, Judgment
from inference.models import Attempt, Generation
from inference.runner import Runner
from studyapp.models import Participant, Study
from studyapp.services import leaving
from tests import factory
from tests.studyapp import traces
from tests.studyapp.test_withdrawal import ANNA, QUERY, erase
from tests.studyapp.walk import Walker

# --- the trigger ------------------------------------------------------------------------------------------------------


def _set(person: Participant) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('palate.withdrawing', %s, true)", [str(person.pk)])


def _setting() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('palate.withdrawing', true)")
        return cursor.fetchone()[0] or ""


@pytest.fixture
def two(transactional_db: None) -> tuple[Participant, Participant]:
    """Two people who have judged everything, in committed rows."""
    study = factory.open_study(max_enrolled=4)
    return factory.completed(study), factory.completed(study)


def test_lifting_the_trigger_for_one_person_lifts_it_for_nobody_else(two: tuple[Participant, Participant]) -> None:
    anna, ben = two
    with transaction.atomic():
        _set(anna)
        with pytest.raises(IntegrityError, match="A judgment is final"), transaction.atomic():
            Judgment.objects.filter(participant=ben).delete()
        with pytest.raises(IntegrityError, match="A judgment is final"), transaction.atomic():
            Judgment.objects.filter(participant=anna).update(choice="second")
    assert Judgment.objects.count() == 14


def test_judgments_go_only_when_their_person_is_recorded_as_withdrawn(two: tuple[Participant, Participant]) -> None:
    """Lifting the trigger by hand erases nothing: the commit is refused, with the way that would be right."""
    anna, ben = two

    def lift_and_delete() -> None:
        with transaction.atomic():
            _set(anna)
            assert Judgment.objects.filter(participant=anna).delete()[0] == 7

    with pytest.raises(IntegrityError, match="its participant is not withdrawn"):
        lift_and_delete()
    assert Judgment.objects.count() == 14
    assert leaving.withdraw(anna)
    assert Judgment.objects.filter(participant=ben).count() == Judgment.objects.count() == 7


def test_the_setting_is_gone_after_the_withdrawal_committed_or_not(two: tuple[Participant, Participant]) -> None:
    anna, ben = two
    with transaction.atomic():
        leaving.withdraw(anna)
        transaction.set_rollback(True)
    assert (_setting(), Judgment.objects.filter(participant=anna).count()) == ("", 7)
    with transaction.atomic():
        leaving.withdraw(anna)
        assert _setting() == "", "gone as soon as the judgments are"
        with pytest.raises(IntegrityError, match="A judgment is final"), transaction.atomic():
            Judgment.objects.filter(participant=ben).delete()
    assert _setting() == ""
    assert Judgment.objects.filter(participant=ben).count() == 7


def test_nobody_changes_a_judgment_outside_a_withdrawal(two: tuple[Participant, Participant]) -> None:
    for change in (
        lambda: Judgment.objects.update(reason="nicer"),
        lambda: Judgment.objects.all().delete(),
        lambda: Comparison.objects.filter(participant=two[0]).delete(),
    ):
        with pytest.raises(IntegrityError, match="A judgment is final"), transaction.atomic():
            change()
    assert Judgment.objects.count() == 14


def test_without_the_trigger_a_judgment_can_be_changed(two: tuple[Participant, Participant]) -> None:
    """The negative control: it is the trigger that refuses, nothing else."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE annotations_judgment DISABLE TRIGGER judgments_are_append_only")
        assert Judgment.objects.update(reason="nicer") == 14
        transaction.set_rollback(True)
    assert not Judgment.objects.filter(reason="nicer").exists()


# --- a worker at work -------------------------------------------------------------------------------------------------


@pytest.fixture
def slow_study(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Study:
    """A study whose engine takes a while."""
    cache.clear()
    monkeypatch.setenv("PALATE_SCRIPTED", '{"delay_s": 1.2, "slots": 64}')
    return factory.open_study(max_enrolled=2)


@pytest.fixture
def working(slow_study: Study) -> Iterator[Callable[[], threading.Thread]]:
    """Start a worker that drains the study's queue in a thread of its own."""
    threads: list[threading.Thread] = []

    def start() -> threading.Thread:
        key = Generation.objects.filter(study=slow_study, state="queued").values_list("model_key", flat=True)[0]
        runner = Runner()

        def work() -> None:
            try:
                runner.drain(key)
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return threads[-1]

    yield start
    for thread in threads:
        thread.join(30)


@pytest.mark.parametrize("withdraws", [True, False], ids=["withdraws", "stays"])
def test_a_worker_that_finishes_after_the_withdrawal_writes_nothing(
    slow_study: Study, working: Callable[[], threading.Thread], caplog: pytest.LogCaptureFixture, withdraws: bool
) -> None:
    factory.finish_texts(slow_study)
    walker = Walker(slow_study).to_shots(QUERY).answer_all()
    anna = walker.person
    asked = Generation.objects.filter(owner=anna).count()
    needles = traces.needles_of(anna, *ANNA)
    worker = working()
    limit = time.monotonic() + 15
    while not Generation.objects.filter(owner=anna, state="running").exists():
        assert time.monotonic() < limit, "no worker took the texts"
        time.sleep(0.02)
    if withdraws:
        erase(walker)
        assert worker.is_alive(), "the worker was too quick for this test"
    worker.join(30)
    assert ("came late" in caplog.text) is withdraws
    if withdraws:
        assert traces.rows_with(needles) == []
        assert not Attempt.objects.exists()
        assert traces.rows_pointing_at(anna.pk).keys() == {"studyapp_event.participant_id"}
    else:  # the negative control: the same worker does write when nobody withdraws
        assert Generation.objects.filter(owner=anna, state="ready").count() == asked > 0
        assert walker.get("wait").at == walker.url("judge")
