"""manage.py invite: links for a researcher to hand out, of which the database keeps nothing but hashes."""

from __future__ import annotations

import json
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils import timezone

from studyapp.models import Event, Invite, Participant, Study
from studyapp.services import studies
from tests import factory
from tests.studyapp.test_study_command import run_command
from tests.studyapp.walk import Walker

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factory.open_study(max_enrolled=4)


def test_each_link_lets_one_person_in_and_back_in(study: Study) -> None:
    code, said = run_command("invite", "small", "--number", "2", "--base-url", "https://palate.example.org/")
    links = said.split()
    assert (code, len(set(links))) == (0, 2)
    assert {urlsplit(link)[:3] for link in links} == {("https", "palate.example.org", "/s/small/")}
    people = [Walker(study).enter(f"?{urlsplit(link).query}").person for link in (*links, links[0])]
    assert people[0] == people[2] != people[1]
    assert {person.panel for person in people} == {"invite"}
    assert Participant.objects.count() == 2


def test_a_token_stands_in_no_row(study: Study) -> None:
    links = json.loads(run_command("invite", "small", "--json")[1])["links"]
    token = parse_qs(urlsplit(links[0]).query)["invite"][0]
    assert len(token) >= 22
    assert token not in str([*Invite.objects.values(), *Event.objects.values()])
    assert Event.objects.get(kind="invited").data == {"number": 1}


def test_a_link_past_its_days_lets_nobody_new_in(study: Study) -> None:
    query = urlsplit(run_command("invite", "small", "--days", "2")[1].strip()).query
    Invite.objects.update(expires_at=timezone.now() - timedelta(minutes=1))
    assert Walker(study).enter(f"?{query}").response.status_code == 403
    assert not Participant.objects.exists()


def test_nobody_is_invited_to_a_study_that_is_over_or_unknown(study: Study) -> None:
    studies.close(study)
    for slug, why in (("small", "takes nobody any more"), ("nowhere", "There is no study nowhere")):
        code, said = run_command("invite", slug)
        assert (code, why in said) == (1, True)
    assert not Invite.objects.exists()
