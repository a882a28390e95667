"""The two texts of a pair are matched in length and in sampling, whichever comes second, of either arm."""

from __future__ import annotations

from typing import Any

import pytest

from annotations.models import Comparison
from inference.contracts import ModelSpec
from inference.engines.scripted import ScriptedEngine
from inference.models import Attempt, Generation
from inference.queue import waiting_keys
from inference.runner import Runner
from inference.verdicts import job_of
from studyapp.models import Participant, Study
from studyapp.services import progress, settling
from tests import factory

pytestmark = [pytest.mark.django_db(transaction=True)]
State, Outcome = Generation.State, Attempt.Outcome


def arrive(generation: Generation, words: int) -> None:
    """The text of `generation` comes, `words` long, as the listener hears of it."""
    Generation.objects.filter(pk=generation.pk).update(state=State.READY, words=words, text="word " * words)
    settling.settle([generation.pk])


def first_pair(person: Participant) -> Comparison:
    return Comparison.objects.filter(participant=person, kind="arms").order_by("position")[0]


def sides(pair: Comparison) -> tuple[Generation, Generation]:
    assert pair.generation_a is not None
    assert pair.generation_b is not None
    return pair.generation_a, pair.generation_b


def a_study(**normalise: Any) -> Study:
    return factory.open_study(normalise={"words": [5, 200], "pair_ratio": 1.25, **normalise})


@pytest.mark.parametrize("first", [0, 1], ids=["treatment first", "baseline first"])
def test_the_second_text_is_asked_for_within_the_ratio_of_the_first(first: int) -> None:
    person = factory.elicited(a_study())
    came, other = sides(first_pair(person))[:: 1 - 2 * first]
    arrive(came, 60)
    other.refresh_from_db()
    assert (other.least_words, other.most_words) == (48, 75)
    assert Generation.objects.get(pk=came.pk).least_words is None


def test_a_person_whose_baselines_are_there_gets_texts_that_suit_them_from_the_start() -> None:
    study = a_study()
    for stock in Generation.objects.filter(study=study, owner=None):
        arrive(stock, 40)
    person = factory.elicited(study)
    own = Generation.objects.filter(owner=person, arm="fspo")
    assert own.exists()
    assert set(own.values_list("least_words", "most_words")) == {(32, 50)}


def test_what_is_there_is_never_made_again_and_never_void_for_its_length() -> None:
    person = factory.elicited(a_study())
    pair = first_pair(person)
    one, two = sides(pair)
    arrive(one, 20)
    arrive(two, 190)
    pair.refresh_from_db()
    assert pair.state == "ready"
    assert set(Generation.objects.filter(pk__in=[one.pk, two.pk]).values_list("state", flat=True)) == {State.READY}


def test_a_worker_tries_for_the_ratio_and_then_shows_the_nearest_text_flagged() -> None:
    study = a_study(tries=2)
    for stock in Generation.objects.filter(study=study, owner=None):
        arrive(stock, 8)  # the scripted engine writes 60 words and more
    person = factory.elicited(study)
    for _ in range(2):
        for key in waiting_keys():
            Runner().drain(key)
        Generation.objects.filter(state=State.QUEUED).update(not_before=None)
    own = Generation.objects.filter(owner=person, arm="fspo")
    assert set(own.values_list("state", flat=True)) == {State.READY}
    for row in own:
        assert "ratio_missed" in row.flags
        assert "window_missed" not in row.flags
        assert [one.outcome for one in row.attempts.all()] == [Outcome.RATIO_MISSED] * 2
        made = [one.words for one in row.attempts.all()]
        assert row.words == min(word for word in made if word is not None)
    progress.advance(person)
    assert first_pair(person).state == "ready"


def test_the_windows_edge_serves_where_the_other_text_lies_outside_it() -> None:
    person = factory.elicited(a_study(words=[50, 100]))
    one, two = sides(first_pair(person))
    arrive(one, 300)
    two.refresh_from_db()
    two.claim_id = None
    window = job_of(ScriptedEngine({}), two).window
    assert window is not None
    assert (window.min_words, window.max_words) == (100, 100)


def test_texts_sampled_unlike_the_protocol_make_a_pair_void() -> None:
    person = factory.elicited(a_study())
    pair = first_pair(person)
    one, two = sides(pair)
    request = {**one.request, "sampling": {**one.request["sampling"], "temperature": 1.5}}
    Generation.objects.filter(pk=one.pk).update(request=request)
    arrive(one, 60)
    arrive(two, 60)
    pair.refresh_from_db()
    assert (pair.state, pair.void_reason) == ("void", "unmatched")
    others = Comparison.objects.filter(participant=person).exclude(pk=pair.pk).exclude(repeat_of=pair)
    assert not others.filter(void_reason="unmatched").exists()


def test_a_declared_difference_in_sampling_is_no_mismatch() -> None:
    values = factory.protocol("small")
    arms = {**values["arms"]}
    name = values["comparisons"][0]["treatment"]
    arms[name] = {**arms[name], "sampling": {"temperature": 0.1}}
    comparisons = [{**one, "differs_because": "the paper does"} for one in values["comparisons"]]
    person = factory.elicited(factory.open_study(arms=arms, comparisons=comparisons))
    pair = first_pair(person)
    for generation in sides(pair):
        arrive(generation, 60)
    pair.refresh_from_db()
    assert pair.state == "ready"
    assert ModelSpec(**sides(pair)[0].request["model"]).engine == "scripted"
