"""The win-rate table of a million stored judgments, read from the database in seconds."""

from __future__ import annotations

import time

import pytest
from django.db import connection

from annotations.models import Judgment
from inference.models import Generation
from studyapp.models import Participant, Question, Seat, Study
from studyapp.results import win_rates
from studyapp.services import studies
from tests import factory

pytestmark = [pytest.mark.django_db, pytest.mark.slow, pytest.mark.timeout(1800)]
PEOPLE, EACH = 50_000, 20
COMPARISONS = """
INSERT INTO annotations_comparison (participant_id, seat_id, position, kind, question_id, arm_a, arm_b, replicate_a,
    replicate_b, a_is_first, generation_a_id, generation_b_id, state, void_reason, opaque_id, waited_ms, judged_at)
SELECT p.id, %(seat)s, n, 'arms', (%(questions)s::bigint[])[1 + (p.id + n) %% %(bank)s], 'fspo', 'base', 0, 0,
    random() < 0.5, (%(texts)s::bigint[])[1 + n %% %(made)s], (%(texts)s::bigint[])[1 + (n + 1) %% %(made)s], 'judged',
    '', 'x' || p.id || '-' || n, 0, now()
FROM studyapp_participant p CROSS JOIN generate_series(1, %(each)s) n WHERE p.study_id = %(study)s
"""
JUDGMENTS = """
INSERT INTO annotations_judgment (comparison_id, participant_id, choice, strength, reason, server_ms, input, created_at)
SELECT id, participant_id, CASE WHEN (random() < 0.6) = a_is_first THEN 'first' ELSE 'second' END, 3, '', 900, '', now()
FROM annotations_comparison WHERE kind = 'arms'
"""


def million(people: int) -> Study:
    """An unblinded study of `people` who judged twenty pairs each."""
    study = factory.open_study()
    factory.finish_texts(study)
    Participant.objects.bulk_create(
        [Participant(study=study, state="completed", consented_at=study.opened_at) for _ in range(people)],
        batch_size=5000,
    )
    questions = list(Question.objects.filter(study=study, use="judge").values_list("id", flat=True))
    texts = list(Generation.objects.filter(study=study).values_list("id", flat=True))
    seat = Seat.objects.filter(study=study).values_list("id", flat=True)[0]
    with connection.cursor() as cursor:
        cursor.execute(
            COMPARISONS,
            {"seat": seat, "questions": questions, "bank": len(questions), "texts": texts, "made": len(texts),
             "each": EACH, "study": study.pk},
        )  # fmt: skip
        cursor.execute(JUDGMENTS)
        cursor.execute("ANALYZE annotations_comparison, annotations_judgment, studyapp_participant")
    studies.close(study)
    return studies.unblind(study, "all in")


def test_a_million_judgments_from_the_database_in_thirty_seconds() -> None:
    """Processor time of this process: the database's own goes on beside it, and the machine is shared."""
    study = million(PEOPLE)
    assert Judgment.objects.count() == PEOPLE * EACH
    began = time.process_time()
    (row,) = win_rates(study)
    seconds = time.process_time() - began
    assert (row.n_participants, row.n_judgments) == (PEOPLE, PEOPLE * EACH)
    assert row.win_rate == pytest.approx(0.6, abs=0.005)
    assert row.headline_ci == "two_way"
    assert seconds <= 30
