"""The whole path in a real browser: with scripts and without, by keyboard alone, on a phone, every page checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotations.models import Judgment, Preference
from studyapp.models import Participant, Seat
from tests import factory
from tests.browser.conftest import Worker
from tests.browser.person import LOOKS, STANDARDS, Person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]


@pytest.mark.parametrize("width", [1280, 375])
def test_somebody_walks_the_whole_study(visit: Visit, worker: Worker, width: int) -> None:
    person = Person(visit(width=width), factory.open_study(max_enrolled=2)).to_shots()
    worker.start()
    person.answer_all().sees(re.compile("^Pair 6 of 12")).is_at("judge")
    person.judge_all().sees("About debrief")
    person.press("Finish").sees("Thank you")
    assert person.page.locator("#exit-code").inner_text() == "DONE-1"
    assert not person.complaints
    anna = person.row
    assert factory.choices_of(anna) == ["first", "second", "first", "second", "first"]
    judged = list(Judgment.objects.filter(participant=anna).values_list("choice", "strength", "input"))
    assert judged == [("second", 4, "pointer")] * 7
    for times in (Preference, Judgment):
        stored = times.objects.filter(participant=anna).values_list("page_ms", flat=True)
        assert all(ms and 0 < ms < 60_000 for ms in stored)


def test_somebody_walks_it_without_scripts(visit: Visit, worker: Worker) -> None:
    person = Person(visit(javascript=False), factory.open_study(max_enrolled=2)).to_shots()
    worker.start()
    person.answer_all()
    # No script asks again: the page refreshes itself.
    person.sees(re.compile("^Pair 6 of 12"))
    person.judge_all().sees("About debrief").press("Finish").sees("Thank you")
    assert Judgment.objects.filter(participant=person.row, page_ms=None).count() == 7


def _tab_to(page: Page, name: str | re.Pattern[str], role: str = "button") -> None:
    wanted = page.get_by_role(role, name=name)  # type: ignore[arg-type]
    for _ in range(40):
        if wanted.count() and wanted.first.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {name}")


def test_somebody_walks_it_by_keyboard_alone(visit: Visit, worker: Worker) -> None:
    person = Person(visit(), factory.open_study(max_enrolled=2)).go()
    page, keys = person.page, person.page.keyboard
    worker.start()
    _tab_to(page, "Begin")
    keys.press("Enter")
    person.sees("About consent")
    for box in ("I am at least 18", "I have read"):
        _tab_to(page, re.compile(box), "checkbox")
        keys.press("Space")
    _tab_to(page, "I agree, go on")
    keys.press("Enter")
    person.sees("About instructions")
    _tab_to(page, "Show me the first pair")
    keys.press("Enter")
    person.sees(re.compile("^Pair 1 of"))
    for number in range(1, 6):
        person.sees(f"Pair {number} of 12")
        expect(page.locator("h1")).to_be_focused()
        keys.press("Tab")
        keys.press("2")
        keys.press("Enter")
    for number in range(6, 13):
        expect(page.locator("h1")).to_have_text(re.compile(rf"Pair {number} of 12|Take a breath"))
        if person.heading == "Take a breath":
            _tab_to(page, "Go on")
            keys.press("Enter")
            person.sees(f"Pair {number} of 12")
        expect(page.locator("h1")).to_be_focused()
        keys.press("Tab")
        keys.press("1")
        keys.press("Tab")
        keys.press("Space")
        keys.press("ArrowRight")
        _tab_to(page, "Continue")
        keys.press("Enter")
    person.sees("About debrief")
    _tab_to(page, "Finish")
    keys.press("Enter")
    person.sees("Thank you")
    assert set(factory.choices_of(person.row)) == {"second"}
    judged = Judgment.objects.filter(participant=person.row).values_list("choice", "strength", "input")
    assert set(judged) == {("first", 2, "key")}


# --- axe on every page -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_every_page_passes_axe(visit: Visit, server: str, scheme: str) -> None:
    width = 375 if scheme == "dark" else 1280
    study = factory.open_study(max_enrolled=3, pay={"currency": "GBP", "amount": 3.5, "minutes": 20})
    page = visit(width=width, color_scheme=scheme, reduced_motion="reduce")
    person = Person(page, study, STANDARDS if scheme == "light" else LOOKS)
    press, check = person.press, person.check_page
    person.go("", "?PROLIFIC_PID={{%PROLIFIC_PID%}}").check_page()
    person.go().check_page()
    press("Begin").sees("About consent").check_page()
    person.page.locator("form").evaluate("form => form.noValidate = true")
    press("I agree, go on")
    expect(person.page.locator(".errors")).to_be_focused()
    check()
    person.page.get_by_label("I am at least 18 years old.").check()
    person.page.get_by_label("I have read the information").check()
    press("I agree, go on").sees("About instructions").check_page()
    press("Show me the first pair").sees(re.compile("^Pair 1"))
    check()
    person.answer_all().sees("Preparing your answers").check_page()
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(minutes=10))
    expect(person.page.get_by_role("button", name="Leave with full pay")).to_be_visible()
    check()
    factory.finish_texts(study)
    person.sees(re.compile("^Pair 6")).check_page()
    for page, heading in (
        ("stop", "Do you want to stop?"), ("stop/later", "See you later"), ("stop/keep", "Stop and keep your answers?"),
        ("stop/erase", "Stop and erase everything?"),
    ):  # fmt: skip
        person.go(page).sees(heading).check_page()
    person.go("judge")
    for _ in range(3):
        person.choose("First answer", 1)
    person.sees("Take a breath").check_page()
    person.judge_all().sees("About debrief").check_page()
    press("Finish").sees("Thank you").check_page()
    person.go("stop/erase").press("Yes, erase everything").sees("Everything is erased").check_page()


def test_the_kind_refusals_pass_axe(visit: Visit, server: str) -> None:
    study = factory.open_study(max_enrolled=2)
    person = Person(visit(reduced_motion="reduce"), study)
    person.go("", "?invite=nobody").press("Begin").sees("This invitation does not work").check_page()
    person.go("resume/unknown").sees("This link does not work any more").check_page()
    person.go("nowhere").sees("There is nothing at this address").check_page()
    person.go().press("Begin").press("I do not want to take part").sees("That is fine").check_page()
    Seat.objects.update(state="taken")
    Person(visit(reduced_motion="reduce"), study).go().sees("All places are taken").check_page()
