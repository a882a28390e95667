"""manage.py demo: the launcher behind `make demo`."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from studyapp import demo


class Command(BaseCommand):
    """Run the whole demo in the foreground; PORT and PALATE_DATA come from the environment."""

    help = "Bring up the demo study with web, worker and clock; stop with Ctrl-C."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            demo.run(self._say)
        except demo.DemoError as error:
            raise CommandError(str(error)) from error

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()
