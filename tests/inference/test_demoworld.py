"""The world keeps its promises: answers show what they were asked to show, and the judge sees exactly that."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.demoworld import (
    DOMAINS,
    TRAITS,
    Taste,
    choose,
    draw_question,
    draw_shot,
    kinds,
    names_subject,
    questions,
    read,
    reads,
    score,
    style_of,
    subject_of,
    write,
)
from inference.demoworld.answers import draw_styles
from inference.demoworld.forms import BODIES, LEADS, stop_of
from inference.demoworld.judge import pole_of
from inference.demoworld.subjects import ASKED, SUBJECTS

tastes = st.sampled_from(list(kinds()))
rngs = st.integers(0, 2**32).map(random.Random)


def any_answer(taste: Taste, rng: random.Random) -> tuple[str, str]:
    question = draw_question(rng, held_out=rng.random() < 0.5)
    return question.text, write(question, taste, rng)


@given(tastes, rngs)
def test_an_answer_shows_its_style_and_no_other(style: Taste, rng: random.Random) -> None:
    question, text = any_answer(style, rng)
    assert style_of(text) == style
    assert {kind: score(text, kind) for kind in kinds()} == {kind: kind.likes(style) for kind in kinds()}
    assert reads(text)
    assert names_subject(text, question)


@given(tastes, rngs)
def test_an_answer_is_a_short_readable_paragraph(style: Taste, rng: random.Random) -> None:
    _, text = any_answer(style, rng)
    assert 20 <= len(text.split()) <= 65
    assert text.count("\n") == 0
    assert "{" not in text
    assert "  " not in text


def test_the_judge_recognises_every_surface_form_as_one_pole() -> None:
    seen = 0
    for domain in DOMAINS:
        for pole, bodies in BODIES[domain].items():
            for body in bodies:
                for lead in LEADS[pole]:
                    filled = body.format(s="the water cycle", who="my aunt", n=4, m=30)
                    assert pole_of(f"{lead} {filled}{stop_of(pole)}") == pole
                    seen += 1
    assert seen == 3 * 8 * 4 * 4


def test_no_surface_form_can_be_read_as_two_poles() -> None:
    assert len({lead for leads in LEADS.values() for lead in leads}) == sum(len(leads) for leads in LEADS.values())


@given(tastes, rngs)
def test_white_space_and_case_do_not_change_a_score(style: Taste, rng: random.Random) -> None:
    _, text = any_answer(style, rng)
    assert score("\n\n".join(text.upper().split(". ")).replace("\n\n", ".\n\n "), style) == 4
    assert score(f"  {text}\n", style) == 4


@given(tastes, rngs, st.integers(0, 3))
def test_a_lost_or_spoilt_sentence_costs(style: Taste, rng: random.Random, which: int) -> None:
    _, text = any_answer(style, rng)
    sentences = [s for s in text.replace("? ", "?|").replace(". ", ".|").split("|") if s]
    assert len(sentences) == 4
    without = " ".join(s for index, s in enumerate(sentences) if index != which)
    assert score(without, style) == 3
    spoilt = " ".join(s if index != which else f"Blue blue {s}" for index, s in enumerate(sentences))
    assert score(spoilt, style) < 3
    assert not reads(spoilt)


@pytest.mark.parametrize("text", ["", "   ", "the the the", "# Task\n## Question", "Put simply,", "?!?!", "ä" * 5000])
def test_babble_scores_nothing(text: str) -> None:
    assert all(score(text, kind) == 0 for kind in kinds())
    assert not reads(text)


def test_showing_both_poles_of_a_trait_counts_for_neither() -> None:
    text = "Happily, the ending lands beautifully. Sadly, the ending feels rushed and unearned."
    assert read(text).shown["outlook"] == {"hopeful", "wary"}
    assert all(score(text, kind) == 0 for kind in kinds())


@given(tastes)
def test_a_taste_survives_its_code(taste: Taste) -> None:
    assert Taste.parse(taste.code) == taste
    assert taste.opposite.opposite == taste
    assert taste.likes(taste.opposite) == 0


def test_there_are_sixteen_kinds_with_as_many_descriptions() -> None:
    assert len({kind.code for kind in kinds()}) == len({kind.describe() for kind in kinds()}) == 16


@pytest.mark.parametrize(
    "code", ["", "picture", "picture-hopeful-story", "hopeful-picture-story-advice", "a-b-c-d", "-" * 9]
)
def test_a_wrong_code_is_refused_with_a_reason(code: str) -> None:
    with pytest.raises(ValueError, match=r"must be one of|joined by"):
        Taste.parse(code)


def test_drawn_tastes_are_spread_over_all_kinds() -> None:
    rng = random.Random(3)
    counts = Counter(Taste.draw(rng) for _ in range(3200))
    assert len(counts) == 16
    assert min(counts.values()) > 120


def test_seen_and_held_out_subjects_share_nothing() -> None:
    seen = {q.subject.name for q in questions(held_out=False)}
    held_out = {q.subject.name for q in questions(held_out=True)}
    assert not seen & held_out
    assert len(seen | held_out) == len(SUBJECTS) >= 100
    for domain in DOMAINS:
        assert len({q.subject for q in questions(held_out=True, domain=domain)}) >= 9


def test_every_question_is_asked_once_and_names_its_own_subject() -> None:
    asked = [*questions(held_out=False), *questions(held_out=True)]
    assert len({q.text for q in asked}) == len(asked)
    assert all(subject_of(q.text) == q.subject for q in asked)
    assert {q.subject.kind for q in asked} == set(ASKED)


def test_an_answer_about_something_else_is_not_on_the_subject() -> None:
    rng = random.Random(5)
    first, second = questions(held_out=False)[0], questions(held_out=False)[-1]
    text = write(first, Taste.draw(rng), rng)
    assert names_subject(text, first.text)
    assert not names_subject(text, second.text)
    assert not names_subject(text, "What is the time?")


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="domain must be one of"):
        questions(held_out=False, domain="cooking")


@given(tastes, rngs)
def test_forced_pairs_prefer_exactly_the_persons_style(taste: Taste, rng: random.Random) -> None:
    preferred, dispreferred = draw_styles(taste, rng, forced=True)
    assert preferred == taste != dispreferred


@given(tastes, rngs)
def test_the_preferred_answer_is_never_worse_liked(taste: Taste, rng: random.Random) -> None:
    shot = draw_shot(draw_question(rng, held_out=False), taste, rng)
    assert score(shot.preferred, taste) >= score(shot.dispreferred, taste)
    assert shot.preferred != shot.dispreferred


def test_equally_liked_answers_are_preferred_by_a_fair_coin() -> None:
    rng = random.Random(11)
    taste = Taste.draw(rng)
    firsts = Counter()
    for _ in range(4000):
        preferred, dispreferred = draw_styles(taste, rng, forced=False)
        if taste.likes(preferred) == taste.likes(dispreferred):
            firsts[preferred.framing == taste.framing] += 1
    assert 0.42 < firsts[True] / firsts.total() < 0.58


def test_a_person_chooses_by_score_and_noise_makes_them_waver() -> None:
    rng = random.Random(2)
    taste = Taste.draw(rng)
    question = draw_question(rng, held_out=False)
    good, bad = write(question, taste, rng), write(question, taste.opposite, rng)
    assert {choose(good, bad, taste, rng) for _ in range(50)} == {"first"}
    assert {choose(bad, good, taste, rng) for _ in range(50)} == {"second"}
    assert {choose(good, good, taste, rng) for _ in range(50)} == {"first", "second"}
    noisy = Counter(choose(good, bad, taste, rng, noise=0.4) for _ in range(2000))
    assert 0.75 < noisy["first"] / 2000 < 0.85


def test_every_trait_is_one_sentence_of_every_domain() -> None:
    poles = {pole for pair in TRAITS.values() for pole in pair}
    assert poles == set(LEADS)
    assert all(set(forms) == poles for forms in BODIES.values())
