"""manage.py worker [--models SLUG:NAME,...]: makes the texts, and runs the periodic tasks."""

from __future__ import annotations

import logging
import os
import signal
import sys
from argparse import ArgumentParser
from threading import Thread
from typing import Any

from celery.signals import setup_logging, worker_ready
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from inference import workroom
from inference.contracts import ModelSpec
from inference.queue import queue_name
from inference.workroom import WorkRoom
from studyapp.celery import app
from studyapp.models import Study
from studyapp.services import studies
from studyapp.services.studies import StudyError

logger = logging.getLogger(__name__)
# A worker listens to the broker all day: on a busy machine a slow answer must not end its connection.
PATIENCE = {"socket_connect_timeout": 2, "socket_timeout": 10, "max_retries": 1}


class Command(BaseCommand):
    """One process: a Celery worker for the doorbells, and a thread for each base model."""

    requires_system_checks: list[str] = []
    help = "Make texts for open studies, or for the named models alone, until SIGTERM."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--models",
            metavar="SLUG:NAME,...",
            default="",
            help="serve these models alone, e.g. demo:palate or openqa@2:base; without it every model with work",
        )
        parser.add_argument(
            "--grace",
            type=float,
            default=20.0,
            metavar="SECONDS",
            help="after SIGTERM, how long a batch may take to finish before its rows are given back (default 20)",
        )

        parser.add_argument(
            "--no-exports",
            action="store_true",
            help="make no exports: for machines that do not share PALATE_DATA with the web",
        )

    def handle(self, *args: Any, models: str, grace: float, no_exports: bool, **options: Any) -> None:
        named = [named_model(name) for name in filter(None, (part.strip() for part in models.split(",")))]
        preload = named or models_of_open_studies()
        name = f"palate-{os.getpid()}@{os.uname().nodename}"
        room = WorkRoom(
            serves={spec.key for spec in named} if named else None,
            preload=preload,
            listen=lambda key: listen(name, key),
        )
        app.conf.broker_transport_options = {**app.conf.broker_transport_options, **PATIENCE}
        # Celery would run Django's checks once more, and those of some packages ask the database.
        os.environ.setdefault("CELERY_SKIP_CHECKS", "true")
        setup_logging.connect(keep_logging)
        # Work found before Celery was up had nobody to subscribe.
        worker_ready.connect(lambda **_: room.listen_soon(), weak=False)
        if options["verbosity"] < 2:
            logging.getLogger("celery").setLevel(logging.WARNING)
        workroom.open_room(room)
        # Until Celery has handlers of its own, the room must already be left in order.
        signal.signal(signal.SIGTERM, lambda *_: Thread(target=leave, args=(room, grace)).start())
        try:
            room.start()
            app.worker_main(celery_arguments(name, preload, exports=not no_exports))
        finally:
            if not room.stop(grace):
                # An engine is in the middle of something that cannot be interrupted; nothing is held any more.
                end_now()


def leave(room: WorkRoom, grace: float) -> None:
    """Leave in order from a thread: an exception raised by a signal's handler can be lost in an import's callback."""
    room.stop(grace)
    end_now()


def end_now() -> None:
    """End the process without waiting for threads."""
    logging.shutdown()
    sys.stdout.flush()
    os._exit(0)


def keep_logging(**_: Any) -> None:
    """Celery sets up no logging of its own where somebody listens to its `setup_logging` signal."""


def celery_arguments(name: str, known: list[ModelSpec], *, exports: bool = True) -> list[str]:
    """Threads, because a model must not be loaded in a parent that forks; two, because tasks only ring and sweep."""
    queues = [settings.CELERY_TASK_DEFAULT_QUEUE, *(queue_name(spec.key) for spec in known)]
    queues += [settings.EXPORT_QUEUE] if exports else []
    return [
        "--quiet",
        "worker",
        "--pool=threads",
        "--concurrency=2",
        f"--hostname={name}",
        f"--queues={','.join(dict.fromkeys(queues))}",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]


def named_model(name: str) -> ModelSpec:
    """The base model that SLUG:NAME names (or SLUG@VERSION:NAME); CommandError says what would be right."""
    slug, colon, model = name.rpartition(":")
    if not colon:
        raise CommandError(f"--models {name!r}: write SLUG:NAME, for example demo:{name}")
    try:
        study = studies.find(slug)
    except StudyError as error:
        raise CommandError(f"--models {name!r}: {error}") from error
    known = models_of(study)
    if model not in known:
        raise CommandError(f"--models {name!r}: {study} has no model {model!r}; it has {', '.join(sorted(known))}")
    return known[model]


def models_of(study: Study) -> dict[str, ModelSpec]:
    """The base models of a study by their names in its protocol."""
    return {name: study.spec.base_model(name) for name in study.spec.models}


def models_of_open_studies() -> list[ModelSpec]:
    """Each base model of the studies that take people, once: their engines are loaded before anybody waits."""
    taking = Study.objects.filter(state__in=[Study.State.PILOT, Study.State.OPEN])
    specs = {spec.key: spec for study in taking for spec in models_of(study).values()}
    return list(specs.values())


def listen(name: str, model_key: str) -> None:
    """Subscribe this worker to a model's doorbells. Without a broker it goes on by looking for itself."""
    try:
        app.control.add_consumer(queue_name(model_key), destination=[name], reply=False)
    except Exception as error:  # the broker is away
        logger.warning("no doorbells for %s, the worker looks for itself: %s", model_key, error)
