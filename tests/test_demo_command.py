"""`make demo`, as somebody with a terminal, or a machine without one, meets it."""

import http.cookiejar
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from studyapp.processes import end_with_parent
from studyapp.supervision import MARK

BASE = Path(__file__).resolve().parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
# What the test run set for itself and a person would not have.
OURS = (
    "DATABASE_URL",
    "REDIS_URL",
    "SECRET_KEY",
    "PALATE_HTTPS",
    "PALATE_MANIFEST_STATIC",
    "DJANGO_ALLOW_ASYNC_UNSAFE",
)


def _as_from_a_terminal() -> None:
    """A killed run leaves no demo; one in the background of a shell, which ignores SIGINT, does not hand that on."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Demo:
    """A running `make demo`: its process and what it printed."""

    def __init__(self, data: Path, port: int) -> None:
        self.data = data
        self.port = port
        environ = {name: value for name, value in os.environ.items() if name not in OURS}
        self.process = subprocess.Popen(
            ["make", "--no-print-directory", "demo"],
            cwd=BASE,
            env=environ | {"PALATE_DATA": str(data), "PORT": str(port)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=_as_from_a_terminal,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def printed(self) -> str:
        return "\n".join(self.lines)

    def value(self, name: str, seconds: float = 240) -> str:
        """What was printed behind `name: `, waiting for it."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and self.process.poll() is None:
            for line in self.lines:
                if line.startswith(f"{name}: "):
                    return line.removeprefix(f"{name}: ")
            time.sleep(0.1)
        raise AssertionError(f"no {name} in:\n{self.printed}")

    def launcher(self) -> psutil.Process:
        """The process that make started."""
        return next(
            child for child in psutil.Process(self.process.pid).children(recursive=True) if "demo" in child.cmdline()
        )

    def ended(self, seconds: float = 90) -> int:
        """The exit status, once it and its output have ended."""
        status = self.process.wait(timeout=seconds)
        self._reader.join(timeout=10)
        return status


def family(data: Path) -> list[str]:
    """Every process that belongs to a demo on `data`, however it was cut loose."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            environ, line = process.environ(), " ".join(process.cmdline())
            marked = environ.get(MARK) == str(data) or environ.get("PALATE_DATA") == str(data)
            if marked or str(data) in line or process.cwd().startswith(str(data)):
                found.append(f"{process.pid} {line}")
        except psutil.Error:
            continue
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=20) as response:
        return response.status, response.read().decode()


@pytest.fixture(scope="module")
def data() -> Iterator[Path]:
    """One data folder for this file, so that the tests also resume each other's demo."""
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=os.environ.get("PALATE_TEST_FOLDER")))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def demo(data: Path) -> Iterator[Callable[[], Demo]]:
    """Starts demos, and ends what a failing test left of them."""
    started: list[Demo] = []

    def start() -> Demo:
        started.append(Demo(data, free_port()))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.terminate()
            each.ended()


def test_it_prints_its_links_serves_and_on_sigterm_leaves_no_process(demo: Callable[[], Demo], data: Path) -> None:
    first = demo()
    password = first.value("Password")
    assert first.value("Participant") == f"http://127.0.0.1:{first.port}/s/demo/"
    assert first.value("Admin") == f"http://127.0.0.1:{first.port}/admin/"
    assert first.value("User") == "admin"
    assert re.fullmatch(r"[\w-]{20}", password)
    assert get(first.value("Participant"))[0] == 200
    assert len(family(data)) > 5, "the check below would see nothing"
    first.process.terminate()
    first.ended()
    assert family(data) == []

    second = demo()
    assert second.value("Password") == password
    assert "Building the static files" not in second.printed
    assert signs_in(second, password)
    os.killpg(second.process.pid, signal.SIGINT)
    second.ended()
    assert family(data) == []


def signs_in(demo: Demo, password: str) -> bool:
    """Whether the printed password opens the admin site."""
    cookies = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(cookies))
    page = browser.open(demo.value("Admin"), timeout=30).read().decode()
    token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert token is not None
    form = {"csrfmiddlewaretoken": token[1], "username": "admin", "password": password, "next": "/admin/"}
    browser.open(f"{demo.value('Admin')}login/", urllib.parse.urlencode(form).encode(), timeout=30)
    return any(cookie.name == "sessionid" for cookie in cookies)


def test_an_interrupt_sent_to_make_alone_is_a_stop_too(demo: Callable[[], Demo], data: Path) -> None:
    running = demo()
    running.value("Password")
    running.process.send_signal(signal.SIGINT)
    running.ended()
    assert family(data) == []


def test_a_test_run_that_is_killed_leaves_no_demo_behind(data: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from tests.test_demo_command import Demo, free_port; "
        "Demo(Path(sys.argv[1]), free_port()).value('Password'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    run = subprocess.run([sys.executable, "-c", script, str(data)], cwd=BASE, check=False, timeout=300)
    assert run.returncode == -signal.SIGKILL
    limit = time.monotonic() + 60
    while family(data) and time.monotonic() < limit:
        time.sleep(0.2)
    assert family(data) == []


def test_secrets_and_logs_are_private(demo: Callable[[], Demo], data: Path) -> None:
    running = demo()
    running.value("Password")
    for name in ("credentials", "secret_key", "logs", "run", "redis", "postgres"):
        assert (data / name).stat().st_mode & 0o077 == 0, name
    running.process.terminate()
    running.ended()


def test_a_second_demo_on_the_same_data_is_refused_and_the_first_goes_on(demo: Callable[[], Demo]) -> None:
    running = demo()
    page = running.value("Participant")
    running.value("Password")
    second = demo()
    assert second.ended() != 0
    assert "is running on" in second.printed
    assert "Traceback" not in second.printed
    assert get(page)[0] == 200
    running.process.terminate()
    running.ended()


def test_what_a_killed_launcher_left_is_ended_by_itself_or_by_the_next_start(
    demo: Callable[[], Demo], data: Path
) -> None:
    killed = demo()
    killed.value("Password")
    killed.launcher().kill()
    killed.ended()
    after = demo()
    after.value("Password")
    assert get(after.value("Participant"))[0] == 200
    manager = [pid for pid in family(data) if "supervisord" in pid]
    assert len(manager) == 1
    after.process.terminate()
    after.ended()
    assert family(data) == []


def test_what_a_killed_process_manager_left_is_ended(demo: Callable[[], Demo], data: Path) -> None:
    running = demo()
    running.value("Password")
    launcher = running.launcher()
    manager = next(child for child in launcher.children() if "supervisor.supervisord" in child.cmdline())
    manager.kill()
    assert running.ended() != 0
    assert "The process manager stopped" in running.printed
    assert "Traceback" not in running.printed
    assert family(data) == []


def test_a_killed_web_process_is_replaced_while_the_other_serves(demo: Callable[[], Demo], data: Path) -> None:
    running = demo()
    page = running.value("Participant")
    running.value("Password")
    victim, other = web_processes(running)
    victim.kill()
    for _ in range(10):
        assert get(page)[0] == 200
    limit = time.monotonic() + 60
    while len(now := web_processes(running)) < 2 and time.monotonic() < limit:
        time.sleep(0.2)
    assert other in now
    assert len(now) == 2
    for process in now:
        process.kill()
    limit, answered = time.monotonic() + 90, False
    while not answered and time.monotonic() < limit:
        try:
            answered = get(page)[0] == 200
        except OSError:
            time.sleep(0.5)
    assert answered
    running.process.terminate()
    running.ended()
    assert family(data) == []


def web_processes(demo: Demo) -> list[psutil.Process]:
    """The living uvicorn processes of a demo."""
    found = []
    for child in demo.launcher().children(recursive=True):
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and "uvicorn" in child.cmdline():
                found.append(child)
    return found


def test_a_taken_port_is_named_with_the_way_out(data: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        refused = Demo(data, taken.getsockname()[1])
        assert refused.ended() != 0
    assert f"Port {refused.port} cannot be used" in refused.printed
    assert f"PORT={refused.port + 1} make demo" in refused.printed
    assert "Traceback" not in refused.printed
    assert family(data) == []
