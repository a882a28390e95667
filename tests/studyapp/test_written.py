"""Queries whose SQL is written once give what Django's own give, for one person after another."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import selectors
from annotations.blinding import blind
from annotations.models import Comparison, Preference
from annotations.written import Written
from studyapp.models import Participant, Study
from studyapp.services import entry, progress
from tests import factory

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    return factory.open_study()


def test_every_person_gets_their_own_next_pair(study: Study) -> None:
    people = [progress.begin(factory.consented(study)) for _ in range(3)]
    for person in people:
        first = Preference.objects.get(participant=person, position=1)
        found = selectors.next_preference(person.pk)
        assert found == first
        assert (found.question, found.first, found.second) == (first.question, first.first, first.second)
        assert found.question.text == first.question.text


def test_the_next_two_comparisons_come_in_planned_order_with_their_texts(
    study: Study, django_assert_num_queries: Any
) -> None:
    anna = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(anna)
    planned = list(Comparison.objects.filter(participant=anna)[:2])
    views = [blind(row) for row in planned]
    found = selectors.next_two(anna.pk)
    assert list(found) == planned
    with django_assert_num_queries(0):
        assert [blind(row) for row in found if row is not None] == views
        assert [row.state for row in found if row is not None] == ["ready", "ready"]


def test_a_field_that_was_not_asked_for_is_read_on_demand(study: Study, django_assert_num_queries: Any) -> None:
    anna = entry.by_code(study.slug, factory.consented(study).code)
    assert anna is not None
    with django_assert_num_queries(1):
        assert anna.consent_hash


def test_nobody_and_a_person_of_another_study_are_not_found(study: Study) -> None:
    anna = factory.consented(study)
    assert selectors.next_comparison(-1) is None
    assert selectors.next_two(-1) == (None, None)
    assert entry.by_code("another", anna.code) is None
    assert entry.by_code(study.slug, "nobody") is None


def test_the_sql_is_written_once() -> None:
    asked = []

    def rows(code: Any) -> Any:
        asked.append(code)
        return Participant.objects.filter(code=code)

    written = Written(rows, "state")
    assert written.first("a") is written.first("b") is None
    assert len(asked) == 2  # once for the model, once for the SQL
