"""Django's registration of the `inference` package."""

from django.apps import AppConfig


class InferenceConfig(AppConfig):
    """The `inference` application."""

    name = "inference"
