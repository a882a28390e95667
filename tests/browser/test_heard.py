"""What a screen reader hears and where the keyboard is: order, names, errors, messages, and what is not said twice."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from annotations.models import Comparison
from studyapp.models import Participant
from tests import factory
from tests.browser.person import Person, arrived, at_first_pair

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
Visit = Callable[..., Page]

PAIR = """
- heading "Pair {number} of 12" [level=1]
- paragraph: /about \\d+ minutes? left/
- heading "Question" [level=2]
- paragraph: {question}
- article "First answer":
  - heading "First answer" [level=2]
  - paragraph
- article "Second answer":
  - heading "Second answer" [level=2]
  - paragraph
- group "{prompt}":
  - text: {prompt}
  - radio "First answer"
  - text: First answer
  - radio "Second answer"
  - text: Second answer
"""
JUDGED = """- group "How strong is your preference?":
  - text: How strong is your preference?
  - radio "1 Basically the same"
  - text: 1 Basically the same
  - radio "2 Slight"
  - text: 2 Slight
  - radio "3 Clear"
  - text: 3 Clear
  - radio "4 Strong"
  - text: 4 Strong
  - radio "5 Very strong"
  - text: 5 Very strong
- text: What made you choose so? (you may leave this empty)
- textbox "What made you choose so? (you may leave this empty)"
"""
END = """- button "Continue"
- paragraph:
  - switch "Keys 1 and 2 choose while the choice has the focus" [checked]
  - text: Keys 1 and 2 choose while the choice has the focus
"""


def send_unchecked(person: Person) -> None:
    """Send the form past the browser's own checks, as a browser that has none."""
    person.page.locator("main form").evaluate("form => form.noValidate = true")
    person.page.locator("main form button[type=submit]").first.click()


def described(page: Page, selector: str) -> str:
    """The description of an element, as it is announced."""
    ids = page.locator(selector).get_attribute("aria-describedby") or ""
    return " ".join(page.locator(f"#{one}").inner_text() for one in ids.split())


def test_a_pair_is_read_in_order_and_said_once(visit: Visit, server: str) -> None:
    row = factory.consented(factory.open_study(max_enrolled=2))
    person = arrived(visit(), row, server).press("Show me the first pair").sees("Pair 1 of 12")
    main, said = person.page.locator("main"), person.page.locator("#announce")
    question = person.page.locator(".question p").inner_text()
    told = PAIR.format(number=1, question=question, prompt="Which answer do you prefer?")
    expect(main).to_match_aria_snapshot(told + END)
    # The focus says the heading; a live region that says it again would be heard twice.
    expect(person.page.locator("h1")).to_be_focused()
    person.page.wait_for_timeout(300)
    expect(said).to_be_empty()
    factory.finish_texts(row.study)
    factory.answer_all(row)
    factory.finish_texts(row.study)
    person.go("judge").sees("Pair 6 of 12")
    question = person.page.locator(".question p").inner_text()
    told = PAIR.format(number=6, question=question, prompt="Which answer would you rather have received?")
    expect(main).to_match_aria_snapshot(told + JUDGED + END)
    expect(person.page).to_have_title(re.compile("^Pair 6 of 12 · "))
    send_unchecked(person)
    problems = person.page.locator(".errors")
    expect(problems).to_be_focused()
    assert described(person.page, ".errors").count("Please") == 2
    expect(person.page).to_have_title(re.compile("^Error: Pair 6 of 12 · "))
    for field, name, says in (("choice", "First answer", "choose one"), ("strength", "1 Basically", "from 1 to 5")):
        assert says in described(person.page, f"fieldset.{field}")
        problems.get_by_role("link", name=re.compile(says)).click()
        expect(person.page.get_by_role("radio", name=re.compile(f"^{name}"))).to_be_focused()
        assert in_sight(person.page, f"fieldset.{field} legend")
    expect(said).to_be_empty()


def in_sight(page: Page, selector: str) -> bool:
    box, height = page.locator(selector).bounding_box(), page.evaluate("innerHeight")
    return bool(box and box["y"] >= 0 and box["y"] + box["height"] <= height)


def test_what_is_missing_is_said_at_the_fields_of_entry_and_consent(visit: Visit, server: str) -> None:
    for javascript in (True, False):
        study = factory.open_study(f"missing-{int(javascript)}", max_enrolled=2)
        page = visit(javascript=javascript)
        person = Person(page, study).go("", "?PROLIFIC_PID={{%PROLIFIC_PID%}}")
        if javascript:
            send_unchecked(person)
        else:
            page.get_by_label("Your Prolific ID").fill(" ")
            person.press("Begin")
        expect(page.locator(".errors")).to_be_focused()
        assert described(page, "[name=PROLIFIC_PID]").startswith("Please type your Prolific ID.")
        assert page.title().startswith("Error: ")
        if not javascript:
            continue
        person.go().press("Begin").sees("About consent")
        send_unchecked(person)
        expect(page.locator(".errors")).to_be_focused()
        assert "18 years" in described(page, "[name=age]")
        assert "take part" in described(page, "[name=agree]")


def test_a_failed_send_leaves_the_focus_and_is_said_each_time(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(height=560), server)
    page, lost = person.page, person.page.locator("#lost")
    send = page.get_by_role("button", name="Continue")
    page.get_by_role("radio", name="Second answer").check()
    page.context.set_offline(True)
    send.focus()
    page.keyboard.press("Enter")
    expect(lost).to_be_visible()
    expect(send).to_be_focused()
    assert not covered(page, "main button[type=submit]")
    lost.evaluate("""node => new MutationObserver(() => { node.dataset.seen = (node.dataset.seen ?? "") + node.hidden })
        .observe(node, {attributeFilter: ["hidden"]})""")
    page.keyboard.press("Enter")
    expect(lost).to_have_attribute("data-seen", "truefalse")
    page.get_by_role("button", name="Dismiss").click()
    expect(send).to_be_focused()


def covered(page: Page, selector: str) -> bool:
    """True when something else lies over the middle of an element."""
    return page.locator(selector).evaluate(
        """node => {
            const box = node.getBoundingClientRect();
            const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
            return !(top && (node.contains(top) || top.contains(node)));
        }"""
    )


def test_the_wait_page_says_little_and_keeps_the_focus(
    visit: Visit, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("studyapp.views.wait.POLL_S", 1)
    study = factory.open_study(max_enrolled=2, pay={"currency": "GBP", "amount": 3.5, "minutes": 20})
    person = arrived(visit(), factory.elicited(study), server).sees("Preparing your answers")
    page, said = person.page, person.page.locator("#announce")
    assert page.locator("main [role=status], main [aria-live]").count() == 0
    page.evaluate("""() => {
        window.heard = [];
        const region = document.querySelector("#announce");
        new MutationObserver(() => region.textContent && heard.push(region.textContent))
            .observe(region, {childList: true});
    }""")
    rows = Comparison.objects.filter(participant=person.row, kind="arms", state="planned").order_by("-position")
    before = page.locator(".count").inner_text()
    factory.finish_texts(person.study, pk__in=[rows[0].generation_a_id, rows[0].generation_b_id])
    expect(page.locator(".count")).not_to_have_text(before)
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(minutes=10))
    ways = "You may go on with the answers that are ready, wait on, or leave now and be paid in full."
    expect(said).to_contain_text(ways)
    leave = page.get_by_role("button", name="Leave with full pay")
    leave.focus()
    factory.finish_texts(person.study, pk__in=[rows[1].generation_a_id, rows[1].generation_b_id])
    before = page.locator(".count").inner_text()
    expect(page.locator(".count")).not_to_have_text(before)
    expect(leave).to_be_focused()
    assert len(page.evaluate("heard")) == 1


def test_copying_and_counting_down_are_said_once(visit: Visit, server: str) -> None:
    study = factory.open_study(max_enrolled=2)
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    row = factory.consented(study, panel="prolific", panel_id="a", panel_session="b")
    Participant.objects.update(state="completed", debriefed_at=timezone.now())
    person = arrived(page, row, server).sees("Thank you")
    said = page.locator("#announce")
    expect(said).to_contain_text("in 30 seconds, unless you want to stay")
    expect(page.locator("[data-countdown] span")).not_to_have_text("30")
    expect(said).to_contain_text("in 30 seconds")
    person.press("Stay here")
    expect(said).to_have_text("You stay here.")
    expect(page.locator("h1")).to_be_focused()
    person.press("Copy code")
    expect(said).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "DONE-1"


def test_a_button_that_seemed_to_do_nothing_works_again(visit: Visit, server: str) -> None:
    person = Person(visit(), factory.open_study(max_enrolled=2)).go()
    asked: list[str] = []
    person.page.on("request", lambda request: asked.append(request.method))
    person.page.route("**/s/small/", lambda route: route.fulfill(status=204), times=1)
    with person.page.expect_request(lambda request: request.method == "POST"):
        person.page.get_by_role("button", name="Begin").dblclick()
    assert asked.count("POST") == 1
    person.page.locator("main form").evaluate("form => { form.dataset.sent -= 3000 }")  # three seconds later
    person.press("Begin").sees("About consent")
    assert asked.count("POST") == 2


def test_without_colours_of_our_own_a_choice_and_the_focus_still_show(visit: Visit, server: str) -> None:
    person = at_first_pair(visit(forced_colors="active"), server)
    page = person.page
    page.get_by_role("radio", name="Second answer").check()
    look = "node => { const s = getComputedStyle(node); return [s.backgroundColor, s.outlineStyle, s.outlineWidth] }"
    first, second = (page.locator(".choice .options span").nth(n).evaluate(look) for n in (0, 1))
    assert first[0] != second[0]
    page.keyboard.press("Tab")
    page.keyboard.press("Shift+Tab")
    focused = page.locator(".choice .options span").nth(1).evaluate(look)
    assert focused[1:] == ["solid", "3px"] != second[1:]
    switch = page.get_by_role("switch")
    on = switch.evaluate("node => getComputedStyle(node).backgroundColor")
    switch.uncheck()
    expect(switch).not_to_have_css("background-color", on)  # after its transition
