"""Staff actions: a page first, a POST to act, a clear word when it cannot be, and a log that says who."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client

from annotations.models import Judgment, Preference
from inference.models import Generation
from studyapp.models import Event, Identity, Participant, Study
from studyapp.services import leaving
from tests import factory
from tests.studyapp.staff import researcher

pytestmark = pytest.mark.django_db
STUDY_ACTIONS = ("open", "pause", "close", "end", "unblind", "retry-failed")


@pytest.fixture
def client() -> Client:
    return researcher(superuser=True)


def act(client: Client, row: Any, action: str, **values: str) -> Any:
    """POST an action of a study or a participant and follow where it leads."""
    name = row._meta.model_name
    app = row._meta.app_label
    return client.post(f"/admin/{app}/{name}/{row.pk}/{action}/", values, follow=True)


def state(study: Study) -> str:
    return Study.objects.values_list("state", flat=True).get(pk=study.pk)


def last_event(study: Study, kind: str) -> Event:
    found = Event.objects.filter(study=study, kind=kind).last()
    assert found is not None, f"no {kind} event"
    return found


@pytest.mark.parametrize("action", STUDY_ACTIONS)
def test_looking_at_an_action_changes_nothing(client: Client, action: str) -> None:
    for study in (factory.loaded_study("drafty"), factory.open_study("openy")):
        before = (state(study), Event.objects.count(), LogEntry.objects.count())
        response = client.get(f"/admin/studyapp/study/{study.pk}/{action}/")
        assert response.status_code == 200
        assert "csrfmiddlewaretoken" in response.content.decode()
        client.head(f"/admin/studyapp/study/{study.pk}/{action}/")
        assert (state(study), Event.objects.count(), LogEntry.objects.count()) == before


@pytest.mark.parametrize("action", STUDY_ACTIONS)
def test_a_forged_form_without_the_csrf_key_does_nothing(action: str) -> None:
    study = factory.open_study()
    client = researcher(superuser=True)
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    response = strict.post(f"/admin/studyapp/study/{study.pk}/{action}/", {"reason": "because"})
    assert response.status_code == 403
    assert state(study) == "open"


def test_a_draft_opens_with_a_reason_that_is_kept_with_the_name(client: Client) -> None:
    study = factory.loaded_study()
    refused = act(client, study, "open")
    assert refused.status_code == 422
    assert state(study) == "draft"
    page = act(client, study, "open", reason="piloted on paper").content.decode()
    assert state(study) == "open"
    assert "is open" in page
    assert last_event(study, "open").actor.username == "rosa"
    assert last_event(study, "preflight_skipped").actor.username == "rosa"
    assert "piloted on paper" in LogEntry.objects.get().change_message


def test_a_demo_study_opens_without_a_reason(client: Client) -> None:
    study = factory.loaded_study(demo=True)
    act(client, study, "open")
    assert state(study) == "open"


def test_pause_open_close_follow_each_other(client: Client) -> None:
    study = factory.open_study()
    for action, then in (("pause", "paused"), ("open", "open"), ("close", "closed")):
        act(client, study, action)
        assert state(study) == then
        assert last_event(study, then).actor.username == "rosa"
    assert LogEntry.objects.count() == 3


@pytest.mark.parametrize(
    ("action", "values"), [("open", {"reason": "x"}), ("pause", {}), ("close", {}), ("unblind", {"reason": "x"})]
)
def test_an_arrow_that_does_not_exist_says_why_and_changes_nothing(
    client: Client, action: str, values: dict[str, str]
) -> None:
    study = factory.open_study()
    act(client, study, "close")
    act(client, study, "unblind", reason="all in")
    before = Event.objects.count()
    response = act(client, study, action, **values)
    assert response.status_code == 409
    assert f"{study} is unblinded; only a study that is" in response.content.decode()
    assert (state(study), Event.objects.count()) == ("unblinded", before)


def test_unblinding_waits_for_those_under_way_and_for_a_reason(client: Client) -> None:
    study = factory.open_study()
    factory.consented(study)
    act(client, study, "close")
    refused = act(client, study, "unblind", reason="curious")
    assert refused.status_code == 409
    assert "under way" in refused.content.decode()
    assert state(study) == "closed"
    act(client, study, "end", reason="the term is over")
    assert act(client, study, "unblind", reason="  ").status_code == 422
    assert state(study) == "closed"
    act(client, study, "unblind", reason="everybody is in")
    event = last_event(study, "unblinded")
    assert (state(study), event.actor.username, event.data) == ("unblinded", "rosa", {"reason": "everybody is in"})


def test_ending_times_out_everybody_and_says_who_did_it(client: Client) -> None:
    study = factory.open_study()
    person = factory.consented(study)
    assert act(client, study, "end").status_code == 422
    act(client, study, "end", reason="fire drill")
    person.refresh_from_db()
    assert (person.state, state(study)) == ("timed_out", "closed")
    assert last_event(study, "ended").actor.username == "rosa"
    assert last_event(study, "ended").data["reason"] == "fire drill"


def test_a_page_offers_only_what_fits_the_state(client: Client) -> None:
    study = factory.loaded_study()

    def offered() -> set[str]:
        page = client.get(f"/admin/studyapp/study/{study.pk}/change/").content.decode()
        return {name for name in STUDY_ACTIONS if f"/admin/studyapp/study/{study.pk}/{name}/" in page}

    assert offered() == {"open"}
    act(client, study, "open", reason="x")
    assert offered() == {"pause", "close", "end"}
    act(client, study, "close")
    assert offered() == {"end", "unblind"}
    act(client, study, "unblind", reason="x")
    assert offered() == set()


# --- people ----------------------------------------------------------------------------------------------------------
def test_staff_excuse_somebody_under_way_once(client: Client) -> None:
    person = factory.elicited(factory.open_study())
    client.get(f"/admin/studyapp/participant/{person.pk}/excuse/")
    person.refresh_from_db()
    assert person.is_unfinished
    act(client, person, "excuse")
    person.refresh_from_db()
    assert person.state == "excused"
    assert last_event(person.study, "excused").actor.username == "rosa"
    again = act(client, person, "excuse")
    assert again.status_code == 409
    assert "only somebody under way can be excused" in again.content.decode()


def test_a_withdrawal_by_staff_erases_and_shows_the_receipt_once(client: Client) -> None:
    study = factory.open_study()
    person = factory.completed(study)
    client.get(f"/admin/studyapp/participant/{person.pk}/withdraw/")
    assert Judgment.objects.filter(participant=person).exists()
    response = act(client, person, "withdraw")
    receipt = response.context["receipt"]
    person.refresh_from_db()
    assert person.state == "withdrawn"
    assert receipt in response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert not Judgment.objects.filter(participant=person).exists()
    assert not Preference.objects.filter(participant=person).exists()
    assert last_event(study, "withdrawn").actor.username == "rosa"
    assert receipt not in str(list(LogEntry.objects.values())) + str(list(Event.objects.values()))
    again = act(client, person, "withdraw")
    assert again.status_code == 409
    assert receipt not in again.content.decode()


def panel_person() -> Participant:
    return factory.consented(
        factory.open_study(), panel="prolific", panel_id="5f00panelid", panel_study="pstudy", panel_session="psession"
    )


def test_a_panel_id_is_on_no_page_until_somebody_asks_and_that_is_logged(client: Client) -> None:
    person = panel_person()
    base = f"/admin/studyapp/participant/{person.pk}"
    for address in ("/admin/studyapp/participant/", f"{base}/change/", f"{base}/identity/", f"{base}/history/"):
        assert "5f00panelid" not in client.get(address).content.decode()
    assert not Event.objects.filter(kind="identity_viewed").exists()
    page = act(client, person, "identity")
    assert "5f00panelid" in page.content.decode()
    event = Event.objects.get(kind="identity_viewed")
    assert (event.participant_id, event.actor.username, event.data) == (person.pk, "rosa", {})


def test_without_the_permission_nobody_sees_a_panel_id() -> None:
    person = panel_person()
    client = researcher("sam", "studyapp.view_participant", "studyapp.change_participant")
    page = client.get(f"/admin/studyapp/participant/{person.pk}/change/").content.decode()
    assert "/identity/" not in page
    assert "/excuse/" in page
    assert client.get(f"/admin/studyapp/participant/{person.pk}/identity/").status_code == 403
    assert act(client, person, "identity").status_code == 403
    assert not Event.objects.filter(kind="identity_viewed").exists()


def test_after_a_withdrawal_there_is_no_identity_to_show(client: Client) -> None:
    person = panel_person()
    leaving.withdraw(person)
    assert not Identity.objects.exists()
    assert act(client, person, "identity").status_code == 409


@pytest.mark.parametrize("action", ["excuse", "withdraw"])
def test_looking_alone_lets_nobody_act(action: str) -> None:
    person = factory.consented(factory.open_study())
    client = researcher("vera", "studyapp.view_participant", "studyapp.view_study")
    assert act(client, person, action).status_code == 403
    assert act(client, person.study, "close").status_code == 403
    person.refresh_from_db()
    assert (person.state, state(person.study)) == ("consented", "open")


# --- texts -----------------------------------------------------------------------------------------------------------
def test_failed_texts_go_back_into_the_queue_and_nothing_else_does(client: Client) -> None:
    study = factory.open_study()
    first, second, third = Generation.objects.filter(study=study).order_by("pk")[:3]
    Generation.objects.filter(pk__in=[first.pk, second.pk]).update(state="failed", error="worker_lost: gone")
    Generation.objects.filter(pk=third.pk).update(state="ready", text="There.")
    act(client, first, "retry")
    picked = [str(row.pk) for row in (first, second, third)]
    client.post("/admin/inference/generation/", {"action": "retry_selected", "_selected_action": picked})
    states = list(Generation.objects.filter(pk__in=picked).order_by("pk").values_list("state", flat=True))
    assert states == ["queued", "queued", "ready"]
    events = Event.objects.filter(kind="texts_retried")
    assert [(event.actor.username, event.data) for event in events] == [("rosa", {"number": 1})] * 2
    assert act(client, first, "retry").status_code == 409


def test_retrying_needs_its_permission() -> None:
    study = factory.open_study()
    Generation.objects.filter(study=study).update(state="failed")
    client = researcher("vera", "inference.view_generation", "studyapp.view_study")
    row = Generation.objects.first()
    assert act(client, row, "retry").status_code == 403
    assert act(client, study, "retry-failed").status_code == 403
    client.post("/admin/inference/generation/", {"action": "retry_selected", "_selected_action": [str(row.pk)]})
    assert not Generation.objects.filter(state="queued").exists()


# --- no other way ----------------------------------------------------------------------------------------------------
def test_no_form_adds_changes_or_deletes_a_row(client: Client) -> None:
    study = factory.open_study()
    person = factory.completed(study)
    rows = {
        "studyapp/study": study.pk, "studyapp/participant": person.pk,
        "studyapp/event": Event.objects.latest("id").pk, "inference/generation": Generation.objects.latest("id").pk,
        "annotations/judgment": Judgment.objects.latest("id").pk,
    }  # fmt: skip
    for name, pk in rows.items():
        for address in ("add/", f"{pk}/change/", f"{pk}/delete/"):
            assert client.post(f"/admin/{name}/{address}", {"slug": "x", "post": "yes"}).status_code == 403
        client.post(f"/admin/{name}/", {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"})
    assert Study.objects.filter(pk=study.pk, slug="small").exists()
    assert Judgment.objects.filter(pk=rows["annotations/judgment"]).exists()
    assert Event.objects.filter(pk=rows["studyapp/event"]).exists()


def test_an_account_is_switched_off_but_never_deleted_with_its_log(client: Client) -> None:
    act(client, factory.open_study(), "pause")
    user = LogEntry.objects.get().user
    assert client.post(f"/admin/auth/user/{user.pk}/delete/", {"post": "yes"}).status_code == 403
    assert LogEntry.objects.count() == 1
