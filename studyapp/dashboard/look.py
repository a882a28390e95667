"""How the researchers' site looks: Unfold's settings. The settings file imports it: no models here."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

GREEN = {
    "50": "oklch(97.5% .014 170)",
    "100": "oklch(94.5% .03 170)",
    "200": "oklch(89% .055 170)",
    "300": "oklch(81% .08 170)",
    "400": "oklch(71% .095 170)",
    "500": "oklch(59% .09 170)",
    "600": "oklch(45.5% .077 172)",
    "700": "oklch(39.5% .068 172)",
    "800": "oklch(33% .055 172)",
    "900": "oklch(28% .045 172)",
    "950": "oklch(20% .033 172)",
}


def _icon(request: HttpRequest) -> str:
    return static("palate/icon.svg")


def _may(permission: str) -> Any:
    return lambda request: request.user.has_perm(permission)


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}"),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Palate",
    "SITE_HEADER": "Palate",
    "SITE_SUBHEADER": "Blind until unblinded",
    "SITE_URL": None,
    "SITE_ICON": _icon,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": _icon}],
    "COLORS": {"primary": GREEN},
    "DASHBOARD_CALLBACK": "studyapp.dashboard.site.overview",
    "SIDEBAR": {
        "show_search": False,
        "show_all_applications": False,
        "navigation": [
            {
                "items": [
                    {"title": "Overview", "icon": "dashboard", "link": reverse_lazy("admin:index")},
                    _item("Studies", "balance", "studyapp.study"),
                    _item("Participants", "group", "studyapp.participant"),
                    _item("Texts", "article", "inference.generation"),
                    _item("Judgments", "rule", "annotations.judgment"),
                    _item("Exports", "download", "studyapp.exportjob"),
                    _item("Log", "history", "studyapp.event"),
                ],
            },
            {
                "title": "Accounts",
                "separator": True,
                "items": [
                    _item("Users", "person", "auth.user"),
                    _item("Groups", "badge", "auth.group"),
                ],
            },
        ],
    },
}
