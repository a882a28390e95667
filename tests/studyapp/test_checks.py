"""Attention checks: who misses them is told apart at the way out, and only where the study wants it."""

from __future__ import annotations

from typing import Any

import pytest

from annotations import selectors
from annotations import services as judging
from studyapp.models import Participant, Study
from studyapp.services import checks, progress
from studyapp.views.closing import exit_of
from tests import factory

pytestmark = pytest.mark.django_db


def a_study(checks_shown: int = 3, **changes: Any) -> Study:
    """A study with attention pairs and a way out for those who miss them."""
    controls = [{"kind": "attention", "items": checks_shown}]
    exits = {"completed": "DONE-1", "failed_checks": "CHECK-2", "stopped": "STOP-3"}
    return factory.open_study(**{"controls": controls, "exits": exits, **changes})


def finished(study: Study, missing: int, tie: bool = False) -> Participant:
    """Somebody who judged everything and missed so many attention pairs."""
    person = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(person)
    left = missing
    while row := selectors.next_comparison(person.pk):
        judging.present(row)
        choice = "first" if row.a_is_first else "second"
        if row.kind == "attention" and left:
            choice, left = "tie" if tie else {"first": "second", "second": "first"}[choice], left - 1
        progress.judge(person, row.opaque_id, choice=choice, strength=3)
        progress.take_break(person)
    person.refresh_from_db()
    assert (person.state, checks.missed(person)) == ("completed", missing)
    return person


@pytest.mark.parametrize(("missing", "code"), [(0, "DONE-1"), (1, "DONE-1"), (2, "CHECK-2"), (3, "CHECK-2")])
def test_two_missed_checks_lead_to_their_own_way_out(missing: int, code: str) -> None:
    assert exit_of(finished(a_study(), missing)).code == code


@pytest.mark.parametrize(("minutes", "code"), [(4.5, "CHECK-2"), (5, "DONE-1")])
def test_one_counts_in_a_study_under_five_minutes(minutes: float, code: str) -> None:
    assert exit_of(finished(a_study(1, pay={"minutes": minutes}), 1)).code == code


def test_a_study_without_such_a_way_out_lets_everybody_leave_alike() -> None:
    assert exit_of(finished(a_study(exits={"completed": "DONE-1"}), 3)).code == "DONE-1"


def test_a_tie_is_not_the_answer_a_check_asks_for() -> None:
    study = a_study(judging={"scale": "choice+tie", "break_every": 0})
    assert exit_of(finished(study, 2, tie=True)).code == "CHECK-2"


def test_a_disagreeing_preference_is_never_a_missed_check() -> None:
    person = factory.completed(factory.open_study(controls=[]), choice="second")
    assert (person.state, checks.missed(person)) == ("completed", 0)


def test_who_stops_leaves_as_stopped_whatever_they_missed() -> None:
    person = factory.elicited(a_study())
    Participant.objects.filter(pk=person.pk).update(state="stopped")
    person.refresh_from_db()
    assert exit_of(person).code == "STOP-3"
