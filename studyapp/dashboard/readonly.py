"""The base of every table of a study: looked at, never edited; filtered only by what is named."""

from __future__ import annotations

from typing import Any

from django.contrib.admin import SimpleListFilter
from django.contrib.admin.checks import ModelAdminChecks
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display

SUFFIXES = ("", "__exact", "__id__exact", "__in", "__isnull")


def time_column(name: str, description: str) -> Any:
    """A list's column of a time, to the minute, on one line."""

    @display(description=description, ordering=name)
    def column(admin: Any, row: Any) -> str:
        at = getattr(row, name)
        return format_html('<span class="whitespace-nowrap">{}</span>', f"{at:%d %b %Y %H:%M}") if at else "–"

    return column


class Locked:
    """Nobody adds, changes or deletes a row by a form, whatever their permissions."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never."""
        return False


class ReadOnlyAdmin(Locked, ModelAdmin):
    """A table to look at. Only fields in `list_filter` may appear in an address, so nothing masked can be probed."""

    # Unfold's checks look permissions up in the database, which is empty when `migrate` runs its checks.
    checks_class = ModelAdminChecks
    list_per_page = 50
    list_max_show_all = 0
    list_disable_select_all = True
    # An ordering outside these is refused; masked columns name no ordering of their own.
    sortable_by: Any = ()

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Django lets every own field through (`?arm__exact=`); here only the filters' own."""
        for item in self.list_filter:
            if isinstance(item, type) and issubclass(item, SimpleListFilter):
                if lookup == item.parameter_name:
                    return True
                continue
            name = item[0] if isinstance(item, tuple | list) else item
            if lookup in {f"{name}{suffix}" for suffix in SUFFIXES}:
                return True
        return False

    def must_find(self, request: HttpRequest, object_id: str, permission: str) -> Any:
        """The row of an action's address. Raises PermissionDenied without `permission`, Http404 without the row."""
        if not (self.has_view_permission(request) and request.user.has_perm(permission)):
            raise PermissionDenied
        found = self.get_object(request, object_id)
        if found is None:
            raise Http404(f"There is no {self.opts.verbose_name} {object_id}.")
        return found


class ReadOnlyInline(Locked, TabularInline):
    """Rows below a row, to look at."""

    extra = 0
    can_delete = False
    show_change_link = False
