"""The admin's pages: true counts, few queries, and nobody in who should not be."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from annotations.models import Comparison
from inference.models import Generation
from studyapp.dashboard import counts, masking
from studyapp.models import Participant, Study
from studyapp.services import leaving, studies
from tests import factory
from tests.studyapp.staff import crawl, researcher

pytestmark = pytest.mark.django_db
QUERIES = 18
LISTS = (
    "studyapp/study", "studyapp/participant", "inference/generation", "annotations/judgment", "studyapp/event",
)  # fmt: skip
NOWHERE = (
    "studyapp/study/999/live/", "studyapp/study/999/close/", "studyapp/study/x/open/", "studyapp/participant/x/excuse/",
    "studyapp/participant/x/change/", "studyapp/study/x/change/", "inference/generation/x/retry/",
    "studyapp/study/99999999999999999999/close/", "inference/generation/x/change/",
)  # fmt: skip


@pytest.fixture
def client() -> Client:
    return researcher(superuser=True)


def crowd(study: Study, number: int) -> None:
    """Many people in many states, as rows."""
    now = timezone.now()
    states = Participant.State.values
    Participant.objects.bulk_create(
        [
            Participant(study=study, code=f"p{n:09d}", state=states[n % len(states)], last_seen_at=now, waited_ms=n)
            for n in range(number)
        ],
        batch_size=2000,
    )


def queries_of(client: Client, address: str) -> tuple[int, float]:
    """Queries and seconds of a page."""
    start = time.perf_counter()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(address).status_code == 200
    return len(captured), time.perf_counter() - start


def test_a_study_page_costs_the_same_queries_with_ten_and_ten_thousand_people(client: Client) -> None:
    study = factory.open_study()
    factory.completed(study)
    address = f"/admin/studyapp/study/{study.pk}/change/"
    client.get(address)
    few, _ = queries_of(client, address)
    crowd(study, 10_000)
    many, seconds = queries_of(client, address)
    assert few == many <= QUERIES
    live, live_seconds = queries_of(client, f"/admin/studyapp/study/{study.pk}/live/")
    assert live <= QUERIES
    assert max(seconds, live_seconds) < 3


@pytest.mark.parametrize("name", LISTS)
def test_lists_do_not_query_row_by_row(client: Client, name: str) -> None:
    study = factory.open_study()
    factory.completed(study)
    client.get(f"/admin/{name}/")
    one, _ = queries_of(client, f"/admin/{name}/")
    factory.completed(study)
    factory.loaded_study("another")
    more, _ = queries_of(client, f"/admin/{name}/")
    assert more == one <= 15


def test_counts_on_the_live_page_are_those_of_the_rows(client: Client) -> None:
    study = factory.open_study()
    factory.completed(study)
    person = factory.elicited(study)
    leaving.stop(person)
    Participant.objects.filter(pk=factory.consented(study).pk).update(simulated=True)
    answers, people, texts = counts.answers(study), counts.people(study), counts.texts(study)
    assert answers.judged == Comparison.objects.filter(state="judged").count() == 7
    assert answers.void == {"left": 7}
    assert {row.state: (row.real, row.simulated) for row in people.states} == {
        "completed": (1, 0), "stopped": (1, 0), "consented": (0, 1),
    }  # fmt: skip
    assert people.under_way == studies.under_way(study) == 1
    assert texts.states.total() == Generation.objects.count()
    page = client.get(f"/admin/studyapp/study/{study.pk}/live/").content.decode()
    assert "Void: left" in page
    assert "1 under way" in page


@pytest.mark.parametrize(("hours", "back"), [(0, 1), (2, 1), (3, 0)])
def test_under_way_counts_the_timed_out_while_they_may_come_back(hours: int, back: int) -> None:
    study = factory.open_study()
    person = factory.consented(study)
    seen = timezone.now() - timedelta(hours=hours)
    Participant.objects.filter(pk=person.pk).update(state="timed_out", state_before="consented", last_seen_at=seen)
    assert counts.people(study).under_way == studies.under_way(study) == back


def test_an_empty_study_shows_no_share_rather_than_nought(client: Client) -> None:
    study = factory.loaded_study()
    response = client.get(f"/admin/studyapp/study/{study.pk}/change/")
    assert response.context["judged_share"] is None
    assert response.context["ready_share"] is None
    assert "Nobody has entered yet" in response.content.decode()
    assert "not drawn yet" in response.content.decode()


def test_a_study_page_shows_hash_seal_and_the_protocols_numbers(client: Client) -> None:
    study = factory.open_study()
    study.refresh_from_db()
    page = client.get(f"/admin/studyapp/study/{study.pk}/change/").content.decode()
    for shown in (study.protocol_hash, study.seat_seal, "3 shots, 1 probe, 1 repeat", "4 in 1 comparison", "30 s"):
        assert shown in page


def test_a_participants_page_tells_the_way_without_outcomes(client: Client) -> None:
    person = factory.completed(factory.open_study(), choice="second")
    page = client.get(f"/admin/studyapp/participant/{person.pk}/change/").content.decode()
    for shown in ("enrolled", "consented", "judging", "completed", "Last shot stored", "Pairs judged"):
        assert shown in page
    assert "second" not in page.replace("seconds", "")


def test_pages_work_with_redis_dead(client: Client, settings: Any) -> None:
    study = factory.open_study()
    dead = {"address": "redis://127.0.0.1:1/1", "socket_connect_timeout": 0.2}
    nowhere = {**settings.CHANNEL_LAYERS["default"], "CONFIG": {"hosts": [dead]}}
    settings.CHANNEL_LAYERS = {"default": nowhere, "nudges": nowhere}
    settings.CACHES = {"default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/2"}}
    for address in ("change/", "live/"):
        assert client.get(f"/admin/studyapp/study/{study.pk}/{address}").status_code == 200
    assert client.post(f"/admin/studyapp/study/{study.pk}/pause/").status_code == 302


def test_without_signing_in_nothing_is_shown() -> None:
    study = factory.open_study()
    for address in ("", "studyapp/study/", f"studyapp/study/{study.pk}/live/", f"studyapp/study/{study.pk}/close/"):
        response = Client().get(f"/admin/{address}")
        assert response.status_code == 302
        assert response["Location"].startswith("/admin/login/")


def test_staff_without_permissions_see_no_study() -> None:
    study = factory.open_study()
    client = researcher("newcomer")
    assert study.title not in client.get("/admin/").content.decode()
    for address in ("", f"{study.pk}/change/", f"{study.pk}/live/", f"{study.pk}/close/"):
        assert client.get(f"/admin/studyapp/study/{address}").status_code == 403


@pytest.mark.parametrize("address", NOWHERE)
def test_addresses_of_nothing_lead_nowhere_without_an_error(client: Client, address: str) -> None:
    assert client.get(f"/admin/{address}").status_code in (302, 404)


def test_every_page_of_a_study_without_anybody_renders(client: Client) -> None:
    factory.loaded_study()
    assert {page.status_code for page in crawl(client).values()} <= {200, 302}


def test_the_first_page_says_how_a_study_gets_here(client: Client) -> None:
    assert "manage.py study load" in client.get("/admin/").content.decode()
    assert "manage.py study load" in client.get("/admin/studyapp/study/").content.decode()


def test_a_scrubbed_message_keeps_the_kind_of_trouble() -> None:
    study = factory.open_study()
    told = "out_of_memory: the device failed on fspo (script): RuntimeError: 12 GB; prompt: You like short answers"
    kept = masking.scrub(study, told)
    assert kept.startswith("out_of_memory: the device failed on [masked] ([masked]): RuntimeError: 12 GB")
    assert "short answers" not in kept
    assert masking.scrub(study, "the database failed") == "the database failed"
