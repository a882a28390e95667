"""Is this process alive, and can it serve people?

`/healthz` answers as long as the process does. `/readyz` answers 200 while participants can be served, which takes
Postgres and its migrations; 503 when they cannot. Redis and the workers are told too, but losing them only slows
people down (polling instead of nudges, texts that come later), so they make the answer "degraded", not 503.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.core.cache import cache
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from redis.exceptions import RedisError

from inference.models import Generation

logger = logging.getLogger(__name__)
STALLED_S = 120


@never_cache
def healthz(request: HttpRequest) -> JsonResponse:
    """The process is alive."""
    return JsonResponse({"status": "ok"})


def _postgres() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        executor = MigrationExecutor(connection)
        pending = executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError as problem:
        logger.warning("readyz: Postgres does not answer: %s", problem)
        return "does not answer"
    return f"{len(pending)} migration(s) missing" if pending else "ok"


def _redis() -> str:
    try:
        cache.get("readyz")
    except (RedisError, OSError) as problem:
        logger.warning("readyz: Redis does not answer: %s", problem)
        return "does not answer"
    return "ok"


def _workers() -> str:
    """Stalled when a text has been due for two minutes and nobody is at work who could make it."""
    now = timezone.now()
    due = Generation.objects.filter(state="queued", queued_at__lt=now - timedelta(seconds=STALLED_S))
    newest = due.aggregate(newest=Max("request_version"))["newest"]
    if newest is None:
        return "ok"
    at_work = Generation.objects.filter(state="running", lease_until__gt=now, request_version__gte=newest)
    return "ok" if at_work.exists() else "stalled"


@never_cache
def readyz(request: HttpRequest) -> JsonResponse:
    """Can participants be served? The parts, by name."""
    parts = {"postgres": _postgres(), "redis": _redis()}
    if parts["postgres"] == "ok":
        parts["workers"] = _workers()
    ready = parts["postgres"] == "ok"
    status = "ready" if all(part == "ok" for part in parts.values()) else "degraded" if ready else "unavailable"
    return JsonResponse({"status": status, "parts": parts}, status=200 if ready else 503)
