#!/usr/bin/env python
"""Django's command line, with the embedded servers behind the commands that need a database or a broker."""

import os
import signal
import sys
from types import FrameType

# Commands that read and write files alone: they start no servers.
WITHOUT_SERVERS = {
    ("help",),
    ("version",),
    ("check",),
    ("makemigrations",),
    ("diffsettings",),
    ("collectstatic",),
    ("findstatic",),
    ("study", "check"),
    ("verify",),
}


def needs_servers(arguments: list[str]) -> bool:
    """Whether the command line `arguments` (without the program's name) wants a database."""
    if not arguments or {"-h", "--help", "--version"} & set(arguments):
        return False
    return tuple(arguments[:1]) not in WITHOUT_SERVERS and tuple(arguments[:2]) not in WITHOUT_SERVERS


def leave(number: int, _frame: FrameType | None) -> None:
    """Turn a signal into an orderly exit, so that servers this process started are stopped."""
    raise SystemExit(128 + number)


def main() -> None:
    """Run one command; complaints are one clear message and exit status 1."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studyapp.settings")
    try:
        from django.core.management import execute_from_command_line
        from django.db.utils import OperationalError, ProgrammingError

        from studyapp import embedded
    except ImportError as error:
        sys.exit(f"{error}. Palate's packages are not in this Python: run `make setup`, then use .venv/bin/python.")
    wanted = needs_servers(sys.argv[1:])
    if wanted and not (os.environ.get("DATABASE_URL") and os.environ.get("REDIS_URL")):
        signal.signal(signal.SIGTERM, leave)
        signal.signal(signal.SIGHUP, leave)
    if sys.argv[1:2] == ["demo"]:
        # The demo speaks plain HTTP to this machine alone.
        os.environ.setdefault("PALATE_HTTPS", "0")
    try:
        with embedded.environment(servers=wanted):
            execute_from_command_line(sys.argv)
    except embedded.EmbeddedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except OperationalError as error:
        sys.exit(
            f"The database does not answer: {str(error).strip()}\nCheck that it runs and that DATABASE_URL names it."
        )
    except ProgrammingError as error:
        if getattr(error.__cause__, "sqlstate", "") != "42P01":
            raise
        sys.exit("The database has no such table yet. Run `make demo` once, or `manage.py migrate`.")


if __name__ == "__main__":
    main()
