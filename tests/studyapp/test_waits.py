"""What is said of waiting before anybody waits: from the pace that the ledger shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from inference import pace
from inference.models import Generation
from inference.pace import Pace
from studyapp.models import Study
from studyapp.protocol.waiting import texts_of_one, waits
from studyapp.services.waits import of_study
from tests import factory
from tests.studyapp.staff import researcher
from tests.studyapp.test_study_command import run

PAIR_WORDS = 119.0  # half a minute at 238 words a minute


def of_pace(per_second: float, seconds_each: float) -> Pace:
    return Pace(100, per_second, seconds_each)


def the_key(study: Study) -> str:
    (key,) = texts_of_one(study.spec)
    return key


def made(study: Study, times: Sequence[tuple[float, float]]) -> None:
    """As many of the study's texts as there are times, in seconds from now, were at work then."""
    now = timezone.now()
    texts = list(Generation.objects.filter(study=study)[: len(times)])
    assert len(texts) == len(times)
    for text, (started, finished) in zip(texts, times, strict=True):
        text.state = Generation.State.READY
        text.started_at, text.finished_at = now + timedelta(seconds=started), now + timedelta(seconds=finished)
        text.save()


@pytest.mark.django_db
def test_the_pace_counts_the_time_in_which_texts_were_at_work_and_no_pause() -> None:
    study = factory.open_study(max_enrolled=20, target_participants=20)
    made(study, [(0, 2)] * 10 + [(1, 3)] * 10 + [(1000, 1001)] * 4)
    found = pace.measured(the_key(study))
    assert found is not None
    assert (found.texts, found.seconds_each) == (24, 2.0)
    assert found.per_second == pytest.approx(24 / 4)


@pytest.mark.django_db
def test_a_handful_of_texts_is_no_pace() -> None:
    study = factory.open_study(max_enrolled=20, target_participants=20)
    made(study, [(0, 1)] * (pace.FEWEST - 1))
    assert pace.measured(the_key(study)) is None
    assert of_study(study) is None


@pytest.mark.django_db
def test_the_wait_is_what_probes_and_repeats_leave_of_it(study: Study) -> None:
    spec, key = study.spec, the_key(study)
    labelled = spec.elicitation.probes + spec.elicitation.repeats
    assert labelled > 0
    found = waits(spec, PAIR_WORDS, {key: of_pace(1.0, 200.0)})
    assert found is not None
    assert found.head_start_s == labelled * 36.0
    assert found.wait_s[1] == 200.0 - found.head_start_s  # one text takes that long, whoever else is there
    assert found.wait_s[50] == found.wait_s[10] == found.wait_s[1]
    crowded = waits(spec, PAIR_WORDS, {key: of_pace(0.1, 2.0)})
    assert crowded is not None
    assert (crowded.wait_s[1], crowded.wait_s[50]) == (0.0, 500.0 - found.head_start_s)
    first, every = texts_of_one(spec)[key]
    assert first == 1
    assert every == 2 * spec.main_items
    assert crowded.people_per_hour == pytest.approx(360 / every, abs=0.05)


@pytest.mark.django_db
def test_a_description_comes_before_the_first_answer_and_a_shared_text_is_nobodys() -> None:
    values = factory.protocol("slow")
    personal = next(name for name, arm in values["arms"].items() if arm.get("context") == "own_shots")
    plain = next(name for name, arm in values["arms"].items() if arm.get("context", "none") == "none")
    values["arms"][personal]["rationale"] = True
    values["arms"][plain]["samples"] = "shared"
    study = factory.loaded_study("slow", arms=values["arms"])
    assert texts_of_one(study.spec) == {the_key(study): (2, study.spec.main_items + 1)}


@pytest.mark.django_db
def test_a_model_of_unknown_pace_leaves_the_wait_unknown(study: Study) -> None:
    assert waits(study.spec, PAIR_WORDS, {"another": of_pace(1, 1)}) is None


@pytest.fixture
def study() -> Study:
    return factory.loaded_study()


@pytest.mark.django_db
def test_check_and_the_studys_page_say_it(tmp_path: Path) -> None:
    folder = factory.write_folder(tmp_path / "small", factory.protocol(max_enrolled=20, target_participants=20))
    assert "simulate the study first" in run("check", str(folder))[1]
    study = factory.open_study(max_enrolled=20, target_participants=20)
    client = researcher(superuser=True)
    page = f"/admin/studyapp/study/{study.pk}/change/"
    assert "not measured yet" in client.get(page).content.decode()
    made(study, [(0, 4000)] * 20)
    code, said = run("check", str(folder))
    assert code == 0
    assert "keep up with" in said
    assert "wait past [wait] deadline_s" in said
    facts: dict[str, Any] = json.loads(run("check", str(folder), "--json")[1])["waits"]
    assert facts["wait_s"]["1"] > 3000
    assert "alone" in client.get(page).content.decode()
