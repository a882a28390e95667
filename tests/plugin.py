"""A pytest plugin (`-p tests.plugin`) that puts real servers under the tests before Django reads its settings.

One Postgres and one Redis in a private folder under /tmp serve a whole run. With xdist every worker has a database of
its own in that Postgres, made by pytest-django, and a Redis of its own. `PALATE_TEST_SERVERS=given` uses the servers
that DATABASE_URL and REDIS_URL name instead; their Redis databases 0 to 2 are emptied by the tests.
"""

import atexit
import fcntl
import gc
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from studyapp.embedded import Servers, own_folder
from studyapp.processes import locked

PREFIX = "palate-test-"
BROWSER = Path(__file__).resolve().parent / "browser"
# A test process holds a million objects that stay; looking through them as often as Python does costs a tenth of a run.
GARBAGE = (100_000, 20, 100)
# A folder younger than this may not have taken its lock yet.
NEW_S = 60
_held = ExitStack()
atexit.register(_held.close)


def sweep() -> None:
    """Stop the servers and remove the folders of test runs that were killed: their lock is free."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > NEW_S:
                _discard_if_abandoned(folder)


def _discard_if_abandoned(folder: Path) -> None:
    with locked(folder / "alive.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
        discard(folder)


def discard(folder: Path) -> None:
    """Stop every server below `folder` and remove it."""
    left = [path for depth in ("", "*/", "*/*/") for path in folder.glob(f"{depth}*/*.pid")]
    for data in {path.parent.parent for path in left if path.name in ("postmaster.pid", "redis.pid")}:
        Servers(data).stop()
    shutil.rmtree(folder, ignore_errors=True)


def start_servers() -> Path:
    """Start the run's servers, or this xdist worker's Redis, and point the environment at them; their folder."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker:
        folder = own_folder(Path(os.environ["PALATE_TEST_FOLDER"]) / worker)
    else:
        sweep()
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
        _held.enter_context(locked(folder / "alive.lock"))
        os.environ["PALATE_TEST_FOLDER"] = str(folder)
    servers = Servers(folder, durable=False)
    if not worker:
        os.environ["DATABASE_URL"] = servers.postgres.start()
    os.environ["REDIS_URL"] = servers.redis.start()
    return folder


def prepare_environment(folder: Path) -> None:
    """What the tests' settings differ in: plain HTTP, a data folder that goes away, no built assets."""
    os.environ["PALATE_DATA"] = str(own_folder(folder / "data"))
    os.environ["SECRET_KEY"] = secrets.token_urlsafe(48)
    os.environ["PALATE_HTTPS"] = "0"
    os.environ["PALATE_MANIFEST_STATIC"] = "0"
    os.environ.pop("DEBUG", None)
    # Every process here, and every program that a test starts, would compile Palate anew.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    sys.dont_write_bytecode = False
    # Synchronous Playwright keeps an event loop running in the thread that uses the ORM.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Iterator[None]:
    """Before pytest-django's hook of this name reads the settings."""
    if not {"-h", "--help", "--version", "-V"} & set(early_config.invocation_params.args):
        if os.environ.get("PALATE_TEST_SERVERS") == "given":
            folder = Path(tempfile.mkdtemp(prefix=PREFIX))
            _held.callback(shutil.rmtree, folder, ignore_errors=True)
        else:
            folder = start_servers()
            _held.callback(discard, folder)
        gc.set_threshold(*GARBAGE)
        prepare_environment(folder)
    return (yield)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The call for the browser's tests looks in their folder alone: one that lies elsewhere would never run."""
    for item in items:
        if item.get_closest_marker("browser") and BROWSER not in item.path.parents:
            raise pytest.UsageError(f"{item.nodeid} is a browser test and belongs into {BROWSER}.")


def pytest_unconfigure() -> None:
    """Stop what this process started."""
    _held.close()
