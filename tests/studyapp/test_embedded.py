"""The embedded servers: shared, private, and gone when the last user is."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from studyapp import embedded
from studyapp.embedded import EmbeddedError, Servers, own_folder, running
from tests.plugin import discard

BASE = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """A data folder that the tests here use one after the other, so that only the first makes a cluster."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=os.environ.get("PALATE_TEST_FOLDER")))
    folder.chmod(0o711)
    yield folder
    Servers(folder).stop()
    shutil.rmtree(folder)


def server_pids(data: Path) -> set[int]:
    """Every process whose command line or working folder lies under `data`."""
    found = set()
    for process in psutil.process_iter():
        try:
            if str(data) in process.cwd() or str(data) in " ".join(process.cmdline()):
                found.add(process.pid)
        except psutil.Error:
            continue
    return found


def other_user(data: Path) -> "subprocess.Popen[str]":
    """A second process that uses the servers under `data` until its standard input closes."""
    program = (
        "import sys; from pathlib import Path; from studyapp.embedded import running\n"
        f"with running(Path({str(data)!r}), durable=False):\n    print('up', flush=True); sys.stdin.read()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=BASE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "up\n"
    return child


def test_both_servers_answer_and_leave_nothing_running(data: Path) -> None:
    with running(data, durable=False) as found:
        with psycopg.connect(found["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.from_url(found["REDIS_URL"]).ping()
        assert server_pids(data) - {os.getpid()}
    assert server_pids(data) - {os.getpid()} == set()


def test_rows_outlive_a_stop_and_a_start(data: Path) -> None:
    with running(data, durable=False) as found, psycopg.connect(found["DATABASE_URL"]) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        redis.from_url(found["REDIS_URL"]).set("kept", "7")
    with running(data, durable=False) as found, psycopg.connect(found["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        assert redis.from_url(found["REDIS_URL"]).get("kept") == b"7"


def test_a_second_process_shares_the_servers_and_leaves_them_running(data: Path) -> None:
    with running(data, durable=False) as found:
        before = Servers(data).postgres.pid()
        other_user(data).communicate(timeout=20)
        assert Servers(data).postgres.pid() == before
        with psycopg.connect(found["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.from_url(found["REDIS_URL"]).ping()


def test_the_last_to_leave_stops_the_servers_whoever_started_them(data: Path) -> None:
    with running(data, durable=False):
        other = other_user(data)
    assert Servers(data).postgres.pid() is not None
    other.communicate(timeout=20)
    assert server_pids(data) - {os.getpid()} == set()


def test_what_a_killed_process_left_running_is_used_and_then_stopped(data: Path) -> None:
    other = other_user(data)
    left = Servers(data).postgres.pid()
    other.kill()
    other.communicate(timeout=20)
    assert Servers(data).postgres.pid() == left
    with running(data, durable=False):
        assert Servers(data).postgres.pid() == left
    assert server_pids(data) - {os.getpid()} == set()


def test_two_processes_that_start_at_once_get_one_server(data: Path) -> None:
    program = (
        "from pathlib import Path; from studyapp.embedded import *\n"
        f"with running(Path({str(data)!r}), durable=False):\n"
        f"    print(Servers(Path({str(data)!r})).postgres.pid(), flush=True); input()"
    )
    pair = [
        subprocess.Popen(
            [sys.executable, "-c", program], cwd=BASE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    seen = {child.stdout.readline().strip() for child in pair if child.stdout}
    for child in pair:
        child.communicate("\n", timeout=20)
    assert len(seen) == 1
    assert seen != {"None"}
    assert server_pids(data) - {os.getpid()} == set()


@pytest.mark.slow
def test_a_stale_pid_file_that_names_somebody_elses_process_is_no_obstacle(data: Path) -> None:
    with running(data, durable=False):
        postgres_pid = (data / "postgres" / "postmaster.pid").read_text()
        redis_pid = (data / "redis" / "redis.pid").read_text()
    mine = str(os.getpid())
    (data / "postgres" / "postmaster.pid").write_text(postgres_pid.replace(postgres_pid.split()[0], mine, 1))
    (data / "redis" / "redis.pid").write_text(redis_pid.replace(redis_pid.strip(), mine))
    with running(data, durable=False) as found, psycopg.connect(found["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_killed_servers_come_back_at_the_same_address_with_what_was_committed(data: Path) -> None:
    with running(data) as before:
        servers = Servers(data)
        with psycopg.connect(before["DATABASE_URL"]) as connection:
            connection.execute("CREATE TABLE committed AS SELECT 7 AS n")
        servers.postgres.kill()
        servers.redis.kill()
        assert (servers.postgres.url(), servers.redis.url()) == (None, None)
        assert servers.start() == before
        with psycopg.connect(before["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT n FROM committed").fetchone() == (7,)


@pytest.mark.slow
def test_a_damaged_redis_file_is_put_aside(data: Path) -> None:
    with running(data, durable=False):
        pass
    (data / "redis" / "appendonly.aof").write_bytes(b"nonsense\r\n" * 9)
    with running(data, durable=False) as found:
        assert redis.from_url(found["REDIS_URL"]).dbsize() == 0
    assert (data / "redis" / "appendonly.broken").exists()


@pytest.mark.slow
def test_a_start_killed_half_way_leaves_no_half_of_a_cluster(short_path: Path) -> None:
    half = short_path / "postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    with running(short_path, durable=False) as found, psycopg.connect(found["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_no_other_account_reaches_a_socket_or_a_secret_and_no_port_is_open(data: Path) -> None:
    with running(data, durable=False):
        embedded.secret_key(data)
        assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
        sockets = [path for path in data.rglob("*") if path.is_socket()]
        assert len(sockets) == 2
        for path in sockets:
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0
            assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
        for server in (Servers(data).postgres, Servers(data).redis):
            assert psutil.Process(server.pid()).net_connections(kind="inet") == []


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts Postgres as somebody else")
def test_a_closed_parent_folder_stays_closed_to_everybody_else(short_path: Path) -> None:
    closed = short_path / "home"
    closed.mkdir(mode=0o700)
    with running(closed / "palate", durable=False):
        refused = subprocess.run(["ls", str(closed)], user="nobody", cwd="/", capture_output=True, check=False)
        entered = subprocess.run(["test", "-x", str(closed)], user="nobody", cwd="/", check=False)
    assert refused.returncode != 0
    assert entered.returncode != 0
    assert stat.S_IMODE(closed.stat().st_mode) & 0o007 == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long" * 30, "with space, comma & 100%"])
def test_any_folder_name_will_do(short_path: Path, name: str) -> None:
    data = short_path / name
    with running(data, durable=False) as found:
        with psycopg.connect(found["DATABASE_URL"]) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        assert redis.from_url(found["REDIS_URL"]).ping()
        folder = Path(found["REDIS_URL"].removeprefix("unix://")).parent
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert server_pids(data) - {os.getpid()} == set()
    assert not folder.exists(), "its sockets lay under /tmp"


def test_a_socket_folder_of_somebody_else_is_refused(short_path: Path) -> None:
    home = short_path / ("long" * 30)
    taken = embedded.socket_folder(home, os.geteuid())
    try:
        taken.chmod(0o777)
        with pytest.raises(EmbeddedError, match="belongs to somebody else"):
            embedded.socket_folder(home, os.geteuid())
    finally:
        taken.rmdir()


def test_a_data_folder_that_is_a_file_is_refused_with_the_way_out(short_path: Path) -> None:
    (short_path / "data").write_text("")
    with pytest.raises(EmbeddedError, match="Set PALATE_DATA"), running(short_path / "data"):
        pass


def test_given_servers_are_used_and_nothing_is_started(short_path: Path) -> None:
    given = {"PALATE_DATA": str(short_path), "DATABASE_URL": "postgres://db/palate", "REDIS_URL": "redis://r:6379"}
    environ = dict(given)
    with embedded.environment(environ=environ):
        assert {name: environ[name] for name in given} == given
        assert len(environ["SECRET_KEY"]) >= 50
    assert not (short_path / "postgres").exists()
    assert not (short_path / "redis").exists()


def test_what_a_killed_test_run_left_is_stopped_wherever_it_lies_in_its_folder(short_path: Path) -> None:
    folders = [short_path, short_path / "gw0", short_path / "own-abc" / "data"]
    for folder in folders:
        own_folder(folder)
        Servers(folder).redis.start()
    assert all(server_pids(folder) for folder in folders)
    discard(short_path)
    assert [server_pids(folder) for folder in folders] == [set(), set(), set()]
    assert not short_path.exists()


def test_the_secret_key_is_drawn_once(data: Path) -> None:
    assert embedded.secret_key(data) == embedded.secret_key(data)
    assert embedded.secret_key(data) != embedded.secret_key(data / "another")


def test_a_lone_command_stops_the_servers_it_started_even_on_sigterm(data: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    command = subprocess.Popen(
        [sys.executable, "manage.py", "shell", "-c", "print('up', flush=True); input()"],
        cwd=BASE,
        env=environ | {"PALATE_DATA": str(data)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert command.stdout is not None
    lines = iter(command.stdout.readline, "")
    assert any(line == "up\n" for line in lines)
    assert server_pids(data)
    command.send_signal(signal.SIGTERM)
    command.communicate(timeout=20)
    assert command.returncode == 128 + signal.SIGTERM
    assert server_pids(data) == set()


def test_a_command_that_needs_no_database_starts_none(short_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    subprocess.run(
        [sys.executable, "manage.py", "version"],
        cwd=BASE,
        env=environ | {"PALATE_DATA": str(short_path)},
        check=True,
        capture_output=True,
    )
    assert not (short_path / "postgres").exists()
