"""A person at a real browser: what they see and press, in the words of the pages."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.core import signing
from playwright.sync_api import Page, expect

from studyapp.models import Participant, Study
from studyapp.services import progress
from tests import factory

AXE = Path(__file__).resolve().parents[2] / "var" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
STANDARDS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# What another width and another colour scheme can break.
LOOKS = {"type": "rule", "values": ["color-contrast", "link-in-text-block", "target-size"]}


class Person:
    """Somebody in a study, at one page of one browser."""

    def __init__(self, page: Page, study: Study, rules: dict[str, Any] = STANDARDS) -> None:
        self.page = page
        self.rules = rules
        self.study = study
        self.complaints: list[str] = []
        page.on("console", self._listen)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _listen(self, message: Any) -> None:
        if "the server responded with a status of 4" in message.text:
            return  # a refusal that the page explains
        if message.type == "error" or "Content Security Policy" in message.text:
            self.complaints.append(message.text)

    @property
    def heading(self) -> str:
        """The h1 as it stands."""
        return self.page.locator("h1").inner_text()

    @property
    def row(self) -> Participant:
        """The person as the database knows them."""
        cookie = next(c for c in self.page.context.cookies() if c["name"] == "palate")
        return Participant.objects.get(code=cookie["value"].strip('"').split(":")[0])

    def go(self, page: str = "", query: str = "") -> Person:
        """Open a page of the study by its address."""
        self.page.goto(f"/s/{self.study.slug}/{page + '/' if page else ''}{query}")
        return self

    def press(self, name: str) -> Person:
        """Press the button of this name."""
        self.page.get_by_role("button", name=name, exact=True).click()
        return self

    def sees(self, heading: str | re.Pattern[str]) -> Person:
        """Wait for a page of this heading."""
        expect(self.page.locator("h1")).to_have_text(heading)
        return self

    def is_at(self, page: str) -> Person:
        """Wait for the address of a page."""
        expect(self.page).to_have_url(re.compile(rf"/s/{self.study.slug}/{page}/(\?.*)?$"))
        return self

    # --- the way through ---------------------------------------------------------------------------------------------
    def to_shots(self, query: str = "") -> Person:
        """Entry, consent, instructions: now at the first pair."""
        self.go("", query).press("Begin").sees("About consent")
        self.page.get_by_label("I am at least 18 years old.").check()
        self.page.get_by_label("I have read the information").check()
        self.press("I agree, go on").sees("About instructions")
        return self.press("Show me the first pair").sees(re.compile("^Pair 1 of"))

    def choose(self, answer: str = "First answer", strength: int | None = None) -> Person:
        """Choose on the present pair and go on."""
        before = self.heading
        self.page.get_by_role("radio", name=answer, exact=True).check()
        if strength:
            self.page.get_by_role("radio", name=re.compile(f"^{strength} ")).check()
        self.press("Continue")
        expect(self.page.locator("h1")).not_to_have_text(before)
        return self

    def answer_all(self) -> Person:
        """Every elicitation pair; two texts at a time, first and second in turn."""
        number = 0
        while self.page.locator("form[data-pair]").count() and not self.page.locator("[name=strength]").count():
            self.choose(("First answer", "Second answer")[number % 2])
            number += 1
        return self

    def judge_all(self) -> Person:
        """Every judged pair, breaks taken: now at the debrief."""
        while True:
            if self.page.locator("form[data-pair]").count():
                self.choose("Second answer", 4)
            elif self.page.get_by_role("button", name="Go on", exact=True).count():
                self.press("Go on").sees(re.compile("^Pair"))
            else:
                return self

    # --- what must hold everywhere -----------------------------------------------------------------------------------
    def check_page(self) -> None:
        """No axe violation, no sideways scrolling, nothing refused by the content security policy."""
        self.page.evaluate(AXE.read_text())
        found = self.page.evaluate("rules => axe.run({runOnly: rules, resultTypes: ['violations']})", self.rules)
        problems = [f"{v['id']}: {[n['html'][:120] for n in v['nodes']]}" for v in found["violations"]]
        assert not problems, f"{self.heading}: {problems}"
        for size in ("200%", ""):
            self.page.evaluate("size => { document.documentElement.style.fontSize = size }", size)
            width, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert width <= window, f"{self.heading}: {width} px wide in a window of {window}, text at {size or '100%'}"
        said = self.page.title().removeprefix("Error: ").split(" · ")[0]
        assert said == self.heading, f"the title says {said}, the page {self.heading}"
        levels = [int(node.evaluate("node => node.tagName[1]")) for node in self.page.locator("h1, h2, h3, h4").all()]
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), f"{self.heading}: headings {levels}"
        assert not self.complaints, self.complaints


def arrived(page: Page, row: Participant, server: str) -> Person:
    """Somebody who has come as far as their row says, at the page where they belong."""
    signed = signing.TimestampSigner(salt=f"palate.participant.{row.study.slug}").sign(row.code)
    page.context.add_cookies([{"name": "palate", "value": signed, "url": f"{server}/s/{row.study.slug}/"}])
    return Person(page, row.study).go()


def at_first_pair(page: Page, server: str) -> Person:
    """Somebody at the first pair of a study of their own; entry, consent and instructions lie behind them."""
    row = progress.begin(factory.consented(factory.open_study(max_enrolled=2)))
    return arrived(page, row, server).sees("Pair 1 of 12")
