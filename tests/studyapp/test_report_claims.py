"""When the report may say that an advantage is personalised."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from annotations.winrate.columns import Judgments
from studyapp.models import Study
from studyapp.protocol import Protocol
from studyapp.report.answers import Answer
from studyapp.report.claims import meaning, separating, shown_personal, verdict
from studyapp.report.evidence import Evidence
from tests import factory

pytestmark = pytest.mark.django_db
DONOR = {"model": "script", "context": "donor_shots", "shots": 3, "pool": "pool.jsonl"}
PAIRS = [{"treatment": "fspo", "baseline": arm, "items": 2} for arm in ("base", "donor")]
SWAP = [{"treatment": "fspo", "baseline": "base", "items": 2, "kind": "swap"}]


def spec(comparisons: Any = None, context: str = "donor_shots", **analysis: Any) -> Protocol:
    arms = {**factory.protocol()["arms"], "donor": {**DONOR, "context": context}}
    values = factory.protocol(arms=arms, comparisons=comparisons or PAIRS, analysis=analysis)
    return Protocol.model_validate(values)


def evidence(low: float, high: float, simulated: bool = False, **given: Any) -> Evidence:
    """A study of two comparisons, both with the interval (low, high)."""
    parsed = spec(**given)
    study = Study.objects.create(
        slug="small", protocol=parsed.model_dump(mode="json"), protocol_hash=uuid4().hex, seed=1
    )
    row = {
        "analysis_set": "itt_simulated" if simulated else "itt", "scope": "all", "scope_value": None, "focal": "fspo",
        "headline_ci": "participant", "ci_low": low, "ci_high": high, "win_rate": (low + high) / 2,
    }  # fmt: skip
    rates = [{**row, "baseline": arm} for arm in ("base", "donor")]
    return Evidence(study, {"rates": rates}, Judgments.of([]), simulated, parsed.primary[0])


def test_swaps_and_own_against_others_choices_separate_and_nothing_else_does() -> None:
    assert separating(spec()) == ["fspo>donor"]
    assert separating(spec(context="population_shots")) == ["fspo>donor"]
    assert separating(spec(context="own_shots")) == []
    assert separating(spec(SWAP)) == ["fspo>base"]
    assert separating(spec(primary=["fspo>base"])) == []
    assert separating(spec(primary=["fspo>base"], secondary=["fspo>donor"])) == ["fspo>donor"]


@pytest.mark.parametrize(
    ("low", "high", "simulated", "given", "said"),
    [
        (0.55, 0.7, False, {}, True),
        (0.5, 0.7, False, {}, False),
        (0.3, 0.45, False, {}, False),
        (0.55, 0.7, True, {}, False),
        (0.55, 0.7, False, {"context": "own_shots"}, False),
        (0.55, 0.7, False, {"primary": ["fspo>base"]}, False),
    ],
)
def test_personalised_is_said_only_of_a_registered_interval_above_one_half(
    low: float, high: float, simulated: bool, given: dict[str, Any], said: bool
) -> None:
    found = evidence(low, high, simulated, **given)
    assert bool(shown_personal(found)) == said
    assert ("personalised" in meaning(found)) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.51, 0.6, "fspo was preferred over base"),
        (0.3, 0.49, "base was preferred over fspo"),
        (0.4, 0.6, "includes one half"),
        (0.5, 0.6, "includes one half"),
    ],
)
def test_the_verdict_follows_the_interval(low: float, high: float, said: str) -> None:
    assert said in verdict(evidence(low, high))


def test_an_answer_shows_no_sign_of_a_zero_and_counts_people_once() -> None:
    one = Answer(says="", what="x", estimate=-0.0001, low=-0.2, high=0.3, people=4, n=4, signed=True)
    assert (one.number, one.counted) == ("+0.000 [-0.200, +0.300]", "4 people")
