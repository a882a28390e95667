"""The cast of the generation tests: a study, its people and what is asked for them."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace

from inference.contracts import GenerationRequest, ModelSpec, Sampling, Shot, Window
from inference.models import Need
from inference.queue import Order
from studyapp.models import Participant, Question, Study

_numbers = itertools.count(1)
MODEL = ModelSpec(engine="scripted", source="queue-tests")
REQUEST = GenerationRequest(
    model=MODEL,
    layout="fspo",
    question="What makes a good morning?",
    shots=(Shot("Tea or coffee?", "Tea, slowly.", "Coffee, at once."),),
    sampling=Sampling(max_tokens=400),
    window=Window(1, 200),
)


def a_study(seed: int = 7) -> Study:
    """A draft study with nothing in it; the queue reads its seed alone."""
    return Study.objects.create(slug=f"study-{secrets.token_hex(8)}", title="A study", protocol={}, seed=seed)


def a_person(study: Study) -> Participant:
    """Somebody in the study."""
    return Participant.objects.create(study=study)


def a_question(study: Study) -> Question:
    """A question of the study's bank."""
    return Question.objects.create(study=study, key=f"q{next(_numbers)}", use="judge", domain="d", text="Why?")


def orders(
    study: Study,
    count: int,
    *,
    owner: Participant | None = None,
    arm: str = "fspo",
    request: GenerationRequest = REQUEST,
    need: int = Need.PERSONAL,
    model: ModelSpec | None = None,
) -> list[Order]:
    """`count` orders, each for a question of its own, at positions from 0."""
    request = replace(request, model=model) if model else request
    return [
        Order(
            study_id=study.pk,
            owner_id=owner.pk if owner else None,
            arm=arm,
            question_id=a_question(study).pk,
            request=request,
            need=need,
            position=position,
        )
        for position in range(count)
    ]
