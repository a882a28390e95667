"""The log: what happened to studies and people, and who among the staff did it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import AllValuesFieldListFilter, EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display

from studyapp.dashboard.readonly import ReadOnlyAdmin, time_column
from studyapp.models import Event
from studyapp.templatetags.palate_admin import details

COLUMNS = ("at", "study", "kind", "participant", "actor", "details")


class EventAdmin(ReadOnlyAdmin):
    """History rows: ids and codes, never text of a participant. Nobody edits the log."""

    list_display = ("when", *COLUMNS[1:])
    list_filter = ("study", ("kind", AllValuesFieldListFilter), ("actor", EmptyFieldListFilter))
    search_fields = ("participant__code",)
    search_help_text = "A participant's code."
    ordering = ("-id",)
    fields = COLUMNS
    readonly_fields = COLUMNS

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Also "by staff or not"."""
        return lookup == "actor__isempty" or super().lookup_allowed(lookup, value, request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Event]:
        """Without protocols."""
        rows = super().get_queryset(request).select_related("study", "participant", "actor")
        return rows.defer("study__protocol", "study__documents")

    when = time_column("at", "At")

    @display(description="Details")
    def details(self, event: Event) -> str:
        """The event's values."""
        return details(event)


def register() -> None:
    """Put the table on the site."""
    admin.site.register(Event, EventAdmin)
