"""The page before every staff action: what it does, a reason where one is owed, and a button that POSTs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin.options import IS_POPUP_VAR
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.widgets import UnfoldAdminTextInputWidget

from studyapp.services.studies import StudyError


class Refused(Exception):
    """An action that does not fit the row any more; the message says why and what holds now."""


class ConfirmForm(forms.Form):
    """Nothing to fill in: the button is the answer."""


class ReasonForm(forms.Form):
    """A reason, which goes into the log."""

    reason = forms.CharField(
        max_length=200,
        widget=UnfoldAdminTextInputWidget(attrs={"autofocus": True, "autocomplete": "off"}),
        help_text="Kept in the log with your name and the time. Name no participant.",
    )


@dataclass(frozen=True)
class Question:
    """What the page asks: a title, sentences that say what will happen, the button's words."""

    title: str
    lines: tuple[str, ...]
    button: str
    danger: bool = False
    form_class: type[forms.Form] = field(default=ConfirmForm)


Act = Callable[[dict[str, Any]], "str | HttpResponseBase"]


def ask(admin: ModelAdmin, request: HttpRequest, row: Model, question: Question, act: Act) -> HttpResponseBase:
    """Show the page on GET; on a valid POST run `act` with the form's values.

    `act` returns the message to show on the row's page, or a response of its own. StudyError and Refused are shown on
    the page (409), nothing is changed then.
    """
    back = reverse(f"admin:{admin.opts.app_label}_{admin.opts.model_name}_change", args=[row.pk])
    form = question.form_class(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                answer = act(form.cleaned_data)
            except (StudyError, Refused) as problem:
                form.add_error(None, str(problem))
                for detail in getattr(problem, "problems", ()):
                    form.add_error(None, str(detail))
                status = 409
            else:
                if isinstance(answer, HttpResponseBase):
                    return answer
                messages.success(request, answer)
                return redirect(back)
    return page(admin, request, row, "ask", status, title=question.title, question=question, form=form, back=back)


def page(
    admin: ModelAdmin, request: HttpRequest, row: Model, name: str, status: int = 200, **context: Any
) -> HttpResponse:
    """A page of the site about one row, from `templates/admin/palate/<name>.html`."""
    values = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "original": row,
        "subtitle": str(row),
        "is_popup": IS_POPUP_VAR in request.GET,
        **context,
    }
    return TemplateResponse(request, f"admin/palate/{name}.html", values, status=status)
