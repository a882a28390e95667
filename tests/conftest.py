"""Fixtures that every package's tests may use."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from studyapp.embedded import Servers


@pytest.fixture
def short_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A private folder with a name short enough for unix sockets, which root's Postgres can pass through.

    It lies in the run's own, so that the next run ends what one that was killed left in it.
    """
    folder = Path(tempfile.mkdtemp(prefix="own-", dir=os.environ.get("PALATE_TEST_FOLDER")))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def own_servers(short_path: Path) -> Iterator[Servers]:
    """A running Postgres and Redis of this test's own, to be killed, stopped and started at will.

    `own_servers.environ()` is the environment for programs that use them; `.postgres` and `.redis` have `kill()`,
    `stop()` and `start()`, which comes back at the same address.
    """
    servers = Servers(short_path)
    servers.start()
    yield servers
    servers.stop()


@pytest.fixture(autouse=True)
def redis_is_tried() -> Iterator[None]:
    """A test in which Redis was away must not silence the next one's doorbells and nudges."""
    from inference.queue import silence
    from studyapp import live

    yield
    live.delivered()
    live.pace.forget()
    silence.end()
