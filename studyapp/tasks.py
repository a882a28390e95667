"""Doorbells of the outer shell."""

from celery import shared_task

from studyapp.services import leaving


@shared_task(name="studyapp.sweep")
def sweep() -> int:
    """Time silent people out and give their seats back."""
    return leaving.time_out()
