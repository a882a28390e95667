"""Django's registration of the `studyapp` package."""

from django.apps import AppConfig


class StudyappConfig(AppConfig):
    """The `studyapp` application."""

    name = "studyapp"
