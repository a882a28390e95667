"""Tries, rejections, flags and void pairs are told by arm, and only after unblinding."""

from __future__ import annotations

import uuid

import pytest

from annotations.models import Comparison
from inference.models import Attempt, Generation
from studyapp.making import by_arm, render
from studyapp.models import Study
from studyapp.services import studies
from studyapp.services.studies import StudyError
from tests import factory

pytestmark = pytest.mark.django_db


@pytest.fixture
def study() -> Study:
    """An unblinded study of two people: one text was tried three times, another is flagged, a pair is void."""
    study = factory.open_study()
    factory.completed(study)
    factory.completed(study)
    fspo = Generation.objects.filter(study=study, arm="fspo", state="ready").order_by("pk")
    for number, outcome in enumerate(("window_missed", "empty", "returned", "ready"), start=1):
        Attempt.objects.create(generation=fspo[0], number=number, claim_id=uuid.uuid4(), outcome=outcome)
    Generation.objects.filter(pk=fspo[1].pk).update(flags=["copies_shot", "names_a_model"])
    pair = Comparison.objects.filter(participant__study=study, kind="arms").order_by("pk")[0]
    Comparison.objects.filter(pk=pair.pk).update(state="void", void_reason="deadline")
    studies.close(study, end="test")
    return studies.unblind(study, "test")


def test_every_arm_has_its_own_counts(study: Study) -> None:
    rows = {row.arm: row for row in by_arm(study)}
    assert set(rows) == {"fspo", "base"}
    fspo, base = rows["fspo"], rows["base"]
    assert fspo.ready == Generation.objects.filter(study=study, arm="fspo", state="ready").count() > 0
    assert (fspo.attempts, fspo.rejected) == (3, {"empty": 1, "window_missed": 1})
    assert fspo.tries == 3 / fspo.ready
    assert fspo.flags == {"copies_shot": 1, "names_a_model": 1}
    assert (base.attempts, base.rejected, base.flags) == (0, {}, {})
    assert fspo.void == base.void == {"deadline": 1}
    assert fspo.words == 10


def test_the_table_says_it_in_words(study: Study) -> None:
    said = render(by_arm(study))
    assert "rejected: empty 1, window missed 1" in said
    assert "flagged: copies shot 1, names a model 1" in said
    assert said.count("void pairs: deadline 1") == 2


def test_before_unblinding_it_is_refused() -> None:
    with pytest.raises(StudyError, match="only after unblinding"):
        by_arm(factory.open_study())
