"""The report: the main number first, every claim covered, every objection answered, nothing from outside."""

from __future__ import annotations

import pytest

from studyapp.models import Study
from studyapp.report.evidence import Evidence, gather
from tests import factory
from tests.studyapp.test_results import judge_for, unblinded

pytestmark = pytest.mark.django_db


def judged_by(study: Study, *winners: str) -> Study:
    for winner in winners:
        person = factory.elicited(study)
        factory.finish_texts(study)
        judge_for(person, winner)
    return study


@pytest.fixture
def evidence() -> Evidence:
    """Three of five people who prefer fspo throughout, and one who left."""
    study = judged_by(factory.open_study(), "fspo", "base", "fspo", "base", "fspo")
    factory.elicited(study)
    return gather(unblinded(study))
