"""The threads of a worker: they find their work without a bell, at once with one, and leave in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from inference import workroom
from inference.contracts import (
    ModelSpec,
)
from inference.engines.scripted import ScriptedEngine
from inference.models import Generation
from inference.runner import Runner
from inference.workroom import WorkRoom
from tests.inference.drained import Outcome, State, ask, outcomes, wait_until

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_bells")]


@pytest.fixture
def rooms() -> Iterator[list[WorkRoom]]:
    """Rooms that are stopped after the test."""
    opened: list[WorkRoom] = []
    yield opened
    for room in opened:
        room.stop(5)
    workroom.open_room(None)


def test_a_worker_finds_its_work_without_any_doorbell(rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workroom, "POLL_S", 0.1)
    rooms.append(WorkRoom())
    rooms[0].start()
    _, ids = ask(5)
    wait_until(lambda: Generation.objects.filter(pk__in=ids, state=State.READY).count() == 5)


def test_a_doorbell_wakes_the_models_thread_at_once(rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workroom, "POLL_S", 60)
    rooms.append(WorkRoom())
    workroom.open_room(rooms[0])
    rooms[0].start()
    time.sleep(0.3)
    key, ids = ask(5)
    workroom.bell(key)
    wait_until(lambda: Generation.objects.filter(pk__in=ids, state=State.READY).count() == 5)


def test_a_worker_leaves_the_models_of_others_alone(rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workroom, "POLL_S", 0.1)
    monkeypatch.setattr(workroom, "HEARING_S", 0.1)
    mine, ids = ask(2)
    theirs, others = ask(2, slots=3)
    heard: list[str] = []
    rooms.append(WorkRoom(serves={mine}, listen=heard.append))
    rooms[0].start()
    assert not rooms[0].ring(theirs)
    wait_until(lambda: Generation.objects.filter(pk__in=ids, state=State.READY).count() == 2)
    time.sleep(0.3)
    assert Generation.objects.filter(pk__in=others, state=State.QUEUED).count() == 2
    assert heard == [mine]


def test_a_broker_that_never_answers_keeps_nobody_from_working(
    rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workroom, "POLL_S", 0.1)
    monkeypatch.setattr(workroom, "HEARING_S", 0.0)
    hanging = threading.Event()
    released = threading.Event()

    def listen(key: str) -> None:
        hanging.set()
        released.wait(20)

    rooms.append(WorkRoom(listen=listen))
    rooms[0].start()
    ask(1)
    assert hanging.wait(5)
    _, ids = ask(3, slots=5)
    wait_until(lambda: Generation.objects.filter(pk__in=ids, state=State.READY).count() == 3)
    released.set()


def test_a_worker_that_must_leave_gives_back_what_it_cannot_finish(
    rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workroom, "POLL_S", 0.1)
    _, (pk,) = ask(delay_s=3.0)
    room = WorkRoom()
    room.start()
    wait_until(lambda: Generation.objects.filter(state=State.RUNNING).exists())
    assert not room.stop(0.2)
    row = Generation.objects.get(pk=pk)
    assert (row.state, outcomes(pk)) == (State.QUEUED, [Outcome.RETURNED])
    rooms.append(WorkRoom())
    rooms[0].start()
    wait_until(lambda: Generation.objects.filter(state=State.READY).exists())
    time.sleep(0.5)
    assert outcomes(pk) == [Outcome.RETURNED, Outcome.READY]


def test_without_a_room_the_task_itself_drains() -> None:
    from inference.tasks import drain as task

    key, ids = ask(2)
    task(key)
    assert Generation.objects.filter(pk__in=ids, state=State.READY).count() == 2


def test_an_engine_that_starts_late_is_tried_again_by_itself(
    rooms: list[WorkRoom], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("inference.runner.START_DELAY_S", 0.2)
    monkeypatch.setattr(workroom, "POLL_S", 60)
    broken = [True, True]

    def load(spec: ModelSpec) -> ScriptedEngine:
        if broken:
            broken.pop()
            raise OSError("the disk is away")
        return ScriptedEngine(spec.options)

    _, ids = ask(2)
    rooms.append(WorkRoom(runner=Runner(load=load)))
    rooms[0].start()
    wait_until(lambda: Generation.objects.filter(pk__in=ids, state=State.READY).count() == 2)
    assert caplog.text.count("the disk is away; its queue waits") == 2
    assert {row.error for row in Generation.objects.all()} == {""}
