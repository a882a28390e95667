"""Who may sign in. An account is switched off, not deleted: the log keeps its name."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm


class UserAdmin(DjangoUserAdmin, ModelAdmin):
    """Accounts of researchers."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "is_active", "is_staff", "is_superuser", "last_login")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("May", {"fields": ("is_active", "is_staff", "is_superuser", "groups", "user_permissions")}),
        ("Times", {"fields": ("last_login", "date_joined")}),
    )
    readonly_fields = ("last_login", "date_joined")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Never: deleting an account would delete its log entries. Untick "active" instead."""
        return False


class GroupAdmin(DjangoGroupAdmin, ModelAdmin):
    """Sets of permissions."""


def register() -> None:
    """Replace Django's own tables."""
    for model, table in ((User, UserAdmin), (Group, GroupAdmin)):
        admin.site.unregister(model)
        admin.site.register(model, table)
