"""Races on real connections: each promise is shown to break once its lock is taken out."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from time import sleep
from typing import Any

import pytest
from django.db import IntegrityError, connection, connections, transaction

from annotations import selectors
from annotations import services as judging
from annotations.models import Comparison, Judgment, Preference
from annotations.services import Stored
from annotations.written import Written
from inference.models import Generation
from studyapp.models import Participant, Seat
from studyapp.services import entry, progress, strides
from studyapp.services.entry import Entry, StudyFull
from tests import factory
from tests.studyapp.test_flow import CAST, signed_in
from tests.studyapp.walk import Walker

pytestmark = pytest.mark.django_db(transaction=True)


def at_once(number: int, call: Callable[[int], Any]) -> list[Any]:
    """Run `call(i)` in `number` threads that start together, each on a connection of its own."""
    barrier = Barrier(number)

    def run(i: int) -> Any:
        try:
            connection.ensure_connection()
            barrier.wait(timeout=30)
            return call(i)
        except Exception as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(run, range(number)))


def test_a_hundred_arrivals_for_fifty_places_seat_exactly_fifty() -> None:
    study = factory.open_study(max_enrolled=50)
    outcomes: list[Any] = []
    for _ in range(2):  # Postgres allows 100 connections in all: two bursts of fifty, both into the same fifty places
        outcomes += at_once(50, lambda _: entry.enrol(study, Entry()))
    seated = [o for o in outcomes if isinstance(o, Participant)]
    refused = [o for o in outcomes if isinstance(o, StudyFull)]
    assert (len(seated), len(refused)) == (50, 50)
    assert Participant.objects.count() == 50
    assert Seat.objects.filter(state="held").count() == 50
    assert len({p.seat_id for p in seated}) == 50


def test_more_arrivals_than_places_at_once_never_share_a_seat() -> None:
    study = factory.open_study(max_enrolled=20)
    outcomes = at_once(40, lambda _: entry.enrol(study, Entry()))
    assert sum(isinstance(o, Participant) for o in outcomes) == 20
    assert sum(isinstance(o, StudyFull) for o in outcomes) == 20
    assert Participant.objects.count() == Participant.objects.values("seat").distinct().count() == 20


def test_two_tabs_entering_with_one_panel_id_make_one_person() -> None:
    study = factory.open_study()
    who = Entry(panel="prolific", panel_id="anna", panel_session="s1")
    outcomes = at_once(6, lambda _: entry.enrol(study, who))
    assert sum(isinstance(o, Participant) for o in outcomes) == 1
    assert sum(isinstance(o, entry.KnownPerson) for o in outcomes) == 5
    assert Participant.objects.count() == Seat.objects.exclude(state="free").count() == 1


def test_two_submits_of_a_choice_at_once_store_one() -> None:
    study = factory.open_study()
    anna = factory.consented(study)
    progress.begin(anna)
    pair = selectors.next_preference(anna.pk)
    assert pair is not None
    sides = ("first", "second")
    outcomes = at_once(8, lambda i: progress.choose(anna, pair.opaque_id, sides[i % 2], i))
    assert outcomes.count(Stored.NEW) == 1
    assert outcomes.count(Stored.AGAIN) == 7
    assert Preference.objects.filter(participant=anna, choice__isnull=False).count() == 1


def test_two_submits_of_the_last_shot_ask_for_the_texts_once() -> None:
    study = factory.open_study()
    anna = factory.consented(study)
    progress.begin(anna)
    for _ in range(2):
        pair = selectors.next_preference(anna.pk)
        assert pair is not None
        progress.choose(anna, pair.opaque_id, "first", None)
    last = selectors.next_preference(anna.pk)
    assert last is not None
    at_once(6, lambda _: progress.choose(anna, last.opaque_id, "first", None))
    assert Generation.objects.filter(owner=anna).count() == 5


def test_two_submits_of_a_judgment_at_once_store_one() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(anna)
    row = selectors.next_comparison(anna.pk)
    assert row is not None
    outcomes = at_once(8, lambda i: progress.judge(anna, row.opaque_id, choice=("first", "second")[i % 2], strength=1))
    assert outcomes.count(Stored.NEW) == 1, outcomes
    assert outcomes.count(Stored.AGAIN) == 7
    assert Judgment.objects.count() == 1


def test_without_the_seat_lock_two_people_would_hold_one_seat(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the same burst with SELECT ... FOR UPDATE SKIP LOCKED taken out must go wrong."""
    study = factory.open_study(max_enrolled=20)
    monkeypatch.setattr("django.db.models.query.QuerySet.select_for_update", lambda self, **_: self)
    outcomes = at_once(20, lambda _: entry.enrol(study, Entry()))
    wrong = [o for o in outcomes if not isinstance(o, Participant)]
    assert wrong, "twenty at once took twenty seats without a lock: this test proves nothing"


def test_without_locks_two_submits_could_both_think_they_were_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: row lock and conditional UPDATE out, and more than one submit reports NEW."""
    study = factory.open_study()
    anna = factory.consented(study)
    progress.begin(anna)
    pair = selectors.next_preference(anna.pk)
    assert pair is not None

    def naive(participant_id: int, opaque_id: str, choice: str, page_ms: int | None) -> Stored:
        row = Preference.objects.get(opaque_id=opaque_id)
        if row.choice:
            return Stored.AGAIN
        meeting.wait(timeout=20)
        row.choice, row.decided_at = choice, row.participant.last_seen_at
        row.save()
        return Stored.NEW

    meeting = Barrier(2)
    unlocked = Written(lambda pk: Participant.objects.filter(pk=pk), *progress.FIELDS)
    monkeypatch.setattr(progress, "LOCKED", unlocked)
    monkeypatch.setattr(judging, "record_choice", naive)
    monkeypatch.setattr(strides, "choose", lambda *_: None)  # the one statement has its own lock and its own control
    outcomes = at_once(2, lambda i: progress.choose(anna, pair.opaque_id, ("first", "second")[i], None))
    assert outcomes.count(Stored.NEW) == 2


def while_the_pair_is_held(row: Preference | Comparison, call: Callable[[int], Any]) -> list[Any]:
    """Two calls at once that meet while a third party holds the pair's own row: both have begun when it lets go."""
    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            type(row).objects.select_for_update().get(pk=row.pk)
            both = pool.submit(at_once, 2, call)
            await_waiting(2)
        return both.result()


def await_waiting(number: int) -> None:
    """Until so many statements wait for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    for _ in range(400):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")
            cursor.execute(waiting)
            if cursor.fetchone()[0] >= number:
                return
        sleep(0.05)
    raise AssertionError("nobody waits for a lock")


def first_pair() -> tuple[Participant, Preference]:
    anna = progress.begin(factory.consented(factory.open_study()))
    pair = selectors.next_preference(anna.pk)
    assert pair is not None
    return anna, pair


def first_judged() -> tuple[Participant, Comparison]:
    study = factory.open_study()
    anna = factory.elicited(study)
    factory.finish_texts(study)
    anna = progress.advance(anna)
    pair = selectors.next_comparison(anna.pk)
    assert pair is not None
    return anna, pair


def test_a_choice_in_one_statement_counts_once() -> None:
    anna, pair = first_pair()
    outcomes = while_the_pair_is_held(pair, lambda i: strides.choose(anna, pair.opaque_id, "first", i))
    assert [outcome is None for outcome in outcomes].count(False) == 1, outcomes
    assert Preference.objects.filter(participant=anna, choice__isnull=False).count() == 1


def test_a_judgment_in_one_statement_counts_once() -> None:
    anna, pair = first_judged()
    values: Any = {"choice": "first", "strength": 1, "reason": "", "page_ms": None, "input": ""}
    outcomes = while_the_pair_is_held(pair, lambda i: strides.judge(anna, pair.opaque_id, **values))
    assert [outcome is None for outcome in outcomes].count(False) == 1, outcomes
    assert Judgment.objects.count() == 1


def test_one_statement_without_its_lock_and_its_condition_would_store_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: both taken out, the second choice overwrites the first, and both report it stored."""
    anna, pair = first_pair()
    naive = strides.CHOICE_SQL.replace(" FOR UPDATE", "").replace(" AND pair.choice IS NULL", "")
    assert len(naive) < len(strides.CHOICE_SQL) - 30
    monkeypatch.setattr(strides, "CHOICE_SQL", naive)
    sides = ("first", "second")
    outcomes = while_the_pair_is_held(pair, lambda i: strides.choose(anna, pair.opaque_id, sides[i], i))
    assert [isinstance(outcome, Preference) for outcome in outcomes] == [True, True]


def test_a_judgment_without_lock_and_condition_would_be_made_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: only the judgment's unique comparison is left, and somebody gets an error."""
    anna, pair = first_judged()
    naive = strides.JUDGMENT_SQL.replace(" FOR UPDATE", "").replace(" AND pair.state = 'ready'", "")
    assert len(naive) < len(strides.JUDGMENT_SQL) - 30
    monkeypatch.setattr(strides, "JUDGMENT_SQL", naive)
    values: Any = {"choice": "first", "strength": 1, "reason": "", "page_ms": None, "input": ""}
    outcomes = while_the_pair_is_held(pair, lambda i: strides.judge(anna, pair.opaque_id, **values))
    assert sum(isinstance(outcome, IntegrityError) for outcome in outcomes) == 1, outcomes


@pytest.mark.parametrize("stage", ["shots", "judge"])
def test_two_submits_at_the_same_moment_store_one(stage: str) -> None:
    study = factory.open_study()
    person = CAST["judging" if stage == "judge" else "eliciting"][0](study)
    walkers = [signed_in(study, person).get(stage) for _ in range(2)]
    together = Barrier(2)
    seen: list[int] = []

    def click(walker: Walker, choice: str) -> None:
        together.wait(10)
        try:
            seen.append(walker.raw_post(stage, {**walker.form(), "choice": choice, "strength": "3"}).status_code)
        finally:
            connections.close_all()

    threads = [Thread(target=click, args=pair) for pair in zip(walkers, ("first", "second"), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert seen == [303, 303]
    stored = factory.choices_of(person) if stage == "shots" else list(Judgment.objects.filter(participant=person))
    assert sum(one is not None for one in stored) == 1
