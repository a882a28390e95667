"""Django's registration of the `annotations` package."""

from django.apps import AppConfig


class AnnotationsConfig(AppConfig):
    """The `annotations` application."""

    name = "annotations"
