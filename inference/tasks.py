"""Celery tasks: doorbells that take a key, call one function and own no rule."""

from celery import shared_task

from inference import queue, workroom


@shared_task(name="inference.drain", ignore_result=True)  # type: ignore[untyped-decorator]
def drain(model_key: str) -> None:
    """There is work for a base model."""
    workroom.bell(model_key)


@shared_task(name="inference.sweep", ignore_result=True)  # type: ignore[untyped-decorator]
def sweep() -> None:
    """Bring back the work of lost workers and ring for whatever waits."""
    queue.sweep()
