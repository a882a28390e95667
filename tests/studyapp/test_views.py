"""The pages: what they show, what they never show, and how they answer htmx and a browser without scripts."""

from __future__ import annotations

import gzip
import re
import uuid
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.utils import timezone

from annotations import selectors
from annotations.models import Comparison, Judgment, Preference
from inference.models import Generation
from studyapp.models import Participant, Study
from studyapp.services import entry, leaving, progress
from tests import factory
from tests.studyapp.walk import Walker

HTMX = {"HX-Request": "true"}
TEMPLATES = sorted((Path(django_settings.BASE_DIR) / "templates" / "participant").rglob("*.html"))


@pytest.fixture(scope="module")
def opened(kept: None) -> Study:
    """The study that nobody has entered yet."""
    return factory.open_study("kept", max_enrolled=4)


@pytest.fixture
def study(opened: Study, db: None) -> Study:
    return Study.objects.get(pk=opened.pk)


def at_judge(study: Study, query: str = "") -> Walker:
    """Somebody with every text ready, at the first judged pair."""
    walker = Walker(study).to_shots(query).answer_all()
    factory.finish_texts(study)
    return walker.get("wait")


@pytest.fixture(scope="module")
def arrived(kept: None) -> Walker:
    """Somebody at the first judged pair of a study of their own."""
    return at_judge(factory.open_study("walked", max_enrolled=4))


@pytest.fixture
def walker(arrived: Walker, db: None) -> Walker:
    return arrived.again()


def done(walker: Walker) -> Walker:
    """Somebody at the completion page, from the first judged pair on."""
    return walker.judge_all().send()


# --- every page -------------------------------------------------------------------------------------------------------


def test_whom_to_ask_stands_at_the_same_place_of_every_page(db: None) -> None:
    study = factory.open_study(max_enrolled=4, privacy={"contact": "Anna, anna@example.org"})
    walker = Walker(study).get()
    steps = [lambda: walker.send(), lambda: walker.consent(), lambda: walker.send(), lambda: walker.get("stop")]
    for step in [lambda: walker, *steps, lambda: walker.get("stop/erase").send()]:
        step()
        help = walker.page.css("#page ~ footer")
        assert [node.text().strip() for node in help] == ["Questions? Anna, anna@example.org"]
        assert walker.page.css_first("footer a[href='mailto:anna@example.org']") is not None
    fragment = at_judge(study).client.get(f"/s/{study.slug}/judge/", headers=HTMX)
    assert b"anna@example.org" not in fragment.content, "it outlives the swaps"


def test_every_page_forbids_inline_code_and_caching(study: Study) -> None:
    walker = Walker(study).get()
    steps = [lambda: walker.send(), lambda: walker.consent(), lambda: walker.send(), lambda: walker.get("stop")]
    for step in [lambda: walker, *steps]:
        step()
        policy = walker.response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "no-store" in walker.response.headers["Cache-Control"]
        assert walker.response.headers["X-Frame-Options"] == "DENY"
        assert "HX-Request" in walker.response.headers["Vary"]


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_inline_code_or_trusts_a_text(template: Path) -> None:
    source = template.read_text()
    assert not re.search(r"\son[a-z]+\s*=|\sstyle\s*=|<style|javascript:|hx-on|\|safe|autoescape off", source)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", source))


def test_a_participant_page_touches_no_session_and_no_user(walker: Walker, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(10) as captured:
        walker.get("judge")
    assert not [q["sql"] for q in captured.captured_queries if "django_session" in q["sql"] or "auth_user" in q["sql"]]
    assert "sessionid" not in walker.client.cookies


def test_an_error_page_says_what_to_do(study: Study) -> None:
    walker = Walker(study)
    assert walker.get("nowhere").heading == "There is nothing at this address"
    blocked = Client(enforce_csrf_checks=True).post(walker.url())
    assert blocked.status_code == 403
    assert b"open for too long" in blocked.content


def test_our_own_fault_is_told_without_a_traceback(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("secret detail")

    walker = Walker(study).to_shots()
    monkeypatch.setattr("studyapp.views.shots.pair_context", broken)
    walker.client.raise_request_exception = False
    walker.get("shots")
    assert walker.response.status_code == 500
    assert walker.heading == "Something went wrong on our side"
    assert b"secret detail" not in walker.response.content


# --- pairs ------------------------------------------------------------------------------------------------------------


def test_a_pair_is_shown_with_its_progress(study: Study) -> None:
    walker = Walker(study).to_shots()
    assert walker.heading == "Pair 1 of 12"
    first = (
        Preference.objects.filter(participant=walker.person).order_by("position").select_related("first", "second")[0]
    )
    answers = [node.text(strip=True) for node in walker.page.css(".answer")]
    assert answers == [first.first.text, first.second.text]
    assert [n.text(strip=True) for n in walker.page.css("article h2")] == ["First answer", "Second answer"]
    walker.send(choice="second", page_ms="1234", input="key")
    assert walker.heading == "Pair 2 of 12"
    first.refresh_from_db()
    assert (first.choice, first.page_ms) == ("second", 1234)
    assert first.presented_at is not None


def test_a_form_without_a_choice_comes_back_with_what_was_given(walker: Walker) -> None:
    walker.send(strength="4", reason="Because of <b>this</b> & that")
    assert walker.response.status_code == 422
    assert walker.page.css_first(".errors a[href='#field-choice']") is not None
    assert walker.page.css_first("input[name=strength][value='4'][checked]") is not None
    assert walker.form()["reason"] == "Because of <b>this</b> & that"
    assert not Judgment.objects.filter(participant=walker.person).exists()


@pytest.mark.parametrize("strength", ["0", "6", "-1", "3.5", "NaN", "", "９", "1" * 30])
def test_a_strength_that_is_none_is_refused(walker: Walker, strength: str) -> None:
    walker.send(choice="first", strength=strength)
    assert walker.response.status_code == 422
    assert not Judgment.objects.exists()


def test_everything_of_a_judgment_is_stored(walker: Walker) -> None:
    walker.send(choice="second", strength="5", reason="It is\r\nkind.", page_ms="777", input="key")
    row = Judgment.objects.get(participant=walker.person)
    assert (row.choice, row.strength, row.reason, row.page_ms, row.input) == ("second", 5, "It is\nkind.", 777, "key")
    assert row.server_ms >= 0


@pytest.mark.parametrize("page_ms", ["-5", "abc", "99999999999999999999", "1e3", "\x00"])
def test_an_unbelievable_time_is_no_time(walker: Walker, page_ms: str) -> None:
    walker.send(choice="first", strength="1", page_ms=page_ms)
    assert Judgment.objects.get(participant=walker.person).page_ms is None


@pytest.mark.parametrize(
    ("scale", "reason", "choices", "strengths", "reasons"),
    [
        ("choice+strength", "off", ["first", "second"], 5, 0),
        ("choice+strength", "optional", ["first", "second"], 5, 1),
        ("choice+tie", "required", ["first", "tie", "second"], 0, 1),
    ],
)
def test_the_protocol_decides_what_is_asked(
    db: None, scale: str, reason: str, choices: list[str], strengths: int, reasons: int
) -> None:
    study = factory.open_study(
        max_enrolled=2, judging={"scale": scale, "reason": reason, "prompt": "Which is better for you?"}
    )
    page = at_judge(study).page
    assert page.css_first("legend").text(strip=True) == "Which is better for you?"  # type: ignore[union-attr]
    assert [n.attributes["value"] for n in page.css("input[name=choice]")] == choices
    assert len(page.css("input[name=strength]")) == strengths
    assert len(page.css("textarea[name=reason]")) == reasons


def test_a_required_reason_is_required(db: None) -> None:
    study = factory.open_study(max_enrolled=2, judging={"scale": "choice+tie", "reason": "required"})
    walker = at_judge(study).send(choice="tie", reason="  ")
    assert walker.response.status_code == 422
    assert walker.send(choice="tie", reason="Equal.").response.status_code == 200
    assert Judgment.objects.get().choice == "tie"


def test_a_break_comes_when_the_protocol_says_and_is_left_by_its_button(walker: Walker) -> None:
    for _ in range(3):
        walker.send(choice="first", strength="3")
    assert walker.at == walker.url("break")
    assert walker.get("judge").at == walker.url("break")
    assert walker.send().heading == "Pair 9 of 12"


# --- htmx and no scripts ----------------------------------------------------------------------------------------------


def test_htmx_gets_the_next_fragment_and_a_browser_without_scripts_a_redirect(study: Study) -> None:
    walker = Walker(study).to_shots()
    plain = walker.raw_post("shots", {**walker.form(), "choice": "first"})
    assert (plain.status_code, plain.headers["Location"]) == (303, walker.url("shots"))
    walker.get("shots")
    here = f"http://testserver{walker.url('shots')}"
    swapped = walker.raw_post("shots", {**walker.form(), "choice": "first"}, **HTMX, **{"HX-Current-URL": here})
    text = swapped.content.decode()
    assert swapped.status_code == 200
    assert "<html" not in text
    assert "<title>Pair 3 of 12 · Which answer do you like?</title>" in text
    assert "HX-Push-Url" not in swapped.headers


def test_the_fragment_is_the_page_without_its_frame(study: Study) -> None:
    walker = Walker(study).to_shots()
    mask = re.compile(r'name="csrfmiddlewaretoken" value="\w+"')
    whole = mask.sub("", walker.client.get(walker.url("shots")).content.decode())
    part = mask.sub("", walker.client.get(walker.url("shots"), headers=HTMX).content.decode())
    body = part.partition("</title>")[2].strip()
    assert len(body) > 1000
    assert body in whole


def test_a_fragment_of_another_page_brings_its_address_along(study: Study) -> None:
    walker = Walker(study).enter().consent()
    here = {"HX-Current-URL": f"http://testserver{walker.url('instructions')}"}
    response = walker.raw_post("instructions", {}, **HTMX, **here)
    assert response.headers["HX-Push-Url"] == walker.url("shots")


def test_history_gets_whole_pages(study: Study) -> None:
    walker = Walker(study).to_shots()
    response = walker.client.get(walker.url("shots"), headers={**HTMX, "HX-History-Restore-Request": "true"})
    assert b"<html" in response.content


def test_an_invalid_form_comes_back_as_a_fragment_too(walker: Walker) -> None:
    response = walker.raw_post("judge", walker.form(), **HTMX)
    assert response.status_code == 422
    assert b"<html" not in response.content
    assert b"Please choose one of the answers." in response.content


def test_a_judged_pair_of_long_texts_weighs_little(walker: Walker) -> None:
    words = Path(django_settings.BASE_DIR, "studies", "fspo-openqa", "candidates.jsonl").read_text().split()
    for number, generation in enumerate(Generation.objects.filter(study=walker.study, state="ready")):
        text = " ".join(words[300 * (number % 20) : 300 * (number % 20) + 300])
        Generation.objects.filter(pk=generation.pk).update(text=text)
    packed = {"Accept-Encoding": "gzip"}
    fragment = walker.client.get(walker.url("judge"), headers={**HTMX, **packed})
    assert fragment.headers["Content-Encoding"] == "gzip"
    assert len(fragment.content) <= 6_000
    whole = walker.client.get(walker.url("judge"), headers=packed)
    static = Path(django_settings.BASE_DIR, "studyapp", "static", "palate")
    assets = [static / name for name in re.findall(r'/static/palate/([^"]+)"', gzip.decompress(whole.content).decode())]
    assert len(assets) + 1 <= 10
    assert len(whole.content) + sum(len(gzip.compress(asset.read_bytes())) for asset in assets) <= 150_000


# --- waiting ----------------------------------------------------------------------------------------------------------


def test_a_poll_that_would_change_nothing_is_empty_and_one_that_does_brings_the_pair(study: Study) -> None:
    walker = Walker(study).to_shots().answer_all()
    status = walker.page.css_first("#wait-status")
    assert status is not None
    poll = str(status.attributes["hx-get"])
    assert walker.client.get(poll, headers=HTMX).status_code == 204
    last = (
        Comparison.objects.filter(participant=walker.person, kind="arms", state="planned").order_by("position").last()
    )
    assert last is not None
    factory.finish_texts(study, pk__in=[last.generation_a_id, last.generation_b_id])  # type: ignore[attr-defined]
    changed = walker.client.get(poll, headers=HTMX)
    assert changed.status_code == 200
    assert b"wait-status" in changed.content
    assert b"<h1" not in changed.content
    factory.finish_texts(study)
    moved = walker.client.get(poll, headers=HTMX)
    assert (moved.headers["HX-Retarget"], moved.headers["HX-Push-Url"]) == ("#page", walker.url("judge"))
    assert b"Pair 6 of 12" in moved.content


def test_the_wait_page_works_without_scripts(study: Study) -> None:
    walker = Walker(study).to_shots().answer_all()
    assert _refreshes(walker)
    assert not _refreshes(walker.get("wait", "?still=1"))
    # Nobody who has to decide is interrupted.
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(seconds=31))
    assert not _refreshes(walker.get("wait"))
    assert _refreshes(walker.get("wait", "?stay=1"))


def _refreshes(walker: Walker) -> bool:
    return any('http-equiv="refresh"' in (node.html or "") for node in walker.page.css("noscript"))


def test_leaving_paid_is_offered_only_past_the_deadline(study: Study) -> None:
    walker = Walker(study).to_shots().answer_all()
    assert not walker.page.css("form")
    walker.raw_post("wait", {"leave": "paid"})
    assert walker.person.state == "waiting"
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(seconds=31))
    walker.get("wait")
    stay = walker.page.css_first("a.button[href*='stay=1']")
    assert stay is not None
    assert not walker.get("wait", "?stay=1").page.css("form")
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(seconds=61))
    assert walker.get("wait", "?stay=1").page.css("form")
    walker.send(leave="paid")
    assert (walker.heading, walker.person.state) == ("Thank you for waiting", "excused")
    assert walker.page.css_first("#exit-code").text() == "SORRY-2"  # type: ignore[union-attr]


def test_going_on_without_a_missing_pair_is_offered_only_past_the_deadline_and_when_a_later_one_is_there(
    study: Study,
) -> None:
    walker = Walker(study).to_shots().answer_all()
    walker.raw_post("wait", {"skip": "missing"})
    assert walker.person.state == "waiting"
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(seconds=31))
    assert not walker.get("wait").page.css("#wait-skip")
    later = Comparison.objects.filter(participant=walker.person, kind="arms").order_by("position")[2]
    factory.finish_texts(study, pk__in=[pk for pk in (later.generation_a_id, later.generation_b_id) if pk])
    assert walker.get("wait").page.css("#wait-skip")
    before = Comparison.objects.filter(participant=walker.person, position__lt=later.position)
    assert "You may go on with the answers that are ready, wait on, or leave now" in walker.page.text()
    walker.send(skip="missing")
    assert walker.person.state == "judging"
    void = Comparison.objects.filter(participant=walker.person, void_reason="deadline")
    assert set(void) == set(before.exclude(kind="attention"))


# --- the end ----------------------------------------------------------------------------------------------------------


def test_the_code_is_shown_only_after_everything_is_stored(study: Study) -> None:
    walker = Walker(study).to_shots()
    pages = [walker.response.content]
    walker.answer_all()
    pages.append(walker.response.content)
    factory.finish_texts(study)
    walker.get("wait")
    while walker.at != walker.url("done"):
        pages.append(walker.response.content)
        walker.get("done")
        pages.append(walker.response.content)
        walker.send(choice="first", strength="2")
    assert not [page for page in pages if b"DONE-1" in page]
    assert b"DONE-1" in walker.response.content
    assert Judgment.objects.filter(participant=walker.person).count() == 7


def test_prolific_people_are_sent_back_with_the_code(study: Study) -> None:
    walker = done(at_judge(study, "?PROLIFIC_PID=p1&STUDY_ID=s&SESSION_ID=x"))
    link = walker.page.css_first("[data-redirect] a")
    assert link is not None
    assert link.attributes["href"] == "https://app.prolific.com/submissions/complete?cc=DONE-1"


def test_people_of_an_open_link_are_sent_nowhere(walker: Walker) -> None:
    page = done(walker).page
    assert page.css_first("#exit-code") is not None
    assert page.css_first("[data-redirect]") is None


def test_an_address_of_the_protocol_is_filled_with_the_panels_ids(db: None) -> None:
    address = "https://school.example/credit?token=t&code={participant}&at={session}"
    study = factory.open_study(max_enrolled=2, exits={"completed": address, "stopped": address})
    link = done(at_judge(study, "?survey_code=48213")).page.css_first("[data-redirect] a")
    assert link is not None
    assert link.attributes["href"] == "https://school.example/credit?token=t&code=48213&at=48213"
    stranger = Walker(study).to_shots("?survey_code=a%26b").get("stop/keep").send()
    assert "code=a%26b&amp;" in stranger.response.content.decode()


@pytest.mark.parametrize(
    ("way", "heading", "state"),
    [("keep", "You have stopped", "stopped"), ("erase", "Everything is erased", "withdrawn")],
)
def test_stopping_asks_once_more_and_then_does_it(study: Study, way: str, heading: str, state: str) -> None:
    walker = Walker(study).to_shots()
    walker.send(choice="first")
    walker.get("stop")
    assert len(walker.page.css(".ways a")) == 3
    walker.get(f"stop/{way}")
    assert walker.person.state == "eliciting"
    walker.send()
    assert (walker.at, walker.heading, walker.person.state) == (walker.url("ended"), heading, state)
    assert Preference.objects.filter(participant=walker.person).exists() == (state == "stopped")


def test_erasing_gives_a_receipt_that_a_reload_shows_again(walker: Walker) -> None:
    done(walker).get("stop/erase").send()
    receipt = walker.page.css_first("#receipt").text()  # type: ignore[union-attr]
    assert re.fullmatch(r"(?:[0-9A-F]{4}-){3}[0-9A-F]{4}", receipt)
    assert walker.get("ended").page.css_first("#receipt").text() == receipt  # type: ignore[union-attr]
    assert not Comparison.objects.filter(participant=walker.person).exists()
    assert not Generation.objects.filter(owner=walker.person).exists()
    walker.raw_post("stop/erase", {})
    assert walker.person.state == "withdrawn"


def test_coming_back_later_gives_a_link_that_works_once_more_on_reload(study: Study) -> None:
    walker = Walker(study).to_shots()
    walker.client.cookies.pop("palate_once")
    walker.get("stop/later")
    assert walker.page.css_first("#personal-link") is None
    walker.send()
    link = walker.page.css_first("#personal-link").attributes["value"]  # type: ignore[union-attr]
    walker.raw_post("stop/later", {})
    assert walker.get("stop/later").page.css_first("#personal-link").attributes["value"] == link  # type: ignore[union-attr]
    other = Walker(study)
    other._keep(other.client.get(str(link).removeprefix("http://testserver")))
    assert other.send().at == other.url("shots")


def test_an_ended_page_has_no_way_back(study: Study) -> None:
    walker = Walker(study).to_shots().get("stop/keep").send()
    assert not walker.page.css("form")
    assert not walker.page.css(".bar a")
    assert [a.attributes["href"] for a in walker.page.css("main a")] == [walker.url("stop/erase")]


def test_somebody_who_has_not_consented_may_leave_from_the_stop_page(study: Study) -> None:
    walker = Walker(study).enter().get("stop")
    walker.send(decision="decline")
    assert walker.person.state == "declined"


# --- health -----------------------------------------------------------------------------------------------------------


def test_healthz_needs_nothing() -> None:
    assert Client().get("/healthz").json() == {"status": "ok"}


def test_readyz_names_its_parts(db: None) -> None:
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "ready")
    assert set(response.json()["parts"]) == {"postgres", "redis", "workers"}


def test_readyz_without_redis_is_degraded_and_without_postgres_unavailable(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": "unix:///nonexistent/redis.sock?db=2"}
    settings.CACHES = {"default": dead}
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (200, "degraded")
    monkeypatch.setattr("studyapp.views.health._postgres", lambda: "does not answer")
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["status"]) == (503, "unavailable")


def test_readyz_says_when_a_text_is_overdue(study: Study) -> None:
    Generation.objects.filter(study=study).update(queued_at=timezone.now() - timedelta(minutes=3))
    response = Client().get("/readyz")
    assert (response.status_code, response.json()["parts"]["workers"]) == (200, "stalled")


def test_readyz_says_when_no_worker_at_work_understands_what_is_due(study: Study) -> None:
    now = timezone.now()
    old, new = Generation.objects.filter(study=study)[:2]
    Generation.objects.filter(study=study).exclude(pk__in=[old.pk, new.pk]).delete()
    Generation.objects.filter(pk=old.pk).update(state="running", claim_id=uuid.uuid4(), lease_until=now + timedelta(1))
    Generation.objects.filter(pk=new.pk).update(queued_at=now - timedelta(minutes=3))
    assert Client().get("/readyz").json()["parts"]["workers"] == "ok"
    Generation.objects.filter(pk=new.pk).update(request_version=2)
    assert Client().get("/readyz").json()["parts"]["workers"] == "stalled"


def test_withdrawn_and_declined_people_are_offered_nothing_more(study: Study) -> None:
    person = factory.consented(study)
    leaving.withdraw(person)
    gone = entry.enrol(study, entry.Entry())
    entry.decline(gone)
    from tests.studyapp.test_flow import signed_in

    for somebody in (person, gone):
        walker = signed_in(study, somebody)
        assert walker.get("stop").at == walker.url("ended")
        assert not walker.page.css("main a, form")


def test_being_there_is_noted(study: Study) -> None:
    walker = Walker(study).to_shots()
    long_ago = timezone.now() - timedelta(minutes=5)
    Participant.objects.update(last_seen_at=long_ago)
    walker.get("shots")
    assert walker.person.last_seen_at > long_ago
    assert progress.break_due(walker.person, selectors.next_comparison(walker.person.pk)) is False
