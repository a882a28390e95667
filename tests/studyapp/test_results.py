"""From stored judgments to the win-rate table."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import call_command

from annotations import selectors
from annotations import services as judging
from annotations.models import Comparison
from annotations.winrate import COLUMNS
from studyapp.models import Participant, Study
from studyapp.results import win_rates
from studyapp.services import entry, leaving, progress, studies
from tests import factory

pytestmark = pytest.mark.django_db


def judge_for(person: Participant, arm: str) -> None:
    """Judge every pair for `arm` wherever it stands."""
    progress.advance(person)
    while row := selectors.next_comparison(person.pk):
        judging.present(row)
        side = row.a_is_first if row.arm_a == arm else not row.a_is_first
        progress.judge(person, row.opaque_id, choice="first" if side else "second", strength=2)
        progress.take_break(person)


def unblinded(study: Study) -> Study:
    studies.close(study, end="test over")
    return studies.unblind(study, "all in")


def test_before_unblinding_there_is_no_win_rate() -> None:
    study = factory.open_study()
    factory.completed(study)
    with pytest.raises(studies.StudyError, match="unblinded"):
        win_rates(study)


def test_the_table_counts_wins_of_the_treatment_wherever_it_stood() -> None:
    study = factory.open_study()
    for winner in ("fspo", "fspo", "base"):
        person = factory.elicited(study)
        factory.finish_texts(study)
        judge_for(person, winner)
    (row,) = win_rates(unblinded(study))
    assert (row.wins, row.ties, row.losses, row.n_participants) == (8, 0, 4, 3)
    assert row.win_rate == pytest.approx(2 / 3)
    assert row.ci_low is not None
    assert row.ci_low < 2 / 3
    assert (row.n_planned, row.n_void) == (12, 0)


def test_controls_and_repeats_never_enter_the_win_rate() -> None:
    study = factory.open_study()
    factory.completed(study)
    (row,) = win_rates(unblinded(study))
    assert row.n_judgments == Comparison.objects.filter(kind="arms", state="judged").count() == 4


def test_a_withdrawn_person_counts_nowhere_and_a_leaver_counts_as_far_as_they_came() -> None:
    study = factory.open_study()
    gone, left = factory.completed(study), factory.elicited(study)
    factory.finish_texts(study)
    factory.judge_all(left, limit=3)
    judged = Comparison.objects.filter(participant=left, kind="arms", state="judged").count()
    leaving.stop(left)
    leaving.withdraw(gone)
    (row,) = win_rates(unblinded(study))
    assert (row.n_participants, row.n_judgments, row.n_planned) == (1, judged, 4)
    assert row.n_void == 4 - judged


def test_simulated_people_stand_apart_from_real_ones() -> None:
    study = factory.open_study(demo=True)
    factory.completed(study)
    (token,) = entry.make_invites(study, 1, simulated=True)
    factory.completed(study, invite=token)
    assert [row.analysis_set for row in win_rates(unblinded(study))] == ["itt", "itt_simulated"]


def test_a_study_with_real_people_refuses_simulated_ones() -> None:
    study = factory.open_study()
    factory.consented(study)
    (token,) = entry.make_invites(study, 1, simulated=True)
    with pytest.raises(entry.StudyClosed):
        entry.enrol(study, entry.Entry(invite=token))


def test_the_command_prints_every_column_as_json_and_n_with_every_rate() -> None:
    study = factory.open_study()
    factory.completed(study)
    unblinded(study)
    out = StringIO()
    call_command("winrates", "small", "--format", "json", "--by", "domain", stdout=out)
    rows = json.loads(out.getvalue())
    assert [list(row) for row in rows] == [list(COLUMNS)] * 12
    sets = list(dict.fromkeys(row["analysis_set"] for row in rows))
    assert sets == ["itt", "per_protocol", "unfinished", "attention"]
    assert rows[0]["study_id"] == "small"
    assert rows[0]["focal"] == "fspo"
    table = StringIO()
    call_command("winrates", "small", stdout=table)
    assert "fspo > base" in table.getvalue()
    assert "SIMULATED" not in table.getvalue()
