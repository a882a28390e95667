"""`make demo`: from an empty data folder to a study somebody can take, and back to nothing running."""

import fcntl
import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command

from studyapp.embedded import own_folder, private_folder
from studyapp.models import Study
from studyapp.processes import locked
from studyapp.services import studies
from studyapp.supervision import Program, Supervisor, end_leftovers, interrupted_make, is_make

ADMIN = "admin"
SLUG = "demo"
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
READY_S = 180.0


class DemoError(Exception):
    """The demo cannot run; the message says what is in the way and what to do."""


def programs(port: int) -> list[Program]:
    """What runs under the process manager: two web processes, then one worker and the clock.

    The worker waits for the web, which it would slow down: importing torch takes as long as serving the first page.
    """
    python = sys.executable
    # No access log: addresses hold resume links and panel ids.
    web = [python, "-m", "uvicorn", "studyapp.asgi:application", "--fd", "0", "--no-access-log"]
    # Django decides whom to believe about addresses (PALATE_TRUSTED_PROXIES), not the server.
    web += ["--no-proxy-headers", "--log-level", "warning", "--timeout-graceful-shutdown", "3"]
    beat = [python, "-m", "celery", "-A", "studyapp", "beat", "--loglevel", "WARNING", "--pidfile", ""]
    beat += ["--schedule", str(settings.DATA_DIR / "run" / "beat-schedule")]
    return [
        Program("web", web, stop_s=10, port=port, copies=2),
        Program("worker", [python, "manage.py", "worker", "--grace", "8"], stop_s=20, later=True),
        Program("beat", beat, stop_s=10, later=True),
    ]


def run(say: Callable[[str], Any]) -> None:
    """Bring the demo up, print its links and stay until a signal. Raises DemoError.

    Everything it started is stopped when it returns or raises.
    """
    data = own_folder(settings.DATA_DIR)
    private_folder(data / "run")
    port = wanted_port()
    for number in STOPS:
        signal.signal(number, signal.default_int_handler)
    try:
        with locked(data / "run" / "demo.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
            if end_leftovers(data):
                say("Ended what an earlier demo left running.")
            refuse_taken(port)
            with assets_built(data, say):
                say("Preparing the database ...")
                call_command("migrate", verbosity=0, interactive=False)
                login = admin_login(data)
                open_demo(say)
            supervise(data, port, login, say)
    except BlockingIOError:
        raise DemoError(
            f"A demo is running on {data} already: stop it first, or give this one a folder and a port of its own: "
            "PALATE_DATA=/another/folder PORT=8001 make demo"
        ) from None


def wanted_port() -> int:
    """PORT from the environment, 8000 by default; raises DemoError when it is no port."""
    given = os.environ.get("PORT", "").strip() or "8000"
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise DemoError(f"PORT={given}: a port is a whole number from 1 to 65535, as in PORT=8001 make demo.")
    return int(given)


def refuse_taken(port: int) -> None:
    """Raise DemoError where another program listens on `port`, or we may not."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoError(
                f"Port {port} cannot be used ({error.strerror}). Choose another: PORT={port + 1} make demo"
            ) from error


@contextmanager
def assets_built(data: Path, say: Callable[[str], Any]) -> Iterator[None]:
    """Collect, hash and compress the static files, if one of them changed, while the caller does something else.

    Raises DemoError when they cannot be built.
    """
    stamp = data / "run" / "assets"
    digest = assets_digest()
    if not settings.MANIFEST_STATIC or (stamp.exists() and stamp.read_text() == digest):
        yield
        return
    say("Building the static files ...")
    command = [sys.executable, "manage.py", "collectstatic", "--verbosity=0", "--no-input", "--clear"]
    builder = subprocess.Popen(command, cwd=settings.BASE_DIR, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        yield
        _, complaint = builder.communicate()
    finally:
        if builder.poll() is None:
            builder.kill()
            builder.wait()
    if builder.returncode:
        raise DemoError(f"The static files could not be built:\n{complaint.decode(errors='replace')[-2000:]}")
    stamp.write_text(digest)


def assets_digest() -> str:
    """Names, sizes and times of every static file, as one hash."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for name, storage in sorted(finder.list([]), key=lambda found: str(found[0])):
            found = Path(storage.path(name)).stat()
            digest.update(f"{name} {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def admin_login(data: Path) -> tuple[str, str]:
    """The researcher's account, made once; user name and password as they are to be printed."""
    path, users = data / "credentials", get_user_model().objects
    user = users.filter(username=ADMIN).first()
    kept = json.loads(path.read_text()) if path.exists() else {}
    if user is not None and kept:
        if user.check_password(kept["password"]):
            return ADMIN, kept["password"]
        return ADMIN, "(the one you set; manage.py changepassword admin sets another)"
    password = kept.get("password") or secrets.token_urlsafe(15)
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps({"user": ADMIN, "password": password}) + "\n")
    if user is None:
        users.create_superuser(ADMIN, password=password)
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
    return ADMIN, password


def open_demo(say: Callable[[str], Any]) -> None:
    """Load and open the demo study where that has not been done; a study further on in its life stays as it is."""
    folder = settings.BASE_DIR / "studies" / SLUG
    try:
        study, _ = studies.load(folder)
    except studies.StudyError as error:
        if not Study.objects.filter(slug=SLUG).exists():
            problems = "\n".join(str(problem) for problem in error.problems)
            raise DemoError(f"{error}\n{problems}".strip()) from error
        say(f"Going on with the demo study as it was opened: {error}")
        study = studies.find(SLUG)
    if study.state == Study.State.DRAFT:
        say("Opening the demo study ...")
        studies.open_study(study, skip_preflight="the demonstration study")
    elif study.state != Study.State.OPEN:
        say(f"The demo study is {study.state}: nobody new can enter. To begin afresh, set PALATE_DATA to a new folder.")


def supervise(data: Path, port: int, login: tuple[str, str], say: Callable[[str], Any]) -> None:
    """Run the programs until a signal, or make, says to stop; print the links once the site is ready."""
    parent = os.getppid()
    under_make = is_make(parent)
    supervisor = Supervisor(data, programs(port))
    say("Starting web, worker and clock ...")
    try:
        supervisor.start()
        await_ready(supervisor, port)
        supervisor.start_rest()
        say(f"Participant: http://127.0.0.1:{port}/s/{SLUG}/")
        say(f"Admin: http://127.0.0.1:{port}/admin/")
        say(f"User: {login[0]}")
        say(f"Password: {login[1]}")
        say(f"Logs are in {supervisor.logs}. Stop with Ctrl-C.")
        stay(supervisor, lambda: under_make and interrupted_make(parent), say)
    except KeyboardInterrupt:
        pass
    finally:
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)
        say("Stopping ...")
        supervisor.stop()
    say("Stopped. Everything is kept; make demo goes on from here.")


def await_ready(supervisor: Supervisor, port: int) -> None:
    """Come back when /readyz answers 200. Raises DemoError with a log's end when it will not."""
    limit = time.monotonic() + READY_S
    answer = "no answer"
    while time.monotonic() < limit:
        if not supervisor.is_up():
            raise DemoError(f"The process manager stopped. {supervisor.words('supervisord')}")
        if failed := supervisor.failed():
            raise DemoError("\n".join([f"Could not start: {', '.join(failed)}.", *map(supervisor.words, failed)]))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as response:
                if response.status == 200:
                    return
        except urllib.error.HTTPError as error:
            answer = f"{error.code}: {error.read(300).decode(errors='replace')}"
        except OSError as error:
            answer = str(error)
        time.sleep(0.2)
    raise DemoError(f"The site was not ready within {READY_S:.0f} s ({answer}). {supervisor.words('web-0')}")


def stay(supervisor: Supervisor, told: Callable[[], bool], say: Callable[[str], Any]) -> None:
    """Wait for the end, naming once each program that supervisord has given up on."""
    named: set[str] = set()
    while not told():
        if not supervisor.is_up():
            raise DemoError(f"The process manager stopped. {supervisor.words('supervisord')}")
        for name in set(supervisor.failed()) - named:
            named.add(name)
            say(f"{name} keeps failing and was given up. {supervisor.words(name)}")
        time.sleep(1)
