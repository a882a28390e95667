"""Exports on the site: asked for on a study's page, made by a worker, fetched until they expire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from studyapp.dashboard.asking import Question, Refused
from studyapp.dashboard.readonly import ReadOnlyAdmin, time_column
from studyapp.models import ExportJob, Study
from studyapp.services import downloads, exporting
from studyapp.services.events import log

ADD, VIEW, TEXT, IDENTITY = (
    "studyapp.add_exportjob", "studyapp.view_exportjob", "studyapp.export_text", "studyapp.view_identity",
)  # fmt: skip
State = ExportJob.State
STATE_LABELS = {
    State.QUEUED.value: "info",
    State.RUNNING.value: "info",
    State.READY.value: "success",
    State.FAILED.value: "danger",
    State.EXPIRED.value: "warning",
}


class ExportForm(forms.Form):
    """What the release holds."""

    format = forms.ChoiceField(choices=ExportJob.Format.choices, widget=UnfoldAdminSelectWidget)
    include_text = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, help_text="Prompts, texts and reasons: personal data."
    )
    include_pii = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget, help_text="Panel ids: they identify people."
    )


class Download(FileResponse):
    """A file sent in pieces worth a thread's while."""

    block_size = 256 * 1024


def question(study: Study) -> Question:
    """The page before an export."""
    view = (
        "Arms, models and outcomes are in it."
        if study.is_unblinded
        else "Arms, models and outcomes are masked in it until the study is unblinded."
    )
    hours = int(exporting.KEPT.total_seconds() // 3600)
    lines = (
        f"Every table of {study} from one moment, with a manifest and what a stranger needs to check it. {view}",
        f"A worker makes it; it can be fetched for {hours} hours. Your name, what it holds and downloads are logged.",
    )
    return Question(f"Export {study}?", lines, "Export", form_class=ExportForm)


def act(request: HttpRequest, study: Study, values: dict[str, Any]) -> HttpResponseBase:
    """Ask for the release and go to its page. Raises Refused for what the account may not take away."""
    for name, permission in (("include_text", TEXT), ("include_pii", IDENTITY)):
        if values[name] and not request.user.has_perm(permission):
            raise Refused(f"Your account may not export this ({permission}). Leave it out, or ask an administrator.")
    job = exporting.request(
        study, format=values["format"], text=values["include_text"], pii=values["include_pii"], actor=request.user
    )
    return redirect(reverse("admin:studyapp_exportjob_change", args=[job.pk]))


class ExportJobAdmin(ReadOnlyAdmin):
    """Exports of every study, newest first."""

    list_display = ("name", "study", "state_label", "progress", "format", "holds", "actor", "asked", "expires")
    list_filter = ("study", "state")
    ordering = ("-id",)
    change_form_template = "admin/palate/export.html"
    asked = time_column("created_at", "Asked for")
    expires = time_column("expires_at", "Expires")

    @display(description="Export")
    def name(self, job: ExportJob) -> str:
        """Its number."""
        return str(job)

    @display(description="State", label=STATE_LABELS)
    def state_label(self, job: ExportJob) -> str:
        """A badge."""
        return job.state

    @display(description="Tables")
    def progress(self, job: ExportJob) -> str:
        """How far it is."""
        return f"{job.done} of {job.total}" if job.total else "–"

    @display(description="Holds")
    def holds(self, job: ExportJob) -> str:
        """What was asked for by name."""
        return " and ".join(holds(job)) or "no texts, no panel ids"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ExportJob]:
        """Without protocols."""
        rows = super().get_queryset(request).select_related("study", "actor")
        return rows.defer("study__protocol", "study__documents")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """The page is a template of its own."""
        return []

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> Any:
        """Progress, what it holds, and the download; looks again by itself while it is being made."""
        job = self.get_object(request, object_id)
        context = dict(extra_context or {})
        if job is not None and self.has_view_permission(request, job):
            context |= {
                "title": str(job),
                "job": job,
                "job_label": STATE_LABELS[job.state],
                "share": min(100, int(100 * job.done / job.total)) if job.total else 0,
                "holds": " and ".join(holds(job)) or "no texts, no panel ids",
                "size": filesizeformat(job.bytes) if job.bytes else "",
                "may_fetch": may_fetch(request, job),
                "there": downloads.path_of(job) is not None,
            }
        return super().change_view(request, object_id, form_url, context)

    def get_custom_urls(self) -> Any:
        """The download."""
        return (("<int:job_id>/download/", "studyapp_exportjob_download", self.download_view),)

    def download_view(self, request: HttpRequest, job_id: int, model_admin: Any = None) -> HttpResponseBase:
        """The file, once it is ready and until it expires; every download is logged."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        job = ExportJob.objects.select_related("study").filter(pk=job_id).first()
        if job is None:
            raise Http404("There is no such export.")
        if not may_fetch(request, job):
            raise PermissionDenied
        path = downloads.path_of(job)
        if path is None:
            return HttpResponse(_gone(job), status=410, content_type="text/plain; charset=utf-8")
        with transaction.atomic():
            told: dict[str, Any] = {"text": job.include_text, "pii": job.include_pii, "sha256": job.sha256}
            log(job.study, "export_downloaded", actor=request.user, export=job.pk, **told)
            self.log_change(request, job, "Downloaded.")
        return _file(job, path)


def may_fetch(request: HttpRequest, job: ExportJob) -> bool:
    """Who asked for it, or who may do everything; texts and panel ids need their permission still."""
    user: Any = request.user
    own = user.is_superuser or (job.actor_id == user.pk and user.has_perm(ADD))
    text, pii = not job.include_text or user.has_perm(TEXT), not job.include_pii or user.has_perm(IDENTITY)
    return bool(own and text and pii)


def holds(job: ExportJob) -> list[str]:
    """What was asked for by name."""
    return [word for word, asked in (("texts", job.include_text), ("panel ids", job.include_pii)) if asked]


def _file(job: ExportJob, path: Path) -> HttpResponseBase:
    marks = "".join(f"-{word}" for word, asked in (("text", job.include_text), ("pii", job.include_pii)) if asked)
    view = "-blinded" if job.blinded else ""
    name = f"{job.study.slug}-{job.study.version}{view}{marks and '-with'}{marks}-{job.format}.zip"
    response = Download(path.open("rb"), as_attachment=True, filename=name, content_type="application/zip")
    response["Content-Encoding"] = "identity"  # packed already: nothing is gained by packing it again
    response["Cache-Control"] = "no-store"
    return response


def _gone(job: ExportJob) -> str:
    if job.state == State.READY:
        return f"It was made on {job.host} and is not on this machine. Start workers elsewhere with --no-exports.\n"
    if job.is_under_way:
        return "It is not ready yet.\n"
    return "It is not there any more. Ask for a new one on the study's page.\n"


def register() -> None:
    """Put the table on the site."""
    admin.site.register(ExportJob, ExportJobAdmin)
