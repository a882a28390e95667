"""Addresses: participants under /s/<slug>/, researchers under /admin/, machines at /healthz and /readyz."""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.urls import include, path

from studyapp.views import closing, consent, entry, errors, health, judge, resume, shots, stop, wait


def live_over_http(request: HttpRequest, slug: str) -> HttpResponse:
    """The socket's address, asked without a socket."""
    return HttpResponse("This address speaks websocket only.", status=426, content_type="text/plain")


study_patterns = (
    [
        path("", entry.entry, name="entry"),
        path("consent/", consent.consent, name="consent"),
        path("instructions/", consent.instructions, name="instructions"),
        path("shots/", shots.shots, name="shots"),
        path("wait/", wait.wait, name="wait"),
        path("judge/", judge.judge, name="judge"),
        path("break/", judge.rest, name="break"),
        path("debrief/", closing.debrief, name="debrief"),
        path("done/", closing.done, name="done"),
        path("ended/", closing.ended, name="ended"),
        path("stop/", stop.stop, name="stop"),
        path("stop/<slug:way>/", stop.stop_way, name="stop_way"),
        path("resume/<str:token>/", resume.resume, name="resume"),
        path("live/", live_over_http, name="live"),
    ],
    "study",
)

urlpatterns = [
    path("s/<slug:slug>/", include(study_patterns)),
    path("admin/", admin.site.urls),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
]

handler400 = errors.bad_request
handler403 = errors.forbidden
handler404 = errors.not_found
handler500 = errors.server_error
