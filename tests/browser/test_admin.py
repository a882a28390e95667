"""The researchers' site in a real browser: counts move by themselves, and a study is closed by its form."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth import get_user_model
from playwright.sync_api import Page, expect

from studyapp import tasks
from studyapp.models import Event, Study
from tests import factory
from tests.studyapp.staff import researcher
from tests.studyapp.test_report import judged_by
from tests.studyapp.test_results import unblinded

pytestmark = pytest.mark.browser


@pytest.fixture
def desk(visit: Callable[..., Page], server: str) -> Page:
    """A browser in which a researcher is signed in."""
    page = visit()
    session = researcher(superuser=True).cookies["sessionid"].value
    page.context.add_cookies([{"name": "sessionid", "value": session, "url": server}])
    return page


def test_counts_move_without_a_reload_and_come_back_after_a_lost_connection(desk: Page) -> None:
    study = factory.open_study()
    errors: list[str] = []
    desk.on("pageerror", lambda error: errors.append(str(error)))
    desk.goto(f"/admin/studyapp/study/{study.pk}/change/")
    live = desk.locator("#live")
    expect(live).to_contain_text("Nobody has entered yet")
    factory.consented(study)
    expect(live).to_contain_text("1 under way")
    desk.context.set_offline(True)
    expect(live).to_contain_text("cannot be reached")
    factory.consented(study)
    desk.context.set_offline(False)
    expect(live).to_contain_text("2 under way")
    assert errors == []


WITHOUT_POLLING = "window.setInterval = () => 0;"
WITHOUT_SOCKETS = "window.WebSocket = class { addEventListener() {} };"


@pytest.mark.parametrize(
    "blocked",
    [WITHOUT_POLLING, pytest.param(WITHOUT_SOCKETS, marks=pytest.mark.slow)],
    ids=["by the socket alone", "by polling alone"],
)
def test_counts_move_by_the_socket_and_without_it(desk: Page, blocked: str) -> None:
    study = factory.open_study()
    desk.add_init_script(blocked)
    desk.goto(f"/admin/studyapp/study/{study.pk}/change/")
    live = desk.locator("#live")
    expect(live).to_contain_text("Live · as of")
    for number in (1, 2, 3):
        factory.consented(study)
        expect(live).to_contain_text(f"{number} under way")


def test_without_scripts_the_counts_are_there_and_say_of_when(desk: Page, visit: Callable[..., Page]) -> None:
    study = factory.open_study()
    factory.consented(study)
    plain = visit(javascript=False, storage_state=desk.context.storage_state())
    plain.goto(f"/admin/studyapp/study/{study.pk}/change/")
    expect(plain.locator("#live")).to_contain_text("1 under way")
    expect(plain.locator("[data-live-status]")).to_contain_text("reload the page for newer counts")
    expect(plain.locator("[data-live-status]")).not_to_contain_text("Live ·")


def test_results_are_read_on_a_telephone_without_scripts(desk: Page, visit: Callable[..., Page]) -> None:
    study = unblinded(judged_by(factory.open_study(), "fspo", "base"))
    address = f"/admin/studyapp/study/{study.pk}/results/"
    plain = visit(width=375, javascript=False, storage_state=desk.context.storage_state())
    plain.goto(address)
    expect(plain.get_by_role("status")).to_contain_text("asked for")
    assert tasks.results(study.pk)
    # the page that waits looks again by itself
    expect(plain.locator("[data-main-result]")).to_contain_text("n = 2 people, 8 judgments")
    number = plain.locator(".result-number").bounding_box()
    assert number is not None
    assert number["y"] + number["height"] < 500
    desk.set_viewport_size({"width": 375, "height": 800})
    desk.goto(address)
    expect(desk.locator("figure img").first).to_be_visible()
    assert desk.evaluate("[...document.querySelectorAll('figure img')].every(one => one.complete && one.naturalWidth)")
    assert desk.evaluate("document.documentElement.scrollWidth") == 375


def test_a_signed_out_page_goes_to_the_login_form_instead_of_showing_it_inside(desk: Page) -> None:
    study = factory.open_study()
    desk.goto(f"/admin/studyapp/study/{study.pk}/change/")
    desk.context.clear_cookies()
    desk.wait_for_url("**/admin/login/**")
    expect(desk.locator("#live")).to_have_count(0)
    rosa = get_user_model().objects.get(username="rosa")
    rosa.set_password("a-long-password")
    rosa.save()
    desk.get_by_label("Username").fill("rosa")
    desk.locator("[name=password]").fill("a-long-password")
    desk.locator("[name=password]").press("Enter")
    expect(desk.locator("#live")).to_contain_text("Nobody has entered yet")


def test_a_study_is_ended_by_its_form_with_a_reason(desk: Page) -> None:
    study = factory.open_study()
    factory.consented(study)
    desk.goto(f"/admin/studyapp/study/{study.pk}/change/")
    desk.get_by_role("link", name="End for everybody").click()
    expect(desk.get_by_text("1 person is under way")).to_be_visible()
    desk.get_by_role("button", name="End for everybody").click()
    expect(desk.get_by_text("This field is required")).to_be_visible()
    assert Study.objects.get(pk=study.pk).state == "open"
    desk.get_by_label("Reason").fill("the term is over")
    desk.get_by_role("button", name="End for everybody").click()
    expect(desk.get_by_text("is closed and nobody is under way")).to_be_visible()
    expect(desk.locator("#content-main").get_by_text("the term is over")).to_be_visible()
    assert Event.objects.filter(study=study, kind="ended", actor__username="rosa").exists()
