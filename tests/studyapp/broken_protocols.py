"""A sound study folder broken in one place each: what is done to it, and what `study check` must say."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.studyapp.protocol_folder import (
    STUDY,
    attention_rows,
    candidate_rows,
    question_rows,
    write_rows,
)

Break = Callable[[Path], None]
KNOWN = ["study.toml", "consent.md", "instructions.md", "debrief.md", "questions.jsonl", "candidates.jsonl",
         "attention.jsonl"]


def toml(old: str, new: str) -> Break:
    """Replace a part of study.toml once."""

    def apply(folder: Path) -> None:
        text = (folder / "study.toml").read_text(encoding="utf-8")
        assert old in text, old
        (folder / "study.toml").write_text(text.replace(old, new, 1), encoding="utf-8")

    return apply


def content(name: str, value: bytes) -> Break:
    """Put bytes in the place of a file."""

    def apply(folder: Path) -> None:
        (folder / name).write_bytes(value)

    return apply


def gone(name: str) -> Break:
    """Remove a file."""
    return lambda folder: (folder / name).unlink()


def row(name: str, number: int, **values: Any) -> Break:
    """Set keys of one row of a bank; `...` removes the key."""
    banks = {"questions": question_rows, "candidates": candidate_rows, "attention": attention_rows}

    def apply(folder: Path) -> None:
        rows = banks[name]()
        rows[number] |= values
        rows[number] = {key: value for key, value in rows[number].items() if value is not ...}
        write_rows(folder / f"{name}.jsonl", rows)

    return apply


def line(name: str, number: int, text: str) -> Break:
    """Put a text in the place of one line of a bank."""

    def apply(folder: Path) -> None:
        lines = (folder / name).read_text(encoding="utf-8").split("\n")
        lines[number] = text
        (folder / name).write_text("\n".join(lines), encoding="utf-8")

    return apply


def without_question(prefix: str, keep: int) -> Break:
    """Keep only so many questions whose id begins so; their candidates go with them."""

    def apply(folder: Path) -> None:
        out = {r["id"] for r in question_rows() if r["id"].startswith(prefix) and int(r["id"][1:]) >= keep}
        write_rows(folder / "questions.jsonl", [r for r in question_rows() if r["id"] not in out])
        write_rows(folder / "candidates.jsonl", [r for r in candidate_rows() if r["question"] not in out])

    return apply


def one_candidate_fewer(folder: Path) -> None:
    write_rows(folder / "candidates.jsonl", candidate_rows()[1:])


def all_topics_alike(folder: Path) -> None:
    topics = {"e": " Tea ", "j": "tea"}
    write_rows(folder / "questions.jsonl", [{**r, "topic": topics[r["id"][0]]} for r in question_rows()])


def a_folder_for_a_file(folder: Path) -> None:
    (folder / "consent.md").unlink()
    (folder / "consent.md").mkdir()


def a_link_out(folder: Path) -> None:
    (folder.parent / "outside.md").write_text("Consent.", encoding="utf-8")
    (folder / "consent.md").unlink()
    (folder / "consent.md").symlink_to(folder.parent / "outside.md")


def a_dangling_link(folder: Path) -> None:
    (folder / "consent.md").unlink()
    (folder / "consent.md").symlink_to(folder / "nowhere.md")


def a_link_to_itself(folder: Path) -> None:
    (folder / "consent.md").unlink()
    (folder / "consent.md").symlink_to(folder / "consent.md")


def a_pipe(folder: Path) -> None:
    (folder / "consent.md").unlink()
    os.mkfifo(folder / "consent.md")


def fifty_megabytes(name: str) -> Break:
    def apply(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.truncate(50 * 1024 * 1024)

    return apply


def a_misnamed_bank(folder: Path) -> None:
    (folder / "questions.jsonl").rename(folder / "question.jsonl")


# name: how it is broken, the file, the key or line, what the message must say (a regular expression)
BROKEN: dict[str, tuple[Break, str, str, str]] = {
    # the file as such
    "toml_missing": (gone("study.toml"), "study.toml", "", "is missing.*put study.toml"),
    "toml_empty": (content("study.toml", b""), "study.toml", "", "is empty; write it"),
    "toml_blank": (content("study.toml", b" \n\t\n"), "study.toml", "", "is empty"),
    "toml_only_a_comment": (content("study.toml", b"# hello"), "study.toml", "slug", "is missing; add slug"),
    "toml_syntax": (toml("version = 1", "version = = 1"), "study.toml", "line 2", "not valid TOML.*correct"),
    "toml_quote_left_out": (toml('slug = "tea"', "slug = tea"), "study.toml", "line 1", "not valid TOML.*quotes"),
    "toml_key_twice": (toml("version = 1", "version = 1\nversion = 2"), "study.toml", "line 3", "overwrite.*correct"),
    "toml_table_twice": (toml("[wait]", "[pay]\n[wait]"), "study.toml", "line", "twice"),
    "toml_bad_utf8": (content("study.toml", STUDY.encode().replace(b"tea", b"t\xe9")), "study.toml", "line 1",
        "not UTF-8 .*0xe9.*save the file as UTF-8"),
    "toml_utf16": (content("study.toml", STUDY.encode("utf-16")), "study.toml", "line 1", "not UTF-8"),
    "toml_nul": (content("study.toml", STUDY.encode() + b"\0"), "study.toml", "line", "NUL.*plain text"),
    "toml_too_large": (fifty_megabytes("study.toml"), "study.toml", "", "52,428,800 bytes, the limit is 262,144"),
    "toml_nested_values": (toml("version = 1", "version = " + "[" * 5000 + "]" * 5000), "study.toml", "", "too deeply"),
    "toml_nested_keys": (content("study.toml", b"a." * 60_000 + b"a = 1"), "study.toml", "", "too deeply"),
    "toml_number_of_5000_digits": (toml("version = 1", "version = " + "9" * 5000), "study.toml", "", "smaller number"),
    "toml_impossible_date": (toml("version = 1", "version = 2026-02-31"), "study.toml", "line 2", "date.*correct"),
    # keys and values
    "unknown_key": (toml("version = 1", "verison = 1"), "study.toml", "verison",
        "not a known key; did you mean version"),
    "unknown_table": (toml("[wait]", "[waiting_room]"), "study.toml", "waiting_room", "not a known key; .*elicitation"),
    "unknown_key_in_a_table": (toml("shots = 4", "shotz = 4"), "study.toml", "elicitation.shotz", "did you mean shots"),
    "unknown_key_in_a_list": (toml("items = 6", "item = 6"), "study.toml", "comparisons[1].item", "did you mean items"),
    "key_left_out": (toml("items = 6\n", ""), "study.toml", "comparisons[1].items", "is missing; add items"),
    "number_for_text": (toml('title = "Which answer do you like better?"', "title = 3"), "study.toml", "title",
                        "must be text, not the number 3; put it in quotes"),
    "date_for_text": (toml('title = "Which answer do you like better?"', "title = 2026-01-01"), "study.toml", "title",
                      "must be text, not a date.*quotes"),
    "text_for_number": (toml("version = 1", 'version = "1"'), "study.toml", "version",
        "must be a whole number.*without"),
    "true_for_number": (toml("shots = 4", "shots = true"), "study.toml", "elicitation.shots", "whole number, not true"),
    "fraction_of_a_shot": (toml("shots = 4", "shots = 4.5"), "study.toml", "elicitation.shots", "whole number"),
    "text_for_flag": (toml("plain_text = true", 'plain_text = "yes"'), "study.toml", "normalise.plain_text",
        "true or false"),
    "value_for_table": (toml("[wait]\ndeadline_s = 60", "[[wait]]\ndeadline_s = 60"), "study.toml", "wait",
                        "must be a table, not a list"),
    "table_for_value": (toml("version = 1", "version = {a = 1}"), "study.toml", "version", "whole number, not a table"),
    "table_for_list": (toml("[[comparisons]]", "[comparisons]"), "study.toml", "comparisons", "must be a list"),
    "text_for_list": (toml('primary = ["fspo>base"]', 'primary = "fspo>base"'), "study.toml", "analysis.primary",
                      "must be a list.*square brackets"),
    "nan": (toml("top_p = 0.95", "top_p = nan"), "study.toml", "sampling.top_p", "NaN.*write a number"),
    "infinity": (toml("amount = 3.0", "amount = inf"), "study.toml", "pay.amount", "infinity|out of range"),
    "nan_for_a_count": (toml("items = 6", "items = nan"), "study.toml", "comparisons[1].items", "whole number"),
    "huge_number": (toml("version = 1", "version = " + "9" * 30), "study.toml", "version", "far too large.*at most"),
    "negative_count": (toml("probes = 2", "probes = -2"), "study.toml", "elicitation.probes", "-2.*at least 0"),
    "no_shots": (toml("shots = 4", "shots = 0"), "study.toml", "elicitation.shots", "at least 1"),
    "temperature_too_high": (toml("temperature = 0.7", "temperature = 9"), "study.toml",
        "arms.base.sampling.temperature",
                             "out of range; .*at most 2"),
    "top_p_zero": (toml("top_p = 0.95", "top_p = 0"), "study.toml", "sampling.top_p", "over 0"),
    "seed_negative": (toml("seed = 7", "seed = -7"), "study.toml", "sampling.seed", "at least 0"),
    "alpha_too_large": (toml("alpha = 0.05", "alpha = 5"), "study.toml", "analysis.alpha", "under 0.5"),
    "unknown_word": (toml('scale = "choice+strength"', 'scale = "choice+strenght"'), "study.toml", "judging.scale",
                     r'did you mean "choice\+strength"'),
    "unknown_engine": (toml('engine = "scripted"', 'engine = "magic"'), "study.toml", "models.plain.engine",
                       'cannot be the text "magic"; write "scripted"'),
    "slug_with_slashes": (toml('slug = "tea"', 'slug = "../tea"'), "study.toml", "slug", "small letters.*my-study"),
    "slug_with_line_end": (toml('slug = "tea"', 'slug = "tea\\n"'), "study.toml", "slug", "small letters"),
    "slug_with_capitals": (toml('slug = "tea"', 'slug = "Tea"'), "study.toml", "slug", "small letters"),
    "slug_empty": (toml('slug = "tea"', 'slug = ""'), "study.toml", "slug", "small letters"),
    "title_empty": (toml('title = "Which answer do you like better?"', 'title = "  "'), "study.toml", "title",
        "is empty"),
    "title_missing": (toml('title = "Which answer do you like better?"\n', ""), "study.toml", "title", "add title"),
    "title_too_long": (toml("Which answer", "W" * 300), "study.toml", "title", "too long; use at most 200"),
    "title_on_two_lines": (toml("Which answer", "Which\\nanswer"), "study.toml", "title", "several lines"),
    "title_with_bidi_override": (toml("Which", "\u202ehcihW"), "study.toml", "title", r"U\+202E.*type the text again"),
    "title_with_escape": (toml("Which", "\\u001b[31m"), "study.toml", "title", r"U\+001B"),
    "arm_name_with_space": (toml("[arms.base]", '[arms."my base"]'), "study.toml", "arms.my base",
        "a letter, then letters"),
    "secret": (toml('engine = "scripted"', 'engine = "scripted"\napi_key = "s3"'), "study.toml", "models.plain.api_key",
               "come from the environment; remove it"),
    "base_url": (toml('engine = "scripted"', 'engine = "scripted"\nbase_url = "http://x"'), "study.toml",
                 "models.plain.base_url", "come from the environment; remove it"),
    "source_is_an_address": (toml('"bundled:palate-1"', '"https://u:p@host/v1"'), "study.toml", "models.tuned.source",
                             "is an address.*environment"),
    "remote_code": (toml('engine = "scripted"', 'engine = "scripted"\ntrust_remote_code = true'), "study.toml",
                    "models.plain.trust_remote_code", "never allowed.*remove it"),
    "window_upside_down": (toml("words = [20, 60]", "words = [60, 20]"), "study.toml", "normalise.words",
                           r"over the largest.*write \[20, 60\]"),
    "window_of_nothing": (toml("words = [20, 60]", "words = [0, 60]"), "study.toml", "normalise.words[1]",
        "at least 1"),
    "window_with_one_end": (toml("words = [20, 60]", "words = [20]"), "study.toml", "normalise.words[2]", "two whole"),
    "window_with_three_ends": (toml("words = [20, 60]", "words = [1, 2, 3]"), "study.toml", "normalise.words",
        "entries"),
    "not_a_date": (toml("[wait]", '[stopping]\nuntil = "soon"\n[wait]'), "study.toml", "stopping.until", "2027-01-31"),
    "currency_in_words": (toml('currency = "GBP"', 'currency = "pounds"'), "study.toml", "pay.currency",
        "three capital"),
    # between keys
    "missing_model": (toml('model = "plain"', 'model = "plian"'), "study.toml", "arms.base.model",
                      'missing model "plian"; did you mean "plain"'),
    "arm_without_model": (toml('model = "plain"\n', ""), "study.toml", "arms.base.model", "is missing; add model"),
    "unknown_arm": (toml('baseline = "base"', 'baseline = "bass"'), "study.toml", "comparisons[1].baseline",
                    'unknown arm "bass"; did you mean "base"'),
    "arm_against_itself": (toml('baseline = "base"', 'baseline = "fspo"'), "study.toml", "comparisons[1].baseline",
                           "with itself; name another arm"),
    "no_comparison": (toml('[[comparisons]]\ntreatment = "fspo"\nbaseline = "base"\nitems = 6\n', ""), "study.toml",
                      "comparisons", "is missing; add comparisons"),
    "comparison_twice": (toml("items = 6",
        'items = 3\n[[comparisons]]\ntreatment = "fspo"\nbaseline = "base"\nitems = 3'),
                         "study.toml", "comparisons", "twice; write one"),
    "unmatched_sampling": (toml("sampling = { temperature = 0.7 }", "sampling = { temperature = 0.2 }"), "study.toml",
                           "comparisons[1]", "differently .temperature.*differs_because"),
    "more_items_than_questions": (toml("items = 6", "items = 41"), "study.toml", "comparisons",
                                  "41 items and 1 controls need 42 .* has 40 to judge; lower items"),
    "null_counts_as_a_question": (toml("items = 6", "items = 40"), "study.toml", "comparisons", "need 41"),
    "more_shots_than_questions": (toml("shots = 4", "shots = 11"), "study.toml", "elicitation",
                                  "need 13 questions, questions.jsonl has 12 to elicit; lower"),
    "more_repeats_than_shots": (toml("repeats = 1", "repeats = 5"), "study.toml", "elicitation.repeats",
        "only 4 shots"),
    "arm_sees_more_than_given": (toml('"own_shots"\nshots = 4', '"own_shots"\nshots = 5'), "study.toml",
                                 "arms.fspo.shots", "is 5, but a participant gives 4; lower"),
    "own_shots_without_shots": (toml('"own_shots"\nshots = 4', '"own_shots"\nshots = 0'), "study.toml",
                                "arms.fspo.shots", "is 0.*raise it"),
    "shots_without_context": (toml('context = "none"', 'context = "none"\nshots = 2'), "study.toml", "arms.base.shots",
                              "context is .none.; remove it"),
    "own_shots_shared": (toml('"own_shots"\nshots = 4', '"own_shots"\nshots = 4\nsamples = "shared"'), "study.toml",
                         "arms.fspo.samples", "per_seat"),
    "instruction_in_fspo_layout": (toml('layout = "chat"', 'layout = "fspo"'), "study.toml", "arms.base.instruction",
                                   "no place in the layout.*chat"),
    "transformers_without_source": (toml('source = "bundled:palate-1"\n', ""), "study.toml", "models.tuned.source",
                                    "is missing for the engine transformers; give a path"),
    "bundled_model_outside": (toml("bundled:palate-1", "bundled:../../etc"), "study.toml", "models.tuned.source",
                              "bundled:palate-1"),
    "null_without_arm": (toml('kind = "null"\narm = "base"', 'kind = "null"'), "study.toml", "controls[1].arm",
                         "is missing for the control null; name an arm"),
    "null_of_personal_texts": (toml('kind = "null"\narm = "base"', 'kind = "null"\narm = "fspo"'), "study.toml",
                               "controls[1].arm", "own_shots.*context = .none"),
    "null_of_unknown_arm": (toml('kind = "null"\narm = "base"', 'kind = "null"\narm = "bas"'), "study.toml",
                            "controls[1].arm", 'did you mean "base"'),
    "repeat_with_an_arm": (toml("lag = 3", 'lag = 3\narm = "base"'), "study.toml", "controls[2].arm", "means nothing"),
    "repeat_of_too_many": (toml('kind = "repeat"\nitems = 1', 'kind = "repeat"\nitems = 7'), "study.toml",
                           "controls[2].items", "only 6; lower it to 6"),
    "lag_too_long": (toml("lag = 3", "lag = 9"), "study.toml", "controls[2].lag", "only 8 other pairs; lower it to 8"),
    "control_twice": (toml('kind = "null"\narm = "base"', 'kind = "attention"'), "study.toml", "controls",
                      "attention stands there 2 times; write one"),
    "attention_without_bank": (gone("attention.jsonl"), "study.toml", "controls[3].items",
                               "needs 1 attention pairs, attention.jsonl has 0; add rows"),
    "attention_bank_too_small": (toml('kind = "attention"\nitems = 1', 'kind = "attention"\nitems = 3'), "study.toml",
                                 "controls[3].items", "has 2; add rows"),
    "primary_of_no_comparison": (toml('["fspo>base"]', '["base>fspo"]'), "study.toml", "analysis.primary",
                                 'no comparison; .*"fspo>base"'),
    "primary_twice": (toml('["fspo>base"]', '["fspo>base", "fspo>base"]'), "study.toml", "analysis.primary", "twice"),
    "primary_and_secondary": (toml("alpha = 0.05", 'secondary = ["fspo>base"]'), "study.toml", "analysis.secondary",
                              "is primary; keep it in one"),
    "fewer_seats_than_people": (toml("max_enrolled = 24", "max_enrolled = 19"), "study.toml", "max_enrolled",
                                "fewer than the 20.*raise it to 20"),
    "exit_over_http": (toml("https://app", "http://app"), "study.toml", "exits.completed",
        "not an https address; write"),
    "exit_script": (toml('"STOP-1"', '"javascript:alert(1)"'), "study.toml", "exits.stopped", "not an https address"),
    "exit_with_password": (toml("https://app", "https://me:pw@app"), "study.toml", "exits.completed", "not an https"),
    "exit_with_unknown_placeholder": (toml("{session}", "{arm}"), "study.toml", "exits.completed",
                                      "holds {arm}; only {participant} and {session}"),
    "exit_code_with_space": (toml('"STOP-1"', '"STOP 1"'), "study.toml", "exits.stopped", "not a completion code; use"),
    "pay_without_currency": (toml('currency = "GBP"\n', ""), "study.toml", "pay.currency", "is missing; add currency"),
    "currency_without_pay": (toml("amount = 3.0\n", ""), "study.toml", "pay.amount", "is missing; add the pay"),
    "same_topic_everywhere": (all_topics_alike, "study.toml", "elicitation.overlap", "add questions on other topics"),
    "exclusion_twice": (toml("[wait]", '[[exclusions]]\nid = "x"\nmetric = "minutes"\nop = "<"\nvalue = 1\n' * 2
                             + "[wait]"), "study.toml", "exclusions", "has the id .x. twice"),
    "exclusion_by_nothing_known": (
        toml("[wait]", '[[exclusions]]\nid = "x"\nmetric = "median_judgement_s"\nop = "<"\nvalue = 1\n[wait]'),
        "study.toml", "exclusions[1].metric", "unknown metric .median_judgement_s.; did you mean .median_judgment_s"),
    "exclusion_called_as_a_set": (
        toml("[wait]", '[[exclusions]]\nid = "itt"\nmetric = "minutes"\nop = "<"\nvalue = 1\n[wait]'),
        "study.toml", "exclusions[1].id", "a set that every study has; choose another id"),
    "study_in_and_out": (toml("[wait]", '[eligibility]\nnot_in = ["a"]\nonly_in = ["a"]\n[wait]'), "study.toml",
                         "eligibility.only_in", "keep it in one"),
    "form_without_file": (toml("[wait]", '[[forms]]\nid = "f"\nat = "before_shots"\nfile = "forms/f.toml"\n[wait]'),
                          "study.toml", "forms[1].file", "missing file .forms/f.toml.; put it"),
    "adapter_without_a_place": (toml('layout = "fspo"', 'layout = "fspo"\nadapter = "lora"'), "study.toml",
                                "models.tuned.adapter", "transformers; use one of vllm, openai"),
    "reference_to_no_model": (toml('layout = "fspo"', 'layout = "fspo"\nreference = "x"'), "study.toml",
                              "models.tuned.reference", "missing model"),
    # documents
    "consent_missing": (gone("consent.md"), "consent.md", "", "is missing; put consent.md into the folder"),
    "consent_empty": (content("consent.md", b""), "consent.md", "", "is empty; write it"),
    "consent_blank": (content("consent.md", b"\xef\xbb\xbf \r\n"), "consent.md", "", "is empty; write it"),
    "consent_bad_utf8": (content("consent.md", b"Yes.\n\xff"), "consent.md", "line 2", "not UTF-8.*0xff"),
    "consent_with_bidi_override": (content("consent.md", "Yes.\n\u202eNo.".encode()), "consent.md", "line 2",
        r"U\+202E"),
    "consent_is_a_folder": (a_folder_for_a_file, "consent.md", "", "is not a file; put a text file"),
    "consent_is_a_pipe": (a_pipe, "consent.md", "", "is not a file"),
    "consent_links_out": (a_link_out, "consent.md", "", "outside the study folder; put the file itself"),
    "consent_links_nowhere": (a_dangling_link, "consent.md", "", "cannot be read.*readable"),
    "consent_links_to_itself": (a_link_to_itself, "consent.md", "", "cannot be read.*readable"),
    "consent_too_large": (fifty_megabytes("consent.md"), "consent.md", "", "the limit is 1,048,576; make it smaller"),
    "instructions_missing": (gone("instructions.md"), "instructions.md", "", "is missing"),
    "debrief_missing": (gone("debrief.md"), "debrief.md", "", "is missing"),
    # banks
    "questions_missing": (gone("questions.jsonl"), "questions.jsonl", "", "is missing; put questions.jsonl"),
    "questions_misnamed": (a_misnamed_bank, "questions.jsonl", "", "rename 'question.jsonl' to questions.jsonl"),
    "questions_empty": (content("questions.jsonl", b""), "questions.jsonl", "", "is empty"),
    "questions_too_large": (fifty_megabytes("questions.jsonl"), "questions.jsonl", "", "the limit is 20,971,520"),
    "question_is_not_json": (line("questions.jsonl", 2, "{id: 1}"), "questions.jsonl", "line 3",
        "not valid JSON.*write one"),
    "question_is_a_list": (line("questions.jsonl", 2, "[1]"), "questions.jsonl", "line 3", "not an object; write one"),
    "question_has_nan": (line("questions.jsonl", 2, '{"id": NaN}'), "questions.jsonl", "line 3", "NaN.*correct"),
    "question_has_a_key_twice": (line("questions.jsonl", 2, '{"id": "a", "id": "b"}'), "questions.jsonl", "line 3",
                                 "key 'id' twice; correct"),
    "question_is_nested": (line("questions.jsonl", 2, "[" * 100_000), "questions.jsonl", "line 3",
        "deeply|not valid JSON"),
    "question_has_a_huge_number": (line("questions.jsonl", 2, '{"id": ' + "9" * 5000 + "}"), "questions.jsonl",
        "line 3",
                                   "smaller number"),
    "question_with_surrogate": (line("questions.jsonl", 2, '{"id": "x", "use": "judge", "domain": "d", "topic": "t", '
                                     '"text": "a\\ud800"}'), "questions.jsonl", "line 3: text", "half a character"),
    "question_with_nul": (row("questions", 2, text="a\0b"), "questions.jsonl", "line 3: text", r"U\+0000"),
    "question_number_for_id": (row("questions", 2, id=3), "questions.jsonl", "line 3: id", "must be text.*quotes"),
    "question_without_text": (row("questions", 2, text=...), "questions.jsonl", "line 3: text", "is missing; add text"),
    "question_without_topic": (row("questions", 2, topic=" "), "questions.jsonl", "line 3: topic", "is empty; write"),
    "question_unknown_use": (row("questions", 2, use="ask"), "questions.jsonl", "line 3: use",
        'write "elicit" or "judge"'),
    "question_unknown_key": (row("questions", 2, txt="?"), "questions.jsonl", "line 3: txt", "did you mean text"),
    "question_twice": (row("questions", 2, id="e1"), "questions.jsonl", "line 3: id", "id .e1. of line 2; give each"),
    "question_asked_twice": (row("questions", 2, text="WHAT of  tea 1?"), "questions.jsonl", "line 3: text",
                             "same question as line 2; remove"),
    "question_with_a_path_for_id": (row("questions", 2, id="../e"), "questions.jsonl", "line 3: id", "letters, digits"),
    "one_candidate": (one_candidate_fewer, "questions.jsonl", "line 1: id", "1 candidate.*at least two"),
    "no_questions_to_judge": (without_question("j", 0), "study.toml", "comparisons", "has 0 to judge"),
    "candidate_of_unknown_question": (row("candidates", 4, question="e99"), "candidates.jsonl", "line 5: question",
                                      'unknown question "e99"; did you mean'),
    "candidate_of_a_judged_question": (row("candidates", 4, question="j1"), "candidates.jsonl", "line 5: question",
                                       "to be judged; name a question"),
    "candidate_too_short": (row("candidates", 4, text="Too short."), "candidates.jsonl", "line 5: text",
                            r"has 2 words, outside \[5, 12\]; rewrite"),
    "candidate_too_long": (row("candidates", 4, text="word " * 13), "candidates.jsonl", "line 5: text", "has 13 words"),
    "candidate_twice": (row("candidates", 4, id="e0-one"), "candidates.jsonl", "line 5: id", "of line 1; give each"),
    "candidate_copied": (row("candidates", 1, text=candidate_rows()[0]["text"]), "candidates.jsonl", "line 2: text",
                         "another candidate.*differs"),
    "candidate_with_escape": (row("candidates", 4, text="one two three four five\x1b[0m"), "candidates.jsonl",
                              "line 5: text", r"U\+001B"),
    "candidates_bad_utf8": (content("candidates.jsonl", b'{"id": "\xff"}'), "candidates.jsonl", "line 1", "not UTF-8"),
    "attention_twice": (row("attention", 1, id="a0"), "attention.jsonl", "line 2: id", "of line 1"),
    "attention_named_like_a_question": (row("attention", 1, id="e1"), "attention.jsonl", "line 2: id",
        "id of a question"),
    "attention_texts_alike": (row("attention", 1, other="Choose  this text."), "attention.jsonl", "line 2: other",
                              "expected text again; write"),
    "attention_empty": (content("attention.jsonl", b"\n"), "attention.jsonl", "", "is empty; write it or remove it"),
}  # fmt: skip
