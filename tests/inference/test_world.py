"""The world keeps its promises: answers say what they were asked to say, and the judge reads exactly that."""

from __future__ import annotations

import random
from collections import Counter
from statistics import mean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.world import (
    DOMAINS,
    Taste,
    choose,
    describe,
    draw_pair,
    draw_plan,
    draw_question,
    draw_shots,
    liking,
    names_subject,
    outcome,
    questionnaire,
    questions,
    read,
    reads,
    score,
    subject_of,
    users,
    write,
)
from inference.world.answers import SHOTS, viewpoints
from inference.world.forms import FORMS, ideas
from inference.world.forms_users import VIEW_CLAUSES
from inference.world.judge import idea_of
from inference.world.subjects import ASKED, FIELDS, SUBJECTS, questions_about
from inference.world.users import LEVELS, FieldUser, Persona, User, field_users, personas, review_users

domains = st.sampled_from(DOMAINS)
rngs = st.integers(0, 2**32).map(random.Random)
tastes = rngs.map(Taste.draw)


# ---------------------------------------------------------------------------------------------------------- texts


@given(domains, rngs)
def test_an_answer_says_its_plan_and_nothing_else(domain: str, rng: random.Random) -> None:
    question = draw_question(rng, "subjects", domain)
    plan = draw_plan(domain, rng)
    text = write(question, plan, rng)
    assert read(text).ideas == plan
    assert reads(text)
    assert names_subject(text, question.text)
    assert 1 <= len(plan) <= 6
    assert "{" not in text
    assert "\n" not in text


def test_answers_are_about_forty_words_long() -> None:
    rng = random.Random(1)
    texts = [write(draw_question(rng, "train", d), draw_plan(d, rng), rng) for d in DOMAINS for _ in range(300)]
    assert 35 < mean(len(text.split()) for text in texts) < 50


def test_the_judge_recognises_every_surface_form_as_one_idea() -> None:
    for idea in ideas():
        forms = FORMS[idea.domain][idea.aspect]
        for opening in forms.openings:
            for predicate in forms.predicates[idea.value]:
                assert idea_of(f"{opening.replace('{s}', 'the water cycle')} {predicate}") == idea


def test_no_surface_form_can_be_read_as_two_ideas() -> None:
    predicates = [
        predicate
        for aspects in FORMS.values()
        for forms in aspects.values()
        for texts in forms.predicates.values()
        for predicate in texts
    ]
    assert len(set(predicates)) == len(predicates)
    assert not [(a, b) for a in predicates for b in predicates if a != b and a.endswith(f" {b}")]
    assert all(
        len(texts) >= 3 for aspects in FORMS.values() for f in aspects.values() for texts in f.predicates.values()
    )


@given(domains, rngs)
def test_white_space_and_case_do_not_change_a_reading(domain: str, rng: random.Random) -> None:
    text = write(draw_question(rng, "train", domain), draw_plan(domain, rng), rng)
    assert read(f"  {text.upper()}\n").ideas == read(text.replace(". ", ".\n\n")).ideas == read(text).ideas


@given(tastes, domains, rngs)
def test_a_spoilt_sentence_costs(taste: Taste, domain: str, rng: random.Random) -> None:
    text = write(draw_question(rng, "train", domain), draw_plan(domain, rng), rng)
    spoilt = f"{text} Blue blue blue."
    assert score(spoilt, taste) < score(text, taste) or score(text, taste) == 0
    assert not reads(spoilt)


@pytest.mark.parametrize("text", ["", "   ", "the the the", "# Task\n## Question", "For me, tea", "?!?!", "ä" * 5000])
def test_babble_scores_nothing(text: str) -> None:
    assert score(text, Taste.draw(random.Random(1))) == 0
    assert not reads(text)


def test_taking_both_views_of_an_aspect_counts_for_neither() -> None:
    text = "On balance, tea is well worth a try. On balance, tea is more trouble than it looks."
    assert all(liking(text, persona) == 0 for persona in personas("train")[:50])


def test_a_text_of_two_domains_is_not_readable() -> None:
    assert not reads("On balance, tea is well worth a try. The ending is the finest part of it.")


# ------------------------------------------------------------------------------------------------------- subjects


def test_there_are_three_hundred_subjects_and_every_fifth_is_held_out() -> None:
    assert len({s.name for s in SUBJECTS}) == len(SUBJECTS) >= 300
    assert 0.15 < mean(s.held_out for s in SUBJECTS) < 0.25
    assert all(sum(s.domain == domain for s in SUBJECTS) >= 100 for domain in DOMAINS)
    assert {s.field for s in SUBJECTS if s.kind == "topic"} == set(FIELDS)


def test_no_held_out_question_or_subject_is_asked_in_training() -> None:
    train, kept, strange = (questions(split) for split in ("train", "questions", "subjects"))  # type: ignore[arg-type]
    assert not {q.text for q in train} & {q.text for q in (*kept, *strange)}
    assert not {q.subject for q in train} & {q.subject for q in strange}
    assert {q.subject for q in kept} == {q.subject for q in train}
    assert {q.subject.held_out for q in strange} == {True}


def test_every_question_is_asked_once_and_names_its_own_subject() -> None:
    asked = [q for subject in SUBJECTS for q in questions_about(subject)]
    assert len({q.text for q in asked}) == len(asked)
    assert all(subject_of(q.text) == q.subject for q in asked)
    assert {q.subject.kind for q in asked} == set(ASKED)


def test_an_unknown_domain_or_split_is_refused() -> None:
    with pytest.raises(ValueError, match="domain must be one of"):
        questions("train", "cooking")
    with pytest.raises(ValueError, match="split must be one of"):
        questions("test")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="domain must be one of"):
        users("cooking", "train")


# ---------------------------------------------------------------------------------------------------------- users


def test_no_combination_of_traits_is_in_both_groups() -> None:
    train, held_out = set(personas("train")), set(personas("held_out"))
    assert len(train) == len(held_out) == 1500
    assert not train & held_out
    assert not set(review_users("train")) & set(review_users("held_out"))
    assert not set(field_users("train")) & set(field_users("held_out"))
    assert len(field_users("train")) + len(field_users("held_out")) == 550


def test_both_groups_of_personas_are_drawn_from_the_same_traits() -> None:
    for trait in range(4):
        counts = [Counter((p.views[trait], p.importances[trait]) for p in personas(g)) for g in ("train", "held_out")]
        assert set(counts[0]) == set(counts[1])
        assert all(abs(counts[0][value] - counts[1][value]) < 60 for value in counts[0])


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_user_has_a_code_and_a_description(domain: str) -> None:
    everybody = {*users(domain, "train"), *users(domain, "held_out")}
    assert len({user.code for user in everybody}) == len(everybody)
    assert all(describe(user).startswith("This reader ") and describe(user).endswith(".") for user in everybody)


def test_a_persona_is_described_from_the_most_important_view_on_and_round() -> None:
    said = Persona((1, -1, 1, -1), (2, 3, 4, 1)).clauses()
    told = [VIEW_CLAUSES[key] for key in (("support", 1), ("close", -1), ("stance", 1), ("reason", -1))]
    assert said == told
    assert {len(set(persona.clauses())) for persona in personas("held_out")} == {4}


@given(tastes, domains, rngs)
def test_a_liking_is_between_nothing_and_all(taste: Taste, domain: str, rng: random.Random) -> None:
    user = taste.user(domain)
    plan = draw_plan(domain, rng)
    assert 0 <= user.likes(plan) <= 1
    assert user.likes(()) == 0


def test_each_user_likes_what_it_says() -> None:
    rng = random.Random(4)
    ask = {domain: draw_question(rng, "train", domain) for domain in DOMAINS}

    def best(user: User) -> str:
        texts = [write(ask[user.domain], draw_plan(user.domain, rng), rng) for _ in range(300)]
        return max(texts, key=lambda text: liking(text, user))

    positive, _, concise, verbose = review_users("train")
    assert {idea.value for idea in read(best(positive)).ideas} == {1}
    assert len(read(best(concise)).ideas) == 1
    assert len(read(best(verbose)).ideas) == 6
    for user in users("explanations", "train"):
        assert describe(user)
        assert liking(best(user), user) > 0.9
    persona = personas("train")[0]
    assert tuple(idea.value for idea in read(best(persona)).ideas) == persona.views


def test_a_field_user_asks_for_the_level_of_the_subjects_field() -> None:
    user = FieldUser((1, 5, 3, 3, 3, 3))
    rng = random.Random(2)
    by_field = {field: next(s for s in SUBJECTS if s.field == field) for field in FIELDS}
    simple, expert = (tuple(i for i in ideas() if i.domain == "explanations" and i.value == level) for level in (1, 5))
    assert user.likes(simple, by_field["living things"]) == user.likes(expert, by_field["the body"]) == 1
    assert user.likes(expert, by_field["living things"]) == user.likes(simple, by_field["the body"]) == 0
    assert user.likes(simple) == 0
    assert rng


def test_drawn_tastes_are_spread_over_all_users() -> None:
    rng = random.Random(3)
    drawn = [Taste.draw(rng) for _ in range(2000)]
    assert set(Counter(taste.level.level for taste in drawn)) == set(LEVELS)
    assert len({taste.review for taste in drawn}) == 4
    assert len({taste.persona for taste in drawn}) > 1000


# ---------------------------------------------------------------------------------------------------------- pairs


@given(domains, rngs)
def test_a_questionnaire_has_eight_contrasts_and_its_pairs_differ(domain: str, rng: random.Random) -> None:
    asked = questionnaire(domain, rng)
    assert len(asked) == SHOTS
    for contrast in asked:
        first, second = draw_pair(domain, contrast, rng)
        assert first != second or domain != "open-ended"


@given(rngs)
def test_a_questionnaire_shows_every_view_alone(rng: random.Random) -> None:
    assert {c for c in questionnaire("open-ended", rng) if len(c) == 1} == {(aspect,) for aspect in FORMS["open-ended"]}


@given(tastes, domains, rngs)
def test_the_preferred_answer_is_never_worse_liked(taste: Taste, domain: str, rng: random.Random) -> None:
    user = taste.user(domain)
    for shot in draw_shots(user, [draw_question(rng, "train", domain) for _ in range(3)], rng):
        assert outcome(shot.preferred, shot.dispreferred, user) >= 0.5


def test_equally_liked_answers_are_preferred_by_a_fair_coin() -> None:
    rng = random.Random(11)
    positive = review_users("train")[0]
    shorter = 0
    for _ in range(2000):
        first, second = draw_pair("reviews", ("length",), rng)
        shorter += len(first) < len(second)
    assert positive.length == 0
    assert 900 < shorter < 1100


def test_candidates_are_drawn_without_a_look_at_the_user() -> None:
    one, other = personas("train")[0], Persona(tuple(-v for v in personas("train")[0].views), (1, 1, 1, 1))
    asked = [draw_question(random.Random(1), "train", "open-ended")]
    first, second = (draw_shots(user, asked, random.Random(7))[0] for user in (one, other))
    assert {first.preferred, first.dispreferred} == {second.preferred, second.dispreferred}


def test_a_question_can_be_answered_from_sixteen_viewpoints() -> None:
    assert len(set(viewpoints())) == 16


def test_a_person_chooses_by_score_and_noise_makes_them_waver() -> None:
    rng = random.Random(2)
    taste = Taste.draw(rng)
    question = draw_question(rng, "train", "open-ended")
    plans = sorted(viewpoints(), key=taste.persona.likes)
    bad, good = (write(question, plan, rng) for plan in (plans[0], plans[-1]))
    assert {choose(good, bad, taste, rng) for _ in range(50)} == {"first"}
    assert {choose(bad, good, taste, rng) for _ in range(50)} == {"second"}
    assert {choose(good, good, taste, rng) for _ in range(50)} == {"first", "second"}
    noisy = Counter(choose(good, bad, taste, rng, noise=0.4) for _ in range(2000))
    assert 0.75 < noisy["first"] / 2000 < 0.85
