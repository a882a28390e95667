"""The wait that people will meet, at the pace that workers have shown here."""

from __future__ import annotations

import logging

from django.db import Error

from inference import pace
from studyapp.models import Candidate, Question, Study
from studyapp.protocol import Loaded, Protocol
from studyapp.protocol.waiting import Waits, pair_words, texts_of_one, waits

logger = logging.getLogger(__name__)


def of_folder(loaded: Loaded) -> Waits | None:
    """The estimate for a study folder; None where nothing was measured, or no database answers."""
    if loaded.protocol is None:
        return None
    asked = {row.id: row.text for row in loaded.questions if row.use == "elicit"}
    words = pair_words(asked.values(), (row.text for row in loaded.candidates if row.question in asked))
    try:
        return _estimate(loaded.protocol, words)
    except Error as error:
        logger.debug("no pace of workers is known without the database: %s", error)
        return None


def of_study(study: Study) -> Waits | None:
    """The estimate for a loaded study."""
    asked = Question.objects.filter(study=study, use=Question.Use.ELICIT)
    candidates = Candidate.objects.filter(question__in=asked)
    words = pair_words(asked.values_list("text", flat=True), candidates.values_list("text", flat=True))
    return _estimate(study.spec, words)


def _estimate(protocol: Protocol, words: float) -> Waits | None:
    found = {key: pace.measured(key) for key in texts_of_one(protocol)}
    return waits(protocol, words, {key: known for key, known in found.items() if known is not None})
