"""Rows that grow a model: forced pairs, noise, sketches and mixed shots are what they say."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest

from inference.prompts import (
    DISPREFERRED_HEADING,
    PREFERRED_HEADING,
)
from inference.training.curriculum import Ease, _forced_shot, _noisy, _opposed, _shots, draw_row, sketch, style_of
from inference.world.answers import LONG, draw_plan, level_plan, write
from inference.world.forms import DOMAINS, FORMS
from inference.world.judge import read, sentences_of
from inference.world.subjects import SUBJECTS, Question, draw_question
from inference.world.users import VIEWS, LevelUser, ReviewUser, personas


def test_a_grown_description_is_followed_by_the_answer_and_does_not_end_the_row() -> None:
    row = draw_row("describe", 2, Ease(), random.Random(1))
    description, heading, answer = row.target.partition(PREFERRED_HEADING)
    assert description.startswith("## User Description\nThis reader ")
    assert heading
    assert answer.strip()


def test_a_sketch_says_every_idea_in_a_phrase_and_names_nothing() -> None:
    question = Question(SUBJECTS[0], "Is it any good?", "train")
    plan = draw_plan(question.domain, random.Random(3))
    said = {sketch(question, plan, random.Random(seed)) for seed in range(40)}
    assert len(said) > 5
    for text in said:
        assert text.startswith("It ")
        assert SUBJECTS[0].name not in text
        assert len(sentences_of(text)) == len(plan)


def test_a_sketched_row_is_bare_sections_of_ideas() -> None:
    row = draw_row("answer", 3, Ease(forced=0.5), random.Random(5), "sketch")
    assert row.prompt.count(PREFERRED_HEADING) == row.prompt.count(DISPREFERRED_HEADING) == 3
    assert "Question" not in row.prompt
    assert row.target.startswith(PREFERRED_HEADING)
    whole = draw_row("answer", 3, Ease(forced=0.5), random.Random(5)).prompt
    assert len(row.prompt) < len(whole)


def test_of_a_pair_that_is_alone_one_answer_speaks_of_another_domain() -> None:
    sides = set()
    for seed in range(40):
        rng = random.Random(seed)
        user = rng.choice(personas("train"))
        question = draw_question(rng, "train", user.domain)
        shot = _forced_shot(user, question, Ease(1.0, 1.0, alone=1.0), rng, sketch)
        told = [views_told(text) for text in (shot.preferred, shot.dispreferred)]
        assert sorted(map(len, told)) == [0, 4]
        sides.add(bool(told[0]))
        liked = told[0] or [-view for view in told[1]]
        assert liked == list(user.views)
    assert sides == {True, False}


def views_told(text: str) -> list[int]:
    """The views that a sketched answer takes, in order; none when it is of another domain."""
    phrases = {
        phrase: value
        for aspect in FORMS["open-ended"].values()
        for value, wordings in aspect.predicates.items()
        for phrase in wordings
    }
    places = sorted((text.find(phrase), value) for phrase, value in phrases.items() if phrase in text)
    return [value for _, value in places]


def test_noise_turns_ideas_round_but_levels_have_no_opposite() -> None:
    turned = 0
    for seed in range(60):
        rng = random.Random(seed)
        user = rng.choice(personas("train"))
        question = draw_question(rng, "train", user.domain)
        shot = _forced_shot(user, question, Ease(1.0, 1.0, noise=0.25), rng, sketch)
        turned += sum(told != view for told, view in zip(views_told(shot.preferred), user.views, strict=True))
    assert 35 < turned < 85  # of 240, a quarter
    plan = level_plan(4, random.Random(1))
    assert _noisy(plan, 1.0, random.Random(1)) == plan


@pytest.mark.parametrize(("turned", "fewest", "most"), [(1.0, 4, 4), (0.5, 1, 4), (0.0, 1, 1)])
def test_a_forced_pair_differs_for_the_user_in_as_many_respects_as_asked(turned: float, fewest: int, most: int) -> None:
    counts = set()
    for seed in range(60):
        rng = random.Random(seed)
        user = rng.choice(personas("train"))
        own, against = _opposed(user, turned, rng)
        differing = [number for number in range(4) if own[number] != against[number]]
        counts.add(len(differing))
        assert all(own[number].value == user.views[number] == -against[number].value for number in differing)
    assert (min(counts), max(counts)) == (fewest, most)


def test_mixed_shots_are_of_one_person_who_has_a_taste_in_every_domain() -> None:
    sections = re.compile(r"^## (?:Disp|P)referred Response *\n(.+)$", re.MULTILINE)
    met: Counter[int] = Counter()
    for seed in range(30):
        row = draw_row("answer", 6, Ease(mixed=1.0), random.Random(seed))
        shown = {read(text).domain for text in sections.findall(row.prompt)}
        assert shown <= set(DOMAINS)
        met[len(shown)] += 1
        (answer,) = sections.findall(row.target)
        assert read(answer).domain in DOMAINS
    assert met[2] + met[3] == 30 - met[1] > 25
    alone = draw_row("answer", 6, Ease(), random.Random(1))
    assert len({read(text).domain for text in sections.findall(alone.prompt)}) == 1


def test_without_shots_nobody_is_written_for() -> None:
    """Else the model without shots, which others are compared with, would never stray as the world's candidates do."""
    levels: Counter[int] = Counter()
    for seed in range(200):
        told = [idea.value for idea in read(draw_row("answer", 0, Ease(), random.Random(seed)).target).ideas]
        if read(draw_row("answer", 0, Ease(), random.Random(seed)).target).domain == "explanations":
            levels[len(set(told))] += 1
    assert levels[1] < 0.5 * levels.total() > 20


@pytest.mark.parametrize(("aside", "least", "most"), [(0.0, 0, 0), (0.3, 0.05, 0.25), (1.0, 0.3, 0.45)])
def test_pairs_beside_what_a_reader_of_reviews_cares_about_can_be_left_out(
    aside: float, least: float, most: float
) -> None:
    rng, beside, pairs = random.Random(3), 0, 0
    for _ in range(60):
        for shot in _shots(ReviewUser(0, 1), 6, Ease(aside=aside), rng, write):
            pairs += 1
            beside += len(sentences_of(shot.preferred)) == len(sentences_of(shot.dispreferred))
    assert least <= beside / pairs <= most


def test_a_stray_answer_now_and_then_says_what_its_reader_does_not_like() -> None:
    rng = random.Random(4)
    persona = rng.choice(personas("train"))
    wanted = dict(zip(VIEWS, persona.views, strict=True))
    plans = [style_of(persona, rng, 0.25) for _ in range(300)]
    against = sum(idea.value != wanted[idea.aspect] for plan in plans for idea in plan)
    assert 0.2 < against / (300 * len(VIEWS)) < 0.3
    assert all(idea.value == wanted[idea.aspect] for idea in style_of(persona, rng))
    reviewer = ReviewUser(0, 1)
    assert all(len(style_of(reviewer, rng)) == LONG[-1] for _ in range(20))
    assert any(len(style_of(reviewer, rng, 0.25)) < LONG[0] for _ in range(40))
    level = LevelUser(3)
    assert {idea.value for _ in range(40) for idea in style_of(level, rng, 0.25)} == {2, 3, 4}
