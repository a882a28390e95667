"""Processes, their locks and their logs: what the embedded servers and the process manager share."""

import ctypes
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

STOP_S = 20.0
PR_SET_PDEATHSIG = 1


def is_alive(pid: int) -> bool:
    """Whether `pid` runs; a zombie that nobody has collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def end(pid: int, seconds: float = STOP_S) -> None:
    """Ask `pid` to end, kill it after `seconds`, and come back when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.kill(pid, number)
        limit = time.monotonic() + seconds
        while is_alive(pid) and time.monotonic() < limit:
            time.sleep(0.02)
        if not is_alive(pid):
            return


def end_with_parent() -> None:
    """A `preexec_fn`: the kernel sends SIGTERM when the thread that starts the child ends, killed or not (Linux)."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def tail(path: Path, lines: int = 15) -> str:
    """The last `lines` of a log, for a message to a person."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"({path} cannot be read)"


@contextmanager
def locked(path: Path, kind: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold a lock on `path`, taken as `kind`; BlockingIOError where LOCK_NB is in `kind` and it is taken."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)
