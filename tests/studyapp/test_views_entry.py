"""The door: what creates a participant, what does not, and every way of coming back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from studyapp.models import Identity, Invite, Participant, Seat, Study
from studyapp.services import entry, studies
from tests import factory
from tests.studyapp.walk import Walker

PANELS = {
    "prolific": "?PROLIFIC_PID=5f-anna&STUDY_ID=st&SESSION_ID=se-1",
    "connect": "?participantId=ANNA7&assignmentId=as-1&projectId=pr",
    "sona": "?survey_code=48213",
}


@pytest.fixture(scope="module")
def opened(kept: None) -> Study:
    return factory.open_study(max_enrolled=4)


@pytest.fixture
def study(opened: Study, db: None) -> Study:
    cache.clear()
    return Study.objects.get(pk=opened.pk)


def people(study: Study) -> int:
    return Participant.objects.filter(study=study).count()


@pytest.mark.parametrize("query", ["", "?invite=nobody", *PANELS.values(), "?PROLIFIC_PID={{%PROLIFIC_PID%}}"])
def test_opening_the_link_creates_nothing(study: Study, query: str) -> None:
    for method in ("get", "head"):
        response = getattr(Client(), method)(f"/s/{study.slug}/{query}")
        assert response.status_code == 200
        assert "palate" not in response.cookies
    assert people(study) == 0
    assert Seat.objects.filter(study=study, state="free").count() == 4


def test_the_button_enrols_and_signs_the_browser_in(study: Study) -> None:
    walker = Walker(study).enter()
    assert walker.at == walker.url("consent")
    cookie = walker.client.cookies["palate"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", f"/s/{study.slug}/")
    assert cookie["max-age"] == 30 * 24 * 3600
    assert cookie.value.split(":")[0] == walker.person.code


def test_a_form_without_its_mark_enrols_all_the_same(study: Study) -> None:
    walker = Walker(study).get()
    assert walker.raw_post("", {}).headers["Location"] == walker.url("consent")


def test_the_cookie_is_sent_over_https_only_when_the_site_is(study: Study, settings: Any) -> None:
    assert not Walker(study).enter().client.cookies["palate"]["secure"]
    settings.HTTPS = True
    assert Walker(study).enter().client.cookies["palate"]["secure"]


def test_a_second_click_on_the_same_button_enrols_nobody_else(study: Study) -> None:
    walker = Walker(study).get()
    form = walker.form()
    walker.send()
    second = Client()
    second.cookies["csrftoken"] = walker.client.cookies["csrftoken"].value
    response = second.post(f"/s/{study.slug}/", form)
    assert response.headers["Location"] == walker.url("consent")
    assert people(study) == 1


def test_the_button_pressed_by_somebody_signed_in_leads_to_their_page(study: Study) -> None:
    walker = Walker(study).to_shots()
    walker.raw_post("", {})
    assert walker.get().at == walker.url("shots")
    assert people(study) == 1


def test_an_unfilled_placeholder_asks_for_the_id_by_hand(study: Study) -> None:
    walker = Walker(study).get("", "?PROLIFIC_PID={{%PROLIFIC_PID%}}&STUDY_ID=st&SESSION_ID={{%SESSION_ID%}}")
    assert walker.page.css_first("input[name=PROLIFIC_PID][required]") is not None
    walker.send()
    assert walker.response.status_code == 422
    assert people(study) == 0
    walker.send(PROLIFIC_PID="typed-by-hand")
    assert walker.at == walker.url("consent")
    assert Identity.objects.get(participant=walker.person).panel_id == "typed-by-hand"


def test_an_id_typed_by_hand_survives_a_second_click_and_resumes_nobody_else(study: Study) -> None:
    walker = Walker(study).get("", "?PROLIFIC_PID={{%PROLIFIC_PID%}}")
    form = {**walker.form(), "PROLIFIC_PID": "by-hand"}
    key = {"csrftoken": walker.client.cookies["csrftoken"].value}
    clicks = [Client(), Client()]
    for client in clicks:
        client.cookies.load(key)
        assert client.post(walker.url(), form).headers["Location"] == walker.url("consent")
    assert people(study) == 1
    assert Walker(study).enter("?PROLIFIC_PID=by-hand").response.status_code == 409
    walker.send(PROLIFIC_PID="by-hand")
    assert walker.get("", "?PROLIFIC_PID=by-hand").at == walker.url("consent")


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_id_with_its_session_resumes_on_another_device(study: Study, panel: str) -> None:
    first = Walker(study).to_shots(PANELS[panel])
    assert first.person.panel == panel
    first.send(choice="second")
    other = Walker(study).enter(PANELS[panel])
    assert other.at == other.url("shots")
    assert other.person == first.person
    assert people(study) == 1


@pytest.mark.parametrize(
    "query",
    [
        "?PROLIFIC_PID=5f-anna&STUDY_ID=st&SESSION_ID=other",
        "?PROLIFIC_PID=5f-anna",
        "?PROLIFIC_PID=5f-anna&SESSION_ID=",
    ],
)
def test_a_panel_id_alone_resumes_nothing(study: Study, query: str) -> None:
    Walker(study).to_shots(PANELS["prolific"])
    stranger = Walker(study).enter(query)
    assert stranger.response.status_code == 409
    assert stranger.heading == "You have been here before"
    assert "palate" not in stranger.client.cookies
    assert stranger.get("stop").at == stranger.url()


def test_a_connect_id_with_another_assignment_resumes_nothing(study: Study) -> None:
    Walker(study).to_shots(PANELS["connect"])
    assert Walker(study).enter("?participantId=ANNA7&assignmentId=as-2").response.status_code == 409


def test_an_invite_enrols_once_and_resumes_anywhere(study: Study) -> None:
    (token,) = entry.make_invites(study, 1)
    first = Walker(study).to_shots(f"?invite={token}")
    other = Walker(study).enter(f"?invite={token}")
    assert (other.at, other.person) == (other.url("shots"), first.person)
    assert people(study) == 1


def test_an_unknown_invite_is_told_so(study: Study) -> None:
    walker = Walker(study).enter("?invite=never-made")
    assert (walker.response.status_code, walker.heading) == (403, "This invitation does not work")


def test_an_invite_of_somebody_else_is_not_taken_for_the_person_signed_in(study: Study) -> None:
    anna = Walker(study).to_shots()
    (token,) = entry.make_invites(study, 1)
    code = anna.person.code
    anna.get("", f"?invite={token}")
    assert anna.at == anna.url()
    anna.send()
    assert anna.person.code != code
    assert people(study) == 2


def test_the_resume_link_is_shown_after_consent_and_works_on_another_device(study: Study) -> None:
    first = Walker(study).enter().consent()
    node = first.page.css_first("#personal-link")
    assert node is not None
    link = str(node.attributes["value"])
    assert first.get("instructions").page.css_first("#personal-link").attributes["value"] == link  # type: ignore[union-attr]
    path = link.removeprefix("http://testserver")
    other = Walker(study)
    opened = other.client.get(path)
    assert opened.status_code == 200
    assert "palate" not in opened.cookies
    other._keep(opened)
    other.send()
    assert (other.at, other.person) == (other.url("instructions"), first.person)
    assert other.page.css_first("#personal-link") is None


def test_a_wrong_resume_link_is_told_kindly(study: Study) -> None:
    walker = Walker(study)
    for wrong in ("x", "a" * 400, "%00", "..%2F"):
        response = walker.client.get(f"/s/{study.slug}/resume/{wrong}/")
        assert response.status_code == 404
        assert b"Traceback" not in response.content


def test_the_browser_that_comes_back_needs_no_link(study: Study) -> None:
    walker = Walker(study).to_shots()
    assert walker.get().at == walker.url("shots")


def test_a_full_study_says_so_before_any_work(study: Study) -> None:
    Seat.objects.filter(study=study).update(state="taken")
    walker = Walker(study).get()
    assert (walker.heading, walker.page.css("form")) == ("All places are taken", [])
    walker.raw_post("", {})
    assert people(study) == 0


def test_the_last_place_taken_meanwhile_is_told_kindly(study: Study) -> None:
    walker = Walker(study).get()
    Seat.objects.filter(study=study).update(state="taken")
    assert walker.send().heading == "All places are taken"
    assert people(study) == 0


def test_a_paused_study_takes_nobody_and_lets_those_under_way_finish(study: Study) -> None:
    inside = Walker(study).to_shots()
    studies.pause(study)
    assert Walker(study).get().heading == "This study is not taking anybody now"
    assert inside.get().at == inside.url("shots")


def test_a_draft_and_an_unknown_study_are_not_found(study: Study) -> None:
    factory.loaded_study("draft")
    for slug in ("draft", "nothing"):
        response = Client().get(f"/s/{slug}/")
        assert response.status_code == 404
        assert b"There is nothing at this address" in response.content


def test_refusing_ends_kindly_and_frees_the_place(study: Study) -> None:
    walker = Walker(study).enter().send(decision="decline")
    assert (walker.at, walker.heading) == (walker.url("ended"), "That is fine")
    assert Seat.objects.filter(study=study, state="free").count() == 4


@pytest.mark.parametrize("given", [{}, {"age": "yes"}, {"agree": "yes"}])
def test_consent_needs_both_boxes(study: Study, given: dict[str, str]) -> None:
    walker = Walker(study).enter().send(decision="agree", **given)
    assert walker.response.status_code == 422
    assert len(walker.page.css(".errors li")) == 2 - len(given)
    assert walker.person.state == "enrolled"


# --- the limit on new records ----------------------------------------------------------------------------------------


def test_enrolment_is_limited_per_address_and_the_page_tries_again_by_itself(study: Study, settings: Any) -> None:
    settings.ENROL_LIMIT = "2/m"
    for _ in range(2):
        assert Walker(study).enter().at == f"/s/{study.slug}/consent/"
    third = Walker(study).enter(PANELS["prolific"])
    assert third.response.status_code == 429
    assert 1 <= int(third.response.headers["Retry-After"]) <= 60
    assert third.page.css_first("form[data-retry]") is not None
    assert third.form()["PROLIFIC_PID"] == "5f-anna"
    assert 'http-equiv="refresh"' in third.response.content.decode()
    assert people(study) == 2


def test_coming_back_is_not_limited(study: Study, settings: Any) -> None:
    walker = Walker(study).to_shots(PANELS["prolific"])
    settings.ENROL_LIMIT = "0/m"
    assert walker.get().at == walker.url("shots")
    other = Walker(study).enter(PANELS["prolific"])
    assert other.person == walker.person


def test_simulated_people_are_not_limited_and_others_with_invites_are(study: Study, settings: Any) -> None:
    settings.ENROL_LIMIT = "0/m"
    (person,) = entry.make_invites(study, 1)
    assert Walker(study).enter(f"?invite={person}").response.status_code == 429
    (robot,) = entry.make_invites(study, 1, simulated=True)
    assert Walker(study).enter(f"?invite={robot}").at == f"/s/{study.slug}/consent/"


def test_with_redis_dead_nobody_is_limited(study: Study, settings: Any) -> None:
    settings.ENROL_LIMIT = "0/m"
    settings.CACHES = {
        "default": {
            "BACKEND": "django.core.cache.backends.redis.RedisCache",
            "LOCATION": "unix:///nonexistent/redis.sock?db=2",
        }
    }
    assert Walker(study).enter().at == f"/s/{study.slug}/consent/"


@pytest.mark.parametrize(
    ("proxies", "same"),
    [([], True), (["127.0.0.0/8"], False)],
    ids=["untrusted: the header is ignored", "trusted: the header counts"],
)
def test_a_forwarded_address_counts_only_behind_a_trusted_proxy(
    study: Study, settings: Any, proxies: list[str], same: bool
) -> None:
    settings.ENROL_LIMIT = "1/m"
    settings.TRUSTED_PROXIES = proxies
    statuses = []
    for address in ("203.0.113.5", "203.0.113.6"):
        walker = Walker(study, **{"X-Forwarded-For": f"198.51.100.1, {address}"})
        statuses.append(walker.enter().response.status_code)
    assert statuses == [200, 429 if same else 200]


@pytest.mark.parametrize(
    ("addresses", "statuses"),
    [
        (("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"), [200, 429]),
        (("2001:db8:1:2::1", "2001:db8:1:3::1"), [200, 200]),
    ],
    ids=["one home, one limit", "two homes"],
)
def test_an_ipv6_home_is_limited_as_one(
    study: Study, settings: Any, addresses: tuple[str, ...], statuses: list[int]
) -> None:
    settings.ENROL_LIMIT = "1/m"
    settings.TRUSTED_PROXIES = ["127.0.0.0/8"]
    walkers = [Walker(study, **{"X-Forwarded-For": address}) for address in addresses]
    assert [walker.enter().response.status_code for walker in walkers] == statuses


def test_an_expired_invite_of_somebody_inside_still_resumes(study: Study) -> None:
    (token,) = entry.make_invites(study, 1)
    first = Walker(study).to_shots(f"?invite={token}")
    Invite.objects.update(expires_at=timezone.now() - timedelta(days=1))
    assert Walker(study).enter(f"?invite={token}").person == first.person
