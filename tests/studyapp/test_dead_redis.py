"""A Redis that hangs or is gone: what a participant sends is stored at once all the same."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from annotations.models import Preference
from inference import queue
from inference.models import Generation
from studyapp import live
from studyapp.embedded import Redis
from studyapp.models import Participant
from tests import factory
from tests.studyapp.walk import Walker

pytestmark = pytest.mark.django_db(transaction=True)
# One time-out of a second, and what a busy machine adds.
PATIENCE_S = 2.5


@pytest.fixture
def redis() -> Redis:
    """This run's own Redis."""
    folder = Path(os.environ["PALATE_TEST_FOLDER"]) / os.environ.get("PYTEST_XDIST_WORKER", "")
    found = Redis(folder / "redis", folder / "logs" / "redis.log")
    if found.url() != settings.REDIS_URL:
        pytest.skip("the servers were given: their Redis is not ours to stop")
    return found


@contextmanager
def hanging(redis: Redis) -> Iterator[None]:
    """Redis takes connections and answers nobody."""
    pid = redis.pid()
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def killed(redis: Redis) -> Iterator[None]:
    """Redis is gone."""
    redis.kill()
    try:
        yield
    finally:
        redis.start()


Trouble = Callable[[Redis], AbstractContextManager[None]]
both = pytest.mark.parametrize("trouble", [hanging, killed])


def seconds(act: Callable[[], object]) -> float:
    """How long it took."""
    began = time.monotonic()
    act()
    return time.monotonic() - began


def fresh() -> None:
    """As if nobody had been rung or nudged for a while."""
    queue.silence.end()
    live.pace.forget()


def at_the_last_shot() -> Walker:
    """A browser on the page of the last shot, every connection to Redis warm."""
    walker = Walker(factory.open_study(max_enrolled=3)).to_shots()
    shots = Preference.objects.filter(participant=walker.person, role="shot", choice=None)
    while shots.count() > 1:
        walker.send(choice="first")
    queue.ring("warm")
    fresh()
    return walker


@both
def test_the_last_shot_is_stored_and_its_texts_asked_for_without_waiting_for_redis(
    redis: Redis, trouble: Trouble
) -> None:
    anna = at_the_last_shot()
    with trouble(redis):
        took = seconds(lambda: anna.send(choice="first", follow=False))
        # The time-out was paid: the next answer of anybody does not pay it again.
        anna.get("shots")
        next_took = seconds(lambda: anna.send(choice="first", follow=False))
    person = anna.person
    assert person.shots_done_at is not None
    assert Preference.objects.filter(participant=person, choice="first").count() >= 4
    assert Generation.objects.filter(owner=person, state="queued").exists()
    assert took < PATIENCE_S
    assert next_took < 0.9


@both
def test_people_enter_without_waiting_for_redis(redis: Redis, trouble: Trouble) -> None:
    """The enrolment limit lives in Redis: one time-out."""
    study = factory.open_study(max_enrolled=3)
    ben = Walker(study).get()
    fresh()
    with trouble(redis):
        took = seconds(lambda: ben.send(follow=False))
    assert Participant.objects.filter(study=study, state="enrolled").count() == 1
    assert took < PATIENCE_S


@both
def test_a_finished_text_does_not_hold_its_worker_up(redis: Redis, trouble: Trouble) -> None:
    person = factory.elicited(factory.open_study(max_enrolled=3))
    ids = list(Generation.objects.filter(owner=person).values_list("pk", flat=True))
    fresh()
    with trouble(redis):
        took = seconds(lambda: [live.generations_changed([pk]) for pk in ids])
        assert seconds(live.delivered) < PATIENCE_S
    assert len(ids) > 2
    assert took < 0.9


@both
def test_readyz_tells_of_it_within_a_moment(redis: Redis, trouble: Trouble) -> None:
    with trouble(redis):
        began = time.monotonic()
        answer = Client().get("/readyz")
        took = time.monotonic() - began
    assert (answer.status_code, answer.json()["parts"]["redis"]) == (200, "does not answer")
    assert took < PATIENCE_S
    assert Client().get("/readyz").json()["parts"]["redis"] == "ok"
