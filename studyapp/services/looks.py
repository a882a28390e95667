"""The one look at outcomes before unblinding: pre-registered, valid however often it is taken, and logged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import transaction
from django.db.models import F

from annotations import blinding
from annotations.models import Comparison
from annotations.winrate.betting import betting_sequence
from studyapp.models import Participant, Study
from studyapp.services.errors import StudyError
from studyapp.services.events import log

LOOKED = "looked"


@dataclass(frozen=True, slots=True)
class Look:
    """The confidence sequence of one primary comparison so far, and nothing else. level: 1 - alpha, alpha shared out
    between several primary comparisons."""

    comparison: str
    n_participants: int
    low: float
    high: float
    level: float

    def to_json(self) -> dict[str, Any]:
        """The look as a JSON-ready dict."""
        return asdict(self)

    def __str__(self) -> str:
        interval = f"{100 * self.level:g} % confidence sequence [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.comparison}: {self.n_participants} completed participants, {interval}"


def look(study: Study, actor: Any = None) -> list[Look]:
    """The look at every primary comparison; each is an Event. Raises StudyError where it is not pre-registered or the
    study is neither open nor paused."""
    keys, primary = study.spec.analysis, study.spec.primary
    if keys.looks != "betting":
        raise StudyError(
            f'{study} has no pre-registered looks ([analysis] looks = "{keys.looks}"): outcomes are seen after '
            'unblinding. A new version of its protocol may say looks = "betting".'
        )
    if study.state not in (Study.State.OPEN, Study.State.PAUSED):
        way = "win rates are there without a look" if study.is_unblinded else "a look is for an open or paused study"
        raise StudyError(f"{study} is {study.state}: {way}.")
    with transaction.atomic():
        looks = [_look(study, name, keys.alpha / len(primary)) for name in primary]
        for one in looks:
            log(study, LOOKED, actor=actor, **asdict(one))
    return looks


def _look(study: Study, name: str, alpha: float) -> Look:
    means = participant_means(study, name)
    low, high = betting_sequence(np.array(means, dtype=np.float64), alpha).now
    return Look(name, len(means), low, high, 1 - alpha)


def participant_means(study: Study, name: str) -> list[float]:
    """The mean score of everybody who completed, in order of completion; real people, where any have entered."""
    real = Participant.objects.filter(study=study, simulated=False).exists()
    focal, baseline = name.split(">")
    rows = Comparison.objects.filter(
        participant__study=study,
        participant__state=Participant.State.COMPLETED,
        participant__simulated=not real,
        kind__in=(Comparison.Kind.ARMS, Comparison.Kind.SWAP),
        state=Comparison.State.JUDGED,
        arm_a=focal,
        arm_b=baseline,
    ).order_by(F("participant__judged_at").asc(nulls_last=True), "participant_id", "position")
    scores: dict[int, list[float]] = {}
    for person, choice, first in rows.values_list("participant_id", "judgment__choice", "a_is_first"):
        scores.setdefault(person, []).append(blinding.score_of_a(choice, first))
    return [sum(own) / len(own) for own in scores.values()]
