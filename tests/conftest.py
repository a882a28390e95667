"""Fixtures that every package's tests may use."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture(scope="module")
def kept(django_db_setup: None, django_db_blocker: Any) -> Iterator[None]:
    """A transaction around a file's tests: what its module-wide fixtures write is there for each of them.

    What a test writes is undone as ever: its own transaction is a savepoint in this one. Not for a file with tests
    that commit. Fixtures hand out a fresh instance of what was kept, for an instance is not undone.
    """
    from django.db import transaction

    with django_db_blocker.unblock(), transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.fixture(scope="session", autouse=True)
def light_flush() -> Iterator[None]:
    """After a test that commits, content types and permissions stay; a flush would empty their tables and fill them.

    The others are emptied by DELETE: a TRUNCATE makes every table's files anew, which takes a hundred times as long.
    Only a superuser may switch off the triggers meanwhile, foreign keys' among them.
    """
    from django.core.management.commands import flush
    from django.db import connection

    operations = type(connection.ops)
    whole, kept = operations.sql_flush, {"django_content_type", "auth_permission"}

    def sql_flush(self: Any, style: Any, tables: list[str], **options: Any) -> list[str]:
        emptied = [table for table in tables if table not in kept]
        with connection.cursor() as cursor:
            cursor.execute("SHOW is_superuser")
            if cursor.fetchone() != ("on",):
                return whole(self, style, emptied, **options)
        deletes = [f"DELETE FROM {self.quote_name(table)}" for table in emptied]
        return ["SET LOCAL session_replication_role = replica", *deletes]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "sql_flush", sql_flush)
        patch.setattr(flush, "emit_post_migrate_signal", lambda *args, **options: None)
        yield


@pytest.fixture(autouse=True)
def redis_is_tried() -> Iterator[None]:
    """A test in which Redis was away must not silence the next one's doorbells and nudges."""
    from inference.queue import silence
    from studyapp import live

    yield
    live.delivered()
    live.pace.forget()
    silence.end()
