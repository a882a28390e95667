"""A person at the pages, through Django's client: forms are read from the page and sent as a browser would."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from django.http import HttpResponse
from django.test import Client
from selectolax.lexbor import LexborHTMLParser

from studyapp.models import Participant, Study


class Walker:
    """One browser in one study. `page` is the last page as it was shown; `at` its path."""

    def __init__(self, study: Study, **headers: str) -> None:
        self.study = study
        self.client = Client(enforce_csrf_checks=True, headers=headers)
        self.at = ""
        self.response: Any = None

    @property
    def page(self) -> LexborHTMLParser:
        """The last page, parsed."""
        return LexborHTMLParser(self.response.content.decode())

    @property
    def heading(self) -> str:
        """The h1 of the last page."""
        node = self.page.css_first("h1")
        return node.text(strip=True) if node else ""

    @property
    def person(self) -> Participant:
        """The participant whom this browser is signed in as, afresh."""
        return Participant.objects.get(code=self.client.cookies["palate"].value.split(":")[0])

    def again(self) -> Walker:
        """Another browser in the same place, with cookies of its own, for one of many tests that start from there."""
        other = Walker(Study.objects.get(pk=self.study.pk))
        other.client.defaults = dict(self.client.defaults)
        other.client.cookies = deepcopy(self.client.cookies)
        other.at, other.response = self.at, self.response
        return other

    def url(self, page: str = "") -> str:
        """The path of a page of the study."""
        return f"/s/{self.study.slug}/{page + '/' if page else ''}"

    def get(self, page: str = "", query: str = "", **headers: str) -> Walker:
        """Open a page and follow where it leads."""
        return self._keep(self.client.get(self.url(page) + query, follow=True, headers=headers))

    def _keep(self, response: Any) -> Walker:
        self.response = response
        self.at = response.request["PATH_INFO"]
        return self

    def form(self, index: int = 0) -> dict[str, str]:
        """The hidden and text fields of a form of the last page, as a browser would send them."""
        fields = self.page.css("form")[index].css("input, textarea")
        kept = ("hidden", "text", None)
        return {
            f.attributes["name"] or "": f.attributes.get("value") or f.text()
            for f in fields
            if f.attributes.get("name") and f.attributes.get("type") in kept
        }

    def send(self, page: str | None = None, follow: bool = True, form: int = 0, **values: str) -> Walker:
        """Send a form of the last page with `values` on top, to its own address or to another page."""
        action = self.page.css("form")[form].attributes.get("action")
        address = self.url(page) if page is not None else (action or self.at)
        return self._keep(self.client.post(address, {**self.form(form), **values}, follow=follow))

    def raw_post(self, page: str, values: dict[str, str], **headers: str) -> HttpResponse:
        """A POST with the CSRF key and nothing followed."""
        key = self.client.cookies["csrftoken"].value if "csrftoken" in self.client.cookies else ""
        return self.client.post(self.url(page), {"csrfmiddlewaretoken": key, **values}, headers=headers)  # type: ignore[return-value]

    # --- the way through ---------------------------------------------------------------------------------------------
    def enter(self, query: str = "", **values: str) -> Walker:
        """Entry page and its button: now at consent."""
        return self.get("", query).send(**values)

    def consent(self) -> Walker:
        """Both boxes and the button: now at the instructions."""
        return self.send(age="yes", agree="yes", decision="agree")

    def to_shots(self, query: str = "") -> Walker:
        """All the way to the first pair."""
        return self.enter(query).consent().send()

    def answer_all(self, choice: str = "first") -> Walker:
        """Every elicitation pair: now waiting or judging."""
        while self.at == self.url("shots"):
            self.send(choice=choice)
        return self

    def judge_all(self, choice: str = "first") -> Walker:
        """Every pair that is ready, breaks taken."""
        while self.at in (self.url("judge"), self.url("break")):
            self.send(choice=choice, strength="3") if self.at == self.url("judge") else self.send()
        return self
