"""The look before unblinding: only where it is pre-registered, an interval alone, logged."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command

from annotations.models import Comparison
from annotations.winrate.betting import betting_sequence
from studyapp.models import Event, Participant, Study
from studyapp.results import tables
from studyapp.services import entry, leaving, looks, studies
from studyapp.services.errors import StudyError
from tests import factory
from tests.studyapp.test_results import judge_for

pytestmark = pytest.mark.django_db
LOOKS = {"primary": ["fspo>base"], "looks": "betting"}


def judged_by(study: Study, winner: str, **values: Any) -> Participant:
    person = factory.elicited(study, **values)
    factory.finish_texts(study)
    judge_for(person, winner)
    person.refresh_from_db()
    return person


def test_without_pre_registration_there_is_no_look_and_no_event() -> None:
    study = factory.open_study()
    with pytest.raises(StudyError, match="no pre-registered looks"):
        looks.look(study)
    assert not Event.objects.filter(kind="looked").exists()


def test_a_look_is_the_sequence_of_those_who_completed_in_their_order() -> None:
    study = factory.open_study(analysis=LOOKS)
    for winner in ("fspo", "base", "fspo"):
        judged_by(study, winner)
    half_way = factory.elicited(study)
    factory.finish_texts(study)
    factory.judge_all(half_way, limit=2)
    assert looks.participant_means(study, "fspo>base") == [1.0, 0.0, 1.0]
    (look,) = looks.look(study)
    assert look.n_participants == 3
    assert (look.low, look.high) == betting_sequence(np.array([1.0, 0.0, 1.0]), 0.05).now
    first = Participant.objects.filter(study=study, state="completed").order_by("judged_at").first()
    assert first is not None
    Participant.objects.filter(pk=first.pk).update(judged_at=half_way.last_seen_at)
    assert looks.participant_means(study, "fspo>base") == [0.0, 1.0, 1.0]


def test_nobody_yet_is_an_interval_that_says_nothing() -> None:
    (look,) = looks.look(factory.open_study(analysis=LOOKS))
    assert (look.n_participants, look.low, look.high) == (0, 0.0, 1.0)


ALLOWED = {"comparison", "n_participants", "low", "high", "level"}
LINE = re.compile(
    r"[\w-]+>[\w-]+: \d+ completed participants, [\d.]+ % confidence sequence \[[01]\.\d{3}, [01]\.\d{3}\]"
)


def said_more(study: Study) -> list[str]:
    """What a look says, as text, as JSON or in the log, beside the confidence sequence and the count."""
    printed = {}
    for name in ("table", "json"):
        out = StringIO()
        call_command("winrates", str(study), "--look", "--format", name, stdout=out)
        printed[name] = out.getvalue()
    more = [line for line in printed["table"].splitlines() if not LINE.fullmatch(line)]
    rows = [*json.loads(printed["json"]), *Event.objects.filter(kind="looked").values_list("data", flat=True)]
    return more + [name for row in rows for name in sorted(set(row) - ALLOWED)]


def test_a_look_says_the_interval_and_the_number_and_nothing_else() -> None:
    study = factory.open_study(analysis=LOOKS)
    judged_by(study, "fspo")
    out = StringIO()
    call_command("winrates", "small", "--look", stdout=out)
    assert out.getvalue() == "fspo>base: 1 completed participants, 95 % confidence sequence [0.000, 1.000]\n"
    assert said_more(study) == []
    assert Event.objects.filter(kind="looked").count() == 3


def test_a_look_that_says_more_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a win rate in the line, in a line of its own, in the JSON, in the log."""
    study = factory.open_study(analysis=LOOKS)
    honest = str(looks.Look("fspo>base", 1, 0.0, 1.0, 0.95))
    for line in (f"{honest}, win rate 0.71", f"{honest}\nwin rate 0.71", f"{honest} p = .04"):
        with monkeypatch.context() as patch:
            patch.setattr(looks.Look, "__str__", lambda self, said=line: said)
            assert said_more(study), line
    with monkeypatch.context() as patch:
        patch.setattr(looks.Look, "to_json", lambda self: {"comparison": self.comparison, "win_rate": 0.71})
        assert said_more(study) == ["win_rate"]
    with monkeypatch.context() as patch:
        patch.setattr(looks, "asdict", lambda one: {"comparison": one.comparison, "wins": 3})
        assert said_more(study).count("wins") >= 1


def test_every_look_is_an_event_and_stands_in_the_results() -> None:
    study = factory.open_study(analysis=LOOKS)
    judged_by(study, "fspo")
    looks.look(study)
    studies.pause(study)
    looks.look(study)
    studies.close(study, end="done")
    with pytest.raises(StudyError, match="closed: a look is for an open or paused study"):
        looks.look(study)
    studies.unblind(study, "all in")
    with pytest.raises(StudyError, match="without a look"):
        looks.look(study)
    taken = tables(study)["looks"]
    assert [(row["comparison"], row["n_participants"]) for row in taken] == [("fspo>base", 1)] * 2


def test_several_primary_comparisons_share_alpha() -> None:
    few = {"model": "script", "context": "own_shots", "shots": 1}
    arms = {**factory.protocol()["arms"], "few": few}
    pairs = [{"treatment": arm, "baseline": "base", "items": 2} for arm in ("fspo", "few")]
    study = factory.open_study(arms=arms, comparisons=pairs, analysis={"looks": "betting"})
    assert [(look.comparison, look.level) for look in looks.look(study)] == [("fspo>base", 0.975), ("few>base", 0.975)]


def test_who_withdrew_or_is_simulated_is_not_looked_at() -> None:
    study = factory.open_study(demo=True, analysis=LOOKS)
    (token,) = entry.make_invites(study, 1, simulated=True)
    judged_by(study, "base", invite=token)
    assert looks.participant_means(study, "fspo>base") == [0.0]
    gone = judged_by(study, "fspo")
    judged_by(study, "fspo")
    leaving.withdraw(gone)
    assert looks.participant_means(study, "fspo>base") == [1.0]


def test_a_look_reads_main_pairs_alone() -> None:
    study = factory.open_study(analysis=LOOKS)
    judged_by(study, "fspo")
    Comparison.objects.filter(participant__study=study, kind="arms").update(kind="null")
    assert looks.participant_means(study, "fspo>base") == []
