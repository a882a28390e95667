"""The project package and the outer shell: studies, people, pages, results."""

from studyapp.celery import app as celery_app

__all__ = ["celery_app"]
