"""Double clicks, the back button, two tabs, a lost connection: nothing changes, nothing is lost."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from annotations.models import Comparison, Judgment
from studyapp import live, sockets
from studyapp.models import Participant
from tests import factory
from tests.browser.person import Person, arrived, at_first_pair

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]


def test_a_double_click_on_begin_enrols_one(visit: Visit, server: str) -> None:
    for javascript in (True, False):
        study = factory.open_study(f"double-{int(javascript)}", max_enrolled=3)
        person = Person(visit(javascript=javascript), study).go()
        person.page.get_by_role("button", name="Begin").dblclick()
        person.sees("About consent")
        assert Participant.objects.filter(study=study).count() == 1


def test_a_double_click_stores_one_choice(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(), server)
    person.page.get_by_role("radio", name="Second answer").check()
    person.page.get_by_role("button", name="Continue").dblclick()
    person.sees("Pair 2 of 12")
    assert factory.choices_of(person.row) == ["second", None, None, None, None]


def test_the_back_button_leads_to_the_present_page(visit: Visit, server: str) -> None:
    study = factory.open_study(max_enrolled=2)
    person = Person(visit(), study).to_shots().choose().choose("Second answer")
    for _ in range(2):
        person.page.go_back()
        person.sees("Pair 3 of 12").is_at("shots")
    person.answer_all().sees("Preparing your answers")
    person.page.go_back()
    person.sees("Preparing your answers").is_at("wait")
    factory.finish_texts(study)
    person.sees(re.compile("^Pair 6")).choose("First answer", 2)
    person.page.go_back()
    person.sees(re.compile("^Pair 7")).is_at("judge")
    assert Judgment.objects.filter(participant=person.row).count() == 1


def test_two_tabs_store_the_first_answer_and_both_go_on(visit: Visit, server: str) -> None:
    first = at_first_pair(visit(), server)
    second = Person(first.page.context.new_page(), first.study).go("shots").sees("Pair 1 of 12")
    first.choose("First answer").sees("Pair 2 of 12")
    second.choose("Second answer").sees("Pair 2 of 12")
    assert factory.choices_of(first.row)[:2] == ["first", None]
    second.choose("Second answer").sees("Pair 3 of 12")
    first.choose("First answer").sees("Pair 3 of 12")
    assert factory.choices_of(first.row)[:3] == ["first", "second", None]


def test_a_lost_connection_is_told_and_the_answer_can_be_sent_again(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(), server)
    person.page.context.set_offline(True)
    person.page.get_by_role("radio", name="Second answer").check()
    person.press("Continue")
    expect(person.page.locator("#lost")).to_contain_text("not stored yet")
    assert factory.choices_of(person.row)[0] is None
    person.page.context.set_offline(False)
    assert person.page.get_by_role("radio", name="Second answer").is_checked()
    person.press("Continue").sees("Pair 2 of 12")
    expect(person.page.locator("#lost")).to_be_hidden()
    assert factory.choices_of(person.row)[0] == "second"


def test_an_answer_whose_reply_was_lost_counts_once(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(), server)

    def swallow(route: Any) -> None:
        route.fetch()
        route.abort()

    person.page.route("**/shots/", swallow, times=1)
    person.page.get_by_role("radio", name="First answer").check()
    person.press("Continue")
    expect(person.page.locator("#lost")).to_be_visible()
    person.page.get_by_role("radio", name="Second answer").check()
    person.press("Continue").sees("Pair 2 of 12")
    assert factory.choices_of(person.row)[:2] == ["first", None]


def test_a_reload_and_another_device_go_on_at_the_same_pair(visit: Visit, server: str) -> None:
    study = factory.open_study(max_enrolled=2)
    person = Person(visit(), study).to_shots("?PROLIFIC_PID=a&STUDY_ID=b&SESSION_ID=c").choose()
    person.page.reload()
    person.sees("Pair 2 of 12")
    phone = Person(visit(width=375), study).go("", "?PROLIFIC_PID=a&STUDY_ID=b&SESSION_ID=c").press("Begin")
    phone.sees("Pair 2 of 12")
    assert Participant.objects.filter(study=study).count() == 1


# --- the wait page ----------------------------------------------------------------------------------------------------


def test_a_nudge_moves_the_wait_page_on_before_it_polls(
    visit: Visit, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studyapp.views.wait.POLL_S", 600)
    person = at_first_pair(visit(), server)
    # The socket's greeting makes the page look once: what comes after that is the nudge's doing.
    with person.page.expect_websocket() as opened, person.page.expect_response(lambda answer: answer.status == 204):
        person.answer_all().sees("Preparing your answers")
    frames: list[str | bytes] = []
    opened.value.on("framereceived", lambda frame: frames.append(frame))
    factory.finish_texts(person.study)
    # Playwright's own event loop runs in this thread; a worker's listener has none.
    nudger = threading.Thread(target=live.nudge, args=([person.row.pk],))
    nudger.start()
    nudger.join(10)
    person.sees(re.compile("^Pair 6"))
    assert set(frames) == {sockets.LOOK}
    expect(person.page.locator("h1")).to_be_focused()


def test_with_its_socket_blocked_the_wait_page_moves_on_by_polling(visit: Visit, server: str) -> None:
    page = visit()
    page.add_init_script("window.WebSocket = class { constructor() { throw new Error('blocked'); } }")
    person = at_first_pair(page, server).answer_all().sees("Preparing your answers")
    factory.finish_texts(person.study)
    person.sees(re.compile("^Pair 6"))
    assert not person.complaints


def test_with_redis_dead_the_wait_page_moves_on(visit: Visit, server: str, settings: Any) -> None:
    person = at_first_pair(visit(), server)
    settings.CHANNEL_LAYERS = {
        "default": {
            "BACKEND": "channels_redis.core.RedisChannelLayer",
            "CONFIG": {"hosts": [{"address": "unix:///nonexistent/redis.sock", "socket_connect_timeout": 1}]},
        }
    }
    person.answer_all().sees("Preparing your answers")
    factory.finish_texts(person.study)
    person.sees(re.compile("^Pair 6"))


def test_progress_on_the_wait_page_counts_pairs(visit: Visit, server: str) -> None:
    row = factory.elicited(factory.open_study(max_enrolled=2))
    person = arrived(visit(), row, server).sees("Preparing your answers")
    count = person.page.locator(".count")
    before = count.inner_text()
    last = Comparison.objects.filter(participant=person.row, kind="arms", state="planned").order_by("position").last()
    assert last is not None
    factory.finish_texts(row.study, pk__in=[last.generation_a_id, last.generation_b_id])  # type: ignore[attr-defined]
    expect(count).not_to_have_text(before)
    expect(count).to_contain_text("of 7 pairs ready")


# --- keys, focus, size ------------------------------------------------------------------------------------------------


def test_keys_choose_only_while_the_choice_has_the_focus_and_the_switch_is_on(visit: Visit, server: str) -> None:
    study = factory.open_study(max_enrolled=2, judging={"scale": "choice+tie", "reason": "optional"})
    person = Person(visit(), study).to_shots()
    page, keys = person.page, person.page.keyboard
    chosen = page.locator("[name=choice]:checked")
    keys.press("1")
    assert chosen.count() == 0
    keys.press("Tab")
    keys.press("1")
    expect(chosen).to_have_value("first")
    page.get_by_role("switch").uncheck()
    page.locator("[name=choice]").first.focus()
    keys.press("2")
    expect(chosen).to_have_value("first")
    page.reload()
    assert not page.get_by_role("switch").is_checked()
    page.get_by_role("switch").check()
    person.answer_all()
    factory.finish_texts(study)
    person.sees(re.compile("^Pair 6"))
    keys.press("Tab")
    keys.press("0")
    expect(chosen).to_have_value("tie")
    page.locator("textarea").fill("a reason with 1 and 2 in it")
    expect(chosen).to_have_value("tie")


def test_the_page_follows_the_readers_font_size(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(width=1280), server)
    size = "parseFloat(getComputedStyle(document.querySelector('.answer')).fontSize)"
    before = person.page.evaluate(size)
    client = person.page.context.new_cdp_session(person.page)
    client.send("Page.enable")
    client.send("Page.setFontSizes", {"fontSizes": {"standard": 32, "fixed": 26}})
    person.page.reload()
    assert person.page.evaluate(size) == pytest.approx(before * 2, rel=0.05)
    width = person.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]


@pytest.mark.parametrize("width", [1280, 375])
def test_first_is_left_on_a_wide_screen_and_above_on_a_phone(visit: Visit, server: str, width: int) -> None:
    person = at_first_pair(visit(width=width), server)
    first, second = (person.page.locator("article").nth(n).bounding_box() for n in (0, 1))
    assert first
    assert second
    if width == 1280:
        assert first["x"] < second["x"]
        assert first["y"] == second["y"]
    else:
        assert first["x"] == second["x"]
        assert first["y"] < second["y"]
    for control in person.page.locator("button:visible, .options span:visible, a.stop:visible").all():
        box = control.bounding_box()
        assert box
        assert box["height"] >= 44
        assert box["width"] >= 44


def test_people_of_a_panel_return_by_themselves_and_may_stay(visit: Visit, server: str) -> None:
    who = {"panel": "prolific", "panel_id": "a", "panel_session": "c"}
    row = factory.completed(factory.open_study(max_enrolled=2), **who)
    person = arrived(visit(), row, server).sees("About debrief")
    went: list[str] = []
    person.page.route("https://app.prolific.com/**", lambda route: (went.append(route.request.url), route.abort()))
    person.press("Finish").sees("Thank you").press("Stay here")
    person.page.wait_for_timeout(1500)
    expect(person.page.locator("[data-countdown]")).to_be_hidden()
    assert not went
    person.page.clock.install()
    person.page.reload()
    person.page.clock.run_for(21_000)
    assert not went, "twenty seconds are the least to hear of it and to stay"
    person.page.clock.run_for(10_000)
    person.page.wait_for_timeout(300)
    assert went == ["https://app.prolific.com/submissions/complete?cc=DONE-1"]
