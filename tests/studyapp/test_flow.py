"""State -> the only legal page: every state against every address, and forms sent twice, late and at once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core import signing
from django.test import Client
from django.utils import timezone

from annotations.models import Comparison, Judgment, Preference
from studyapp import flow
from studyapp.models import Participant, Seat, Study
from studyapp.services import entry, leaving, progress
from tests import factory
from tests.studyapp.walk import Walker


@pytest.fixture(scope="module")
def opened(kept: None) -> Study:
    return factory.open_study(
        judging={"scale": "choice+strength", "reason": "optional", "break_every": 3}, max_enrolled=4
    )


@pytest.fixture
def study(opened: Study, db: None) -> Study:
    return Study.objects.get(pk=opened.pk)


def signed_in(study: Study, person: Participant) -> Walker:
    """A browser that holds the person's cookie."""
    walker = Walker(study)
    signer = signing.TimestampSigner(salt=f"palate.participant.{study.slug}")
    walker.client.cookies["palate"] = signer.sign(person.code)
    return walker


def _enrolled(study: Study) -> Participant:
    return entry.enrol(study, entry.Entry())


def _eliciting(study: Study) -> Participant:
    return progress.begin(factory.consented(study))


def _judging(study: Study) -> Participant:
    person = factory.elicited(study)
    factory.finish_texts(study)
    return progress.advance(person)


def _at_a_break(study: Study) -> Participant:
    person = _judging(study)
    factory.judge_all(person, limit=2)
    row = Comparison.objects.filter(participant=person, state="ready").order_by("position").first()
    assert row is not None
    progress.judge(person, row.opaque_id, choice="first", strength=2)
    return person


def _waiting_inside_judging(study: Study) -> Participant:
    person = _judging(study)
    Comparison.objects.filter(participant=person, state="ready").update(state="planned", ready_at=None)
    for row in Comparison.objects.filter(participant=person):
        for generation in (row.generation_a, row.generation_b):
            if generation:
                type(generation).objects.filter(pk=generation.pk).update(state="queued", text="")
    return person


def _left(way: Callable[[Participant], object]) -> Callable[[Study], Participant]:
    def make(study: Study) -> Participant:
        person = factory.consented(study)
        way(person)
        return person

    return make


def _declined(study: Study) -> Participant:
    person = _enrolled(study)
    entry.decline(person)
    return person


def _timed_out(study: Study) -> Participant:
    person = factory.consented(study)
    Participant.objects.filter(pk=person.pk).update(last_seen_at=timezone.now() - timedelta(minutes=11))
    leaving.time_out()
    return person


def _debriefed(study: Study) -> Participant:
    return progress.debriefed(factory.completed(study))


CAST: dict[str, tuple[Callable[[Study], Participant], str]] = {
    "enrolled": (_enrolled, "consent"),
    "consented": (factory.consented, "instructions"),
    "eliciting": (_eliciting, "shots"),
    "waiting": (factory.elicited, "wait"),
    "judging": (_judging, "judge"),
    "at a break": (_at_a_break, "break"),
    "waiting inside judging": (_waiting_inside_judging, "wait"),
    "completed": (factory.completed, "debrief"),
    "debriefed": (_debriefed, "done"),
    "declined": (_declined, "ended"),
    "stopped": (_left(leaving.stop), "ended"),
    "withdrawn": (_left(leaving.withdraw), "ended"),
    "timed out": (_timed_out, "ended"),
}


@pytest.mark.parametrize("who", CAST)
def test_every_state_has_one_legal_page_and_every_other_address_leads_there(study: Study, who: str) -> None:
    make, legal = CAST[who]
    person = make(study)
    person.refresh_from_db()
    assert flow.page_for(person) == legal
    walker = signed_in(study, person)
    for page in ("", *flow.PAGES):
        response = walker.client.get(walker.url(page))
        if page == legal:
            assert response.status_code == 200
        else:
            assert (response.status_code, response.headers["Location"]) == (303, walker.url(legal)), page
    assert walker.get(legal).at == walker.url(legal)


@pytest.mark.parametrize("who", CAST)
def test_a_form_out_of_turn_changes_nothing_and_answers_with_the_present_page(study: Study, who: str) -> None:
    make, legal = CAST[who]
    person = make(study)
    walker = signed_in(study, person).get()
    before = _rows(person)
    foreign = factory.elicited(study)
    opaque = Preference.objects.filter(participant=foreign).values_list("opaque_id", flat=True)[0]
    for page in ("shots", "judge"):
        for pair in ("", "nonsense", "\x00", opaque):
            response = walker.raw_post(page, {"pair": pair, "choice": "first", "strength": "3"})
            assert (response.status_code, response.headers["Location"]) == (303, walker.url(legal))
    assert _rows(person) == before


def _rows(person: Participant) -> list[object]:
    return [
        list(Participant.objects.filter(pk=person.pk).values_list("state", "breaks_taken", "debriefed_at")),
        list(Preference.objects.filter(participant=person).order_by("id").values_list("choice", flat=True)),
        list(Comparison.objects.filter(participant=person).order_by("id").values_list("state", flat=True)),
        Judgment.objects.filter(participant=person).count(),
    ]


def test_a_stranger_is_led_to_the_entry_from_everywhere(study: Study) -> None:
    for page in (*flow.PAGES, "stop"):
        response = Client().get(f"/s/{study.slug}/{page}/")
        assert (response.status_code, response.headers["Location"]) == (303, f"/s/{study.slug}/")


@pytest.mark.parametrize("cookie", ["forged", "abc:1:x", ""])
def test_a_forged_cookie_is_no_cookie(study: Study, cookie: str) -> None:
    walker = Walker(study)
    walker.client.cookies["palate"] = cookie
    assert walker.get("shots").at == walker.url()


def test_the_cookie_of_one_study_opens_no_other(study: Study) -> None:
    other = factory.open_study("other")
    person = factory.consented(study)
    walker = signed_in(study, person)
    assert walker.client.get(f"/s/{other.slug}/instructions/").headers["Location"] == f"/s/{other.slug}/"


def test_the_same_form_sent_again_answers_with_the_stored_choice(study: Study) -> None:
    walker = Walker(study).to_shots()
    first = walker.form()
    walker.send(choice="first")
    walker.raw_post("shots", {**first, "choice": "second"})
    assert factory.choices_of(walker.person)[:2] == ["first", None]


def test_a_judgment_sent_again_is_stored_once(study: Study) -> None:
    person = _judging(study)
    walker = signed_in(study, person).get("judge")
    form = walker.form()
    walker.send(choice="first", strength="2")
    again = walker.raw_post("judge", {**form, "choice": "second", "strength": "5"})
    assert again.status_code == 303
    assert list(Judgment.objects.filter(participant=person).values_list("choice", "strength")) == [("first", 2)]


def test_the_wait_page_moves_on_without_a_nudge(study: Study) -> None:
    walker = Walker(study).to_shots().answer_all()
    assert walker.at == walker.url("wait")
    factory.finish_texts(study)
    Comparison.objects.filter(participant=walker.person).update(state="planned", ready_at=None)
    assert walker.get("wait").at == walker.url("judge")


def test_a_silent_person_continues_where_they_left_off(study: Study) -> None:
    walker = Walker(study).to_shots()
    walker.send(choice="second")
    Participant.objects.filter(pk=walker.person.pk).update(last_seen_at=timezone.now() - timedelta(minutes=11))
    leaving.time_out()
    assert walker.get("shots").heading == "Welcome back"
    walker.send(action="resume")
    assert walker.at == walker.url("shots")
    assert factory.choices_of(walker.person)[0] == "second"


def _silent(walker: Walker, **since: float) -> None:
    """Somebody whose page stays open while the sweep times them out."""
    Participant.objects.filter(pk=walker.person.pk).update(last_seen_at=timezone.now() - timedelta(**since))
    leaving.time_out()
    assert walker.person.state == "timed_out"


def test_a_page_may_stay_open_longer_than_the_lease(study: Study) -> None:
    walker = Walker(study).enter()
    _silent(walker, minutes=11)
    assert walker.consent().at == walker.url("instructions")
    _silent(walker, minutes=40)
    assert walker.send().at == walker.url("shots")
    _silent(walker, minutes=11)
    walker.send(choice="second")
    assert factory.choices_of(walker.person)[:2] == ["second", None]
    walker.answer_all()
    factory.finish_texts(study)
    walker.get("wait")
    _silent(walker, minutes=11)
    walker.send(choice="first", strength="2", reason="Written slowly.")
    assert Judgment.objects.get(participant=walker.person).reason == "Written slowly."
    assert walker.heading == "Pair 7 of 12"


def test_a_form_after_the_resume_window_changes_nothing(study: Study) -> None:
    walker = Walker(study).to_shots()
    _silent(walker, hours=3)
    leaving.time_out()
    walker.send(choice="second")
    assert (walker.heading, walker.person.state) == ("Your time is over", "timed_out")
    assert factory.choices_of(walker.person)[0] is None


def test_who_lost_the_place_before_consent_is_told_so(study: Study) -> None:
    walker = Walker(study).enter()
    _silent(walker, minutes=11)
    Seat.objects.filter(study=study, state="free").update(state="taken")
    walker.get("consent")
    walker.send(action="resume")
    assert walker.heading == "All places are taken"
    Seat.objects.filter(study=study, state="taken").update(state="free")
    walker.send(action="resume")
    assert walker.at == walker.url("consent")


def test_past_the_resume_window_there_is_no_way_back(study: Study) -> None:
    walker = Walker(study).to_shots()
    Participant.objects.filter(pk=walker.person.pk).update(last_seen_at=timezone.now() - timedelta(hours=3))
    leaving.time_out()
    walker.get("shots")
    assert walker.heading == "Your time is over"
    assert not walker.page.css("form")
    walker.raw_post("ended", {"action": "resume"})
    assert walker.person.state == "timed_out"


def test_somebody_on_an_older_version_stays_on_it(study: Study) -> None:
    walker = Walker(study).to_shots()
    factory.open_study(study.slug, version=2)
    assert walker.get().at == walker.url("shots")
    walker.send(choice="first")
    assert walker.person.study_id == study.pk
