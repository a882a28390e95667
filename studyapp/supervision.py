"""The process manager: supervisord under a launcher, and what it takes to leave nothing behind.

supervisord restarts what dies. It is told to stop when its launcher disappears; and because every process under it
carries `PALATE_SUPERVISED=<data folder>` in its environment, the next start finds and ends what even a killed
supervisord left running.
"""

import os
import shlex
import signal
import subprocess
import sys
import xmlrpc.client
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from supervisor.xmlrpc import SupervisorTransport

from studyapp.embedded import BASE, forget_socket_folder, private_folder, socket_folder
from studyapp.processes import end, end_with_parent, is_alive, tail

MARK = "PALATE_SUPERVISED"


@dataclass(frozen=True)
class Program:
    """One supervised program: its name, its command line, and the seconds it may take to stop.

    With `port`, supervisord itself listens on 127.0.0.1 and hands the socket to each of `copies` processes as file
    descriptor 0: one that is killed leaves no gap, no orphan and no taken port. With `later` it starts when
    `Supervisor.start_rest` is called.
    """

    name: str
    command: Sequence[str]
    stop_s: int = 15
    port: int = 0
    copies: int = 1
    later: bool = False


def end_leftovers(data: Path) -> int:
    """End every process that an earlier supervisord for `data` started and left; how many there were."""
    left = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(data) and process.pid != os.getpid() and is_alive(process.pid):
                left.append(process.pid)
    for pid in left:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    for pid in left:
        end(pid)
    return len(left)


class Supervisor:
    """supervisord for `programs`, with its files under `data/run` and logs under `data/logs`."""

    def __init__(self, data: Path, programs: Sequence[Program]) -> None:
        self.data = data
        self.programs = programs
        self.run = private_folder(data / "run")
        self.logs = private_folder(data / "logs")
        self.socket = socket_folder(self.run, os.geteuid()) / "supervisor.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def log(self, name: str) -> Path:
        """The log file of a program."""
        return self.logs / f"{name}.log"

    def config(self) -> str:
        """supervisord's configuration; per cent signs are doubled, as its format wants."""
        sections = [
            "[supervisord]\nnodaemon=true\nsilent=true\numask=077\nlogfile_maxbytes=5MB\nlogfile_backups=2",
            f"logfile={self._quoted(self.log('supervisord'))}\npidfile={self._quoted(self.run / 'supervisord.pid')}",
            f"childlogdir={self._quoted(self.logs)}\ndirectory={self._quoted(BASE)}",
            *(["user=root"] if os.geteuid() == 0 else []),
            f"[unix_http_server]\nfile={self._quoted(self.socket)}\nchmod=0700",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
            # One group stops at once; separate programs would be stopped one after the other.
            f"[group:palate]\nprograms={','.join(program.name for program in self.programs if not program.port)}",
            *(self._section(program) for program in self.programs),
        ]
        return "\n".join(sections) + "\n"

    def start(self) -> None:
        """Write the configuration and start supervisord in a session of its own, so that Ctrl-C reaches us alone."""
        path = self.run / "supervisord.conf"
        path.touch(mode=0o600)
        path.write_text(self.config())
        self.socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(path)],
            cwd=BASE,
            env=os.environ | {MARK: str(self.data), "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )

    def is_up(self) -> bool:
        """Whether supervisord itself runs."""
        return self._process is not None and self._process.poll() is None

    def states(self) -> dict[str, str]:
        """Each program's state as supervisord puts it (RUNNING, FATAL, ...); empty while it does not answer."""
        try:
            with self._proxy() as proxy:
                return {row["name"]: row["statename"] for row in proxy.supervisor.getAllProcessInfo()}
        except (OSError, xmlrpc.client.Error):
            return {}

    def start_rest(self) -> None:
        """Start the programs that were to start later; `failed` names those that cannot."""
        with suppress(OSError, xmlrpc.client.Error), self._proxy() as proxy:
            proxy.supervisor.startProcessGroup("palate", False)

    @contextmanager
    def _proxy(self) -> Iterator[Any]:
        transport = SupervisorTransport(None, None, f"unix://{self.socket}")
        try:
            yield xmlrpc.client.ServerProxy("http://127.0.0.1", transport=transport)
        finally:
            transport.close()

    def failed(self) -> list[str]:
        """The programs that supervisord has given up on."""
        return sorted(name for name, state in self.states().items() if state == "FATAL")

    def words(self, name: str) -> str:
        """The end of a program's log with its name, for a message."""
        return f"The end of {self.log(name)}:\n{tail(self.log(name))}"

    def stop(self) -> None:
        """Stop every program and supervisord; comes back when nothing of them is left."""
        if self._process is not None and self.is_up():
            self._process.terminate()
            limit = sum(program.stop_s for program in self.programs) + 10
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=limit)
            if self.is_up():
                self._process.kill()
                self._process.wait()
        end_leftovers(self.data)
        self.socket.unlink(missing_ok=True)
        forget_socket_folder(self.run, os.geteuid())

    def _section(self, program: Program) -> str:
        kind, name, listening = "program", program.name, ""
        if program.port:
            kind, name = "fcgi-program", f"{program.name}-%(process_num)d"
            listening = f"socket=tcp://127.0.0.1:{program.port}\nsocket_backlog=1024\n"
        return (
            f"[{kind}:{program.name}]\n{listening}process_name={name}\nnumprocs={program.copies}\n"
            f"command={self._quoted(shlex.join(program.command))}\n"
            f"autostart={str(not program.later).lower()}\nautorestart=true\nstartsecs=2\nstartretries=10\n"
            f"stopsignal=TERM\nstopwaitsecs={program.stop_s}\nkillasgroup=true\nredirect_stderr=true\n"
            f"stdout_logfile={self._quoted(self.logs)}/{name}.log\n"
            "stdout_logfile_maxbytes=10MB\nstdout_logfile_backups=3"
        )

    @staticmethod
    def _quoted(value: object) -> str:
        return str(value).replace("%", "%%")


def interrupted_make(parent: int) -> bool:
    """Whether `parent` is a GNU make that waits for us to end: gone, or in its handler of an interrupt.

    make passes SIGTERM on to its recipe, but for SIGINT it relies on the terminal having sent it to everybody; sent to
    make alone it would wait for ever. In its handler it has SIGINT blocked, which /proc shows (Linux).
    """
    if os.getppid() != parent:
        return True
    try:
        lines = Path(f"/proc/{parent}/status").read_text().splitlines()
    except OSError:
        return False
    blocked = next((line.split()[1] for line in lines if line.startswith("SigBlk:")), "0")
    return bool(int(blocked, 16) >> (signal.SIGINT - 1) & 1)


def is_make(pid: int) -> bool:
    """Whether process `pid` is a make."""
    try:
        return psutil.Process(pid).name() in ("make", "gmake")
    except psutil.Error:
        return False
