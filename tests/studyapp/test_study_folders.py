"""The two study folders that ship: their banks, their texts, and that `study check` finds nothing wrong with them."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections import Counter
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from studyapp.protocol import budget, load_folder

STUDIES = Path(__file__).resolve().parents[2] / "studies"
OPENQA = STUDIES / "fspo-openqa"
TEXTS = ("consent.md", "instructions.md", "debrief.md")
MARKUP = re.compile(r"[*_#`\[\]<>|~\\{}]|https?:|(?:^|\n)\s*(?:[-+•]|\d+[.)])\s|\s--?\s")
# Before the judging is over nobody may learn what the arms are.
UNBLINDING = re.compile(
    r"personali[sz]|tailor|adapt|language model|\barms?\b|baseline|treatment|written for you|made for you|your taste is"
    r"|\bfspo\b|few-shot|fine-tun",
    re.IGNORECASE,
)


def rows(name: str) -> list[dict[str, Any]]:
    """The rows of a JSONL file of the re-run's folder."""
    return [json.loads(line) for line in (OPENQA / name).read_text(encoding="utf-8").splitlines()]


def protocol(slug: str) -> dict[str, Any]:
    return tomllib.loads((STUDIES / slug / "study.toml").read_text(encoding="utf-8"))


QUESTIONS = rows("questions.jsonl")
CANDIDATES = rows("candidates.jsonl")
JUDGE = [q for q in QUESTIONS if q["use"] == "judge"]
ELICIT = [q for q in QUESTIONS if q["use"] == "elicit"]


def grouped() -> dict[str, list[dict[str, Any]]]:
    """Candidates by the id of their question."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for candidate in CANDIDATES:
        groups.setdefault(candidate["question"], []).append(candidate)
    return groups


def shared_words(one: str, other: str) -> float:
    """Jaccard similarity of the sets of words of two texts, 0 to 1."""
    a, b = (set(re.findall(r"[a-z']+", text.lower())) for text in (one, other))
    return len(a & b) / len(a | b)


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
def test_study_check_finds_nothing_wrong_and_nothing_that_is_not_available(slug: str) -> None:
    loaded = load_folder(STUDIES / slug)
    assert [str(problem) for problem in loaded.problems] == []
    assert [str(warning) for warning in loaded.warnings if "not available" in warning.what] == []
    assert loaded.protocol is not None
    assert loaded.protocol.slug == slug


def test_study_check_would_find_a_broken_copy_of_the_rerun(tmp_path: Path) -> None:
    folder = tmp_path / "fspo-openqa"
    shutil.copytree(OPENQA, folder)
    toml = (folder / "study.toml").read_text(encoding="utf-8")
    (folder / "study.toml").write_text(toml.replace('baseline = "sft"', 'baseline = "stf"'), encoding="utf-8")
    assert any("stf" in str(problem) for problem in load_folder(folder).problems)


def test_the_bank_holds_the_promised_number_of_questions() -> None:
    assert len(JUDGE) >= 64
    assert len(ELICIT) >= 26
    assert len(CANDIDATES) >= 75
    assert len(JUDGE) + len(ELICIT) == len(QUESTIONS)


def test_ids_and_question_texts_are_unique() -> None:
    for values in ([q["id"] for q in QUESTIONS], [c["id"] for c in CANDIDATES], [q["text"].lower() for q in QUESTIONS]):
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_every_row_has_exactly_the_documented_keys() -> None:
    assert {frozenset(q) for q in QUESTIONS} == {frozenset(("id", "use", "domain", "topic", "text"))}
    assert {frozenset(c) for c in CANDIDATES} == {frozenset(("id", "question", "text", "viewpoint"))}
    assert all(value.strip() == value != "" for row in QUESTIONS + CANDIDATES for value in row.values())


def test_judged_and_labelled_topics_never_meet_so_that_overlap_none_serves_everybody() -> None:
    judged, labelled = Counter(q["topic"] for q in JUDGE), Counter(q["topic"] for q in ELICIT)
    assert not set(judged) & set(labelled)
    assert len(judged) >= 30
    assert max(judged.values()) <= 3
    assert max(labelled.values()) == 1


def test_every_domain_is_both_labelled_and_judged() -> None:
    assert {q["domain"] for q in JUDGE} == {q["domain"] for q in ELICIT}
    assert min(Counter(q["domain"] for q in JUDGE).values()) >= 10


def test_every_elicitation_question_has_two_to_four_contrasting_candidates() -> None:
    groups = grouped()
    assert set(groups) == {q["id"] for q in ELICIT}
    for question, group in groups.items():
        assert 2 <= len(group) <= 4, question
        assert len({c["viewpoint"] for c in group}) == len(group), question


def test_candidates_keep_the_word_window_and_length_does_not_decide_within_a_question() -> None:
    low, high = protocol("fspo-openqa")["elicitation"]["words"]
    assert (low, high) == (60, 120)
    for question, group in grouped().items():
        counts = [len(c["text"].split()) for c in group]
        assert low <= min(counts) <= max(counts) <= high, question
        assert max(counts) <= 1.15 * min(counts), (question, counts)


def test_no_text_of_the_bank_holds_markup_or_speaks_as_a_machine() -> None:
    for row in QUESTIONS + CANDIDATES:
        assert "\n" not in row["text"], row["id"]
        assert not MARKUP.search(row["text"]), row["id"]
        assert not re.search(r"as an ai\b|language model|\bthese examples\b", row["text"], re.IGNORECASE), row["id"]
        assert row["text"][-1] in ".?!", row["id"]


@pytest.mark.parametrize("bad", ["a **bold** claim", "# Heading", "text\n- item", "1. first", "see [this](x)", "a <b>"])
def test_the_markup_rule_would_find_markup(bad: str) -> None:
    assert MARKUP.search(bad)


def test_candidates_differ_from_one_another() -> None:
    for group in grouped().values():
        for one, other in combinations(group, 2):
            assert shared_words(one["text"], other["text"]) < 0.35, (one["id"], other["id"])
    openings = Counter(" ".join(c["text"].split()[:3]) for c in CANDIDATES)
    assert max(openings.values()) == 1


def test_the_rerun_keeps_what_the_paper_states() -> None:
    study = protocol("fspo-openqa")
    assert study["elicitation"]["shots"] + study["elicitation"]["probes"] == 9
    assert study["elicitation"]["repeats"] == 0
    assert sum(c["items"] for c in study["comparisons"]) == 11
    assert [(c["treatment"], c["baseline"]) for c in study["comparisons"]] == [("fspo", "base"), ("fspo", "sft")]
    assert study["judging"]["scale"] == "choice+strength"
    assert study["judging"]["reason"] != "off"
    low, high = study["normalise"]["words"]
    assert low < 250 < high
    assert study["normalise"]["plain_text"] is True


def test_only_the_treatment_of_the_rerun_sees_the_shots_and_only_base_is_told_its_length() -> None:
    study = protocol("fspo-openqa")
    arms, models = study["arms"], study["models"]
    assert {name for name, arm in arms.items() if arm["context"] == "own_shots"} == {"fspo"}
    assert {name for name, arm in arms.items() if "instruction" in arm} == {"base"}
    assert models[arms["base"]["model"]]["layout"] == "chat"
    assert "250 words" in arms["base"]["instruction"]
    assert len({model["source"] for model in models.values()}) == 3


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
def test_texts_before_judging_do_not_unblind(slug: str) -> None:
    for name in ("consent.md", "instructions.md"):
        text = (STUDIES / slug / name).read_text(encoding="utf-8")
        assert not UNBLINDING.search(text), (slug, name, UNBLINDING.search(text))
    title = protocol(slug)["title"]
    assert not UNBLINDING.search(title)


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
def test_the_debrief_tells_what_consent_left_out(slug: str) -> None:
    text = (STUDIES / slug / "debrief.md").read_text(encoding="utf-8")
    assert UNBLINDING.search(text)
    assert "stop and erase" in text


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
def test_consent_names_the_way_out_the_age_the_time_and_the_pay(slug: str) -> None:
    text = (STUDIES / slug / "consent.md").read_text(encoding="utf-8")
    pay = protocol(slug).get("pay", {})
    for phrase in ("**Stop**", "come back later", "stop and keep", "stop and erase", "18 years", "computer programs"):
        assert phrase in text, phrase
    if pay.get("amount"):
        assert f"{pay['amount']:.2f} {pay['currency']}" in text
        assert pay["amount"] / pay["minutes"] * 60 >= 9
    else:
        assert "no payment" in text
    if pay.get("minutes"):
        assert f"{pay['minutes']:g} minutes" in text


def test_consent_of_the_rerun_covers_what_a_review_board_expects() -> None:
    text = (OPENQA / "consent.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert len(headings) >= 9
    for phrase in ("ethics board", "Risks", "How long", "Who sees them", "complain", "a copy", "9 times", "11 times"):
        assert phrase in text, phrase
    days = protocol("fspo-openqa")["privacy"]["retention_identity_days"]
    assert f"deleted after {days} days" in text
    assert protocol("fspo-openqa")["privacy"]["withdraw_until"] in text


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
@pytest.mark.parametrize("name", ["consent.md", "instructions.md"])
def test_texts_give_the_numbers_of_the_protocol(slug: str, name: str) -> None:
    study = protocol(slug)
    elicitation = study["elicitation"]
    labelled = sum(elicitation[key] for key in ("shots", "probes", "repeats"))
    judged = sum(part["items"] for part in study["comparisons"] + study.get("controls", []))
    text = (STUDIES / slug / name).read_text(encoding="utf-8")
    assert re.search(rf"\b{labelled} (?:times|pairs)", text)
    assert re.search(rf"\b{judged}\b", text)


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
@pytest.mark.parametrize("name", TEXTS)
def test_texts_are_plain_short_sentences(slug: str, name: str) -> None:
    text = re.sub(r"\[REPLACE[^\]]*\]", "the name", (STUDIES / slug / name).read_text(encoding="utf-8"))
    sentences = [s.split() for s in re.split(r"[.!?:]\**\s|\n\n|\n[-0-9]", text) if len(s.split()) > 2]
    assert sum(map(len, sentences)) / len(sentences) < 18
    assert max(map(len, sentences)) <= 40
    assert not re.search(r"<[a-z/]", text)


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
@pytest.mark.parametrize("name", ["consent.md", "instructions.md"])
def test_the_time_people_are_told_is_the_time_that_reading_takes(slug: str, name: str) -> None:
    told = re.search(r"about (\d+) minutes", (STUDIES / slug / name).read_text(encoding="utf-8"))
    assert told is not None
    usual = budget(load_folder(STUDIES / slug)).minutes[238]
    assert 0.8 <= int(told[1]) / usual <= 1.25, usual


@pytest.mark.parametrize("slug", ["demo", "fspo-openqa"])
def test_every_document_is_read_as_it_was_written(slug: str) -> None:
    documents = load_folder(STUDIES / slug).documents
    assert documents["consent"] == (STUDIES / slug / "consent.md").read_text(encoding="utf-8")
    assert set(documents) == {"consent", "instructions", "debrief"}
