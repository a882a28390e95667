"""Fault drills with real worker processes: whatever is killed, every generation arrives exactly once."""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.db import connection

from inference import queue
from inference.contracts import REQUEST_VERSION
from inference.models import Attempt, Generation
from inference.workroom import POLL_S
from studyapp.embedded import Servers
from tests.drills.plant import plant
from tests.drills.workers import LEASE_S, Site, database_url, wait_until


@pytest.fixture
def site(transactional_db: None, tmp_path: Path) -> Iterator[Site]:
    """The tests' own database, with real workers on it."""
    url = database_url(str(connection.settings_dict["NAME"]))
    site = Site({**os.environ, "DATABASE_URL": url}, tmp_path)
    yield site
    site.end()


@pytest.fixture
def own_site(own_servers: Servers, tmp_path: Path) -> Iterator[Site]:
    """A database and a broker that may be killed."""
    site = Site(own_servers.environ(), tmp_path)
    site.manage("migrate", "--verbosity=0")
    yield site
    site.end()


@pytest.fixture
def small_disk(short_path: Path) -> Iterator[Path]:
    """A file system of its own for the data folder, small enough to fill."""
    folder = short_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


BOTH = pytest.mark.parametrize("stream", [False, True], ids=["in batches", "one by one"])


@pytest.mark.parametrize(
    "stream", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["in batches", "one by one"]
)
def test_after_sigkill_in_mid_batch_every_generation_arrives_exactly_once(site: Site, stream: bool) -> None:
    ids = plant(8, {"slots": 4, "delay_s": 0.7, "stream": stream})
    doomed = site.worker()
    held = site.await_running()
    doomed.kill()
    assert site.count("running") == len(held) == 4, "it was killed with rows in its hands"
    site.worker()
    site.await_ready(8)
    site.assert_each_arrived_once(ids)
    histories = site.histories()
    assert all(histories[pk] == ["worker_lost", "ready"] for pk in held)
    assert all(histories[pk] == ["ready"] for pk in set(ids) - set(held))


@pytest.mark.slow
def test_two_workers_on_one_queue_make_every_text_exactly_once(site: Site) -> None:
    site.worker()
    site.worker()
    first = plant(1, {"slots": 1, "delay_s": 0.1})
    site.await_ready(1)
    ids = first + plant(40, {"slots": 1, "delay_s": 0.1})
    site.await_ready(41)
    site.assert_each_arrived_once(ids)
    assert Attempt.objects.count() == 41
    assert Attempt.objects.values("worker").distinct().count() == 2, "both took part"


@pytest.mark.slow
def test_a_doorbell_is_answered_before_the_worker_would_have_looked_by_itself(site: Site) -> None:
    site.worker()
    plant(1, {"slots": 4})
    site.await_ready(1)
    time.sleep(3 * POLL_S)
    waits: list[float] = []
    for number in range(2, 12):
        time.sleep(0.3)
        began = time.monotonic()
        plant(1, {"slots": 4})
        site.await_ready(number)
        waits.append(time.monotonic() - began)
    assert statistics.median(waits) < POLL_S / 4, waits


@pytest.mark.slow
@BOTH
def test_a_worker_that_was_stopped_past_its_lease_comes_late_and_changes_nothing(site: Site, stream: bool) -> None:
    ids = plant(4, {"slots": 4, "delay_s": 1.0, "stream": stream})
    slow = site.worker()
    assert len(site.await_running()) == 4
    slow.signal(signal.SIGSTOP)
    time.sleep(LEASE_S + 0.5)
    site.worker()
    site.await_ready(4)
    texts = dict(Generation.objects.values_list("pk", "text"))
    slow.signal(signal.SIGCONT)
    wait_until(lambda: slow.said("came late"), what="the late worker's write")
    site.assert_each_arrived_once(ids)
    assert dict(Generation.objects.values_list("pk", "text")) == texts
    assert set(map(tuple, site.histories().values())) == {("worker_lost", "ready")}
    assert slow.process.poll() is None, "it goes on working"


@pytest.mark.slow
@BOTH
def test_a_worker_that_finishes_after_a_withdrawal_leaves_no_trace(site: Site, stream: bool) -> None:
    ids = plant(4, {"slots": 4, "delay_s": 2.0, "stream": stream}, owned=True)
    worker = site.worker()
    assert len(site.await_running()) == 4
    owner_id = Generation.objects.filter(pk=ids[0]).values_list("owner_id", flat=True).get()
    assert owner_id is not None
    assert queue.erase(owner_id=owner_id) == 4
    wait_until(lambda: worker.said("came late"), what="the late worker's write")
    assert not Generation.objects.exists()
    assert not Attempt.objects.exists()


@pytest.mark.slow
@BOTH
def test_sigterm_lets_a_short_batch_finish_and_takes_no_other(site: Site, stream: bool) -> None:
    ids = plant(8, {"slots": 4, "delay_s": 1.5, "stream": stream})
    worker = site.worker()
    held = site.await_running()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(30) == 0
    assert {pk: history for pk, history in site.histories().items() if history} == {pk: ["ready"] for pk in held}
    assert (site.count("ready"), site.count("queued")) == (4, 4)
    site.worker()
    site.await_ready(8)
    site.assert_each_arrived_once(ids)


@pytest.mark.slow
@BOTH
def test_sigterm_gives_back_a_batch_that_takes_too_long(site: Site, stream: bool) -> None:
    ids = plant(4, {"slots": 4, "delay_s": 30.0, "stream": stream})
    worker = site.worker("--grace", "0.5")
    site.await_running()
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0
    assert site.histories() == {pk: ["returned"] for pk in ids}
    assert site.count("queued") == 4


@pytest.mark.slow
def test_without_redis_and_after_its_return_every_generation_arrives_exactly_once(
    own_site: Site, own_servers: Servers
) -> None:
    options = {"slots": 4, "delay_s": 0.5}
    own_site.worker()
    ids = own_site.plant(12, **options)
    own_site.await_running()
    own_servers.redis.client().flushall()
    own_site.await_ready(12)

    own_servers.redis.kill()
    ids += own_site.plant(12, **options)
    own_site.await_ready(24)
    own_site.assert_each_arrived_once(ids)

    own_servers.redis.start()
    ids += own_site.plant(4, **options)
    own_site.await_ready(28)
    own_site.assert_each_arrived_once(ids)
    key = own_site.query("SELECT DISTINCT model_key FROM inference_generation")[0][0]
    bells = queue.queue_name(key)
    wait_until(lambda: own_servers.redis.client().llen(bells) == 0, 60, "hearing doorbells again")


@pytest.mark.slow
def test_a_redis_that_is_flushed_and_dead_from_the_start_loses_nothing(own_site: Site, own_servers: Servers) -> None:
    own_servers.redis.kill()
    ids = own_site.plant(6, slots=2, delay_s=0.1)
    worker = own_site.worker()
    own_site.await_ready(6)
    own_site.assert_each_arrived_once(ids)
    worker.signal(signal.SIGTERM)
    worker.process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_after_a_restart_of_postgres_every_generation_arrives_exactly_once(
    own_site: Site, own_servers: Servers, how: str
) -> None:
    ids = own_site.plant(16, slots=4, delay_s=1.0)
    worker = own_site.worker()
    own_site.await_running()
    getattr(own_servers.postgres, how)()
    time.sleep(1.5)
    own_servers.postgres.start()
    own_site.await_ready(16, 90)
    own_site.assert_each_arrived_once(ids)
    assert worker.process.poll() is None, "it survived"


@pytest.mark.slow
@BOTH
def test_an_engine_that_returns_garbage_now_and_then_costs_nobody_a_text(site: Site, stream: bool) -> None:
    ids = plant(
        60, {"slots": 4, "stream": stream, "empty_every": 19, "loop_every": 23, "truncate_every": 29, "fail_every": 31}
    )
    site.worker()
    site.await_ready(60, 90)
    site.assert_each_arrived_once(ids)
    bad = {outcome for history in site.histories().values() for outcome in history} - {"ready"}
    assert bad, "nothing went wrong: this drill shows nothing"
    assert bad <= {"empty", "degenerate", "truncated", "transient"}


@pytest.mark.slow
@BOTH
def test_the_texts_of_an_engine_that_hangs_are_left_to_others(site: Site, stream: bool) -> None:
    ids = plant(6, {"slots": 2, "stream": stream})
    hung = site.worker(PALATE_SCRIPTED='{"hang_s": 600}', PALATE_GENERATION_LIMIT_S="3")
    assert len(site.await_running()) == 2
    wait_until(lambda: hung.said("has hung for 3 s"), what="saying that the engine hangs")
    site.worker()
    site.await_ready(6, 60)
    site.assert_each_arrived_once(ids)


@pytest.mark.slow
def test_a_full_data_folder_delays_texts_and_loses_none(small_disk: Path, tmp_path: Path) -> None:
    servers = Servers(small_disk / "data")
    servers.start()
    site = Site(servers.environ(), tmp_path)
    try:
        site.manage("migrate", "--verbosity=0")
        ids = site.plant(60, slots=4, delay_s=0.3)
        worker = site.worker()
        site.await_ready(4)
        fill(small_disk / "filler")
        wait_until(lambda: worker.said("No space left on device"), 60, "a write that finds no room")
        time.sleep(3)
        assert site.count("ready") < 60
        (small_disk / "filler").unlink()
        if servers.postgres.pid() is None:
            servers.postgres.start()
        site.await_ready(60, 120)
        site.assert_each_arrived_once(ids)
        assert worker.process.poll() is None, "it survived"
    finally:
        site.end()
        servers.stop()


def fill(path: Path) -> None:
    """Write until nothing fits any more."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


@pytest.mark.slow
def test_a_worker_of_an_older_version_leaves_newer_requests_to_newer_workers(site: Site) -> None:
    old = plant(4, {"slots": 4, "delay_s": 0.1})
    site.worker()
    site.await_ready(4)
    new = plant(8, {"slots": 4, "delay_s": 0.1})[4:]
    Generation.objects.filter(pk__in=new).update(request_version=REQUEST_VERSION + 1)
    site.await_ready(8)
    time.sleep(2 * POLL_S)
    assert set(Generation.objects.filter(pk__in=new).values_list("state", "tries")) == {("queued", 0)}
    site.upgraded_worker()
    site.await_ready(12)
    assert all(history == ["ready"] for history in site.histories().values())
    assert len(old) == 4
