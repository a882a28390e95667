"""Every text gets one treatment: headings off, plain paragraphs, nothing hidden, length measured, leaks flagged."""

from __future__ import annotations

import inspect
import re
import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from inference.contracts import Shot, Window
from inference.normalise import (
    _HINTS,
    _ONE_CHARACTER,
    _ONE_WORD,
    _PROSE,
    Normalised,
    _bare_words,
    _clean,
    _folded,
    _is_degenerate,
    _parsed,
    _plain,
    _told,
    normalise,
)
from inference.prompts import description_target, fspo_prompt, fspo_target

ANSWER = "A good neighbour listens. They lend a ladder and ask for nothing back."
WINDOW = Window(min_words=10, max_words=20)
SHOT = Shot("Is tea good?", "Tea calms the mind and keeps a long evening going nicely.", "Coffee is the better drink.")


def shown(raw: str, **given_: object) -> str:
    return normalise(raw, **given_).shown  # type: ignore[arg-type]


def flags(raw: str, **given_: object) -> tuple[str, ...]:
    return normalise(raw, **given_).flags  # type: ignore[arg-type]


# ---- sections


@pytest.mark.parametrize(
    "raw",
    [
        fspo_target(ANSWER),
        ANSWER,
        f"## Preferred Response \n{ANSWER}\n## Dispreferred Response \nWorse.\n",
        f"{ANSWER}\n\n# Task\nGenerate a response",
        f"{ANSWER}\n# Example 2\n## Question \nWhy?",
        description_target("Likes kindness.") + fspo_target(ANSWER),
        f"## Question \nWhy?\n{fspo_target(ANSWER)}",
        f"### preferred response:\n\n{ANSWER}",
        f"## Preferred Response {ANSWER}",
        f"**Preferred Response:** {ANSWER}",
    ],
)
def test_only_the_answer_is_left_of_an_fspo_completion(raw: str) -> None:
    assert normalise(raw) == Normalised(ANSWER, 13, None, False, 0, ())


def test_a_description_is_taken_when_a_description_was_asked_for() -> None:
    raw = description_target("Likes kindness.") + fspo_target(ANSWER)
    assert shown(raw, purpose="description") == "Likes kindness."
    assert shown("Likes kindness.\n## Preferred Response \nMore", purpose="description") == "Likes kindness."


def test_a_description_alone_is_no_answer() -> None:
    assert normalise(description_target("Likes kindness.")).reject == "empty"


# ---- plain paragraphs


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("**Bold** and *soft* and `code` and ~~gone~~.", "Bold and soft and code and gone."),
        ("One.\nstill one.\n\n\n\nTwo.", "One. still one.\n\nTwo."),
        ("- first\n- second!\n- third", "first. second! third."),
        ("1. first\n2. second\n   - nested", "first. second nested."),
        ("1984. That year began badly.", "1984. That year began badly."),
        ("# Why cars\n\nThey are quick.", "Why cars. They are quick."),
        ("**Why cars**\n\nThey are quick.", "Why cars. They are quick."),
        ("Why cars\n--------\nThey are quick.", "Why cars. They are quick."),
        ("[a link](https://example.org) and ![a picture](x.png)", "a link and a picture"),
        ("> quoted\n\n---\n\nafter", "quoted\n\nafter"),
        ("```python\nx = 1\ny = 2\n```", "x = 1 y = 2"),
        ("| a | b |\n|---|---|\n| c | d |", "a, b. c, d."),
        ("A <b>bold</b> <script>alert(1)</script> tag", "A bold alert(1) tag"),
        ("<script>alert(1)</script>\n\nSafe.", "Safe."),
        ("<div>Kept</div>", "Kept"),
        ("Tom &amp; Ann, 3 < 4, I <3 you", "Tom & Ann, 3 < 4, I <3 you"),
        ("    indented is a paragraph", "indented is a paragraph"),
        (r"a \*star\*", "a star"),
    ],
)
def test_markdown_becomes_plain_paragraphs(raw: str, expected: str) -> None:
    assert shown(raw) == expected


def test_a_study_that_wants_no_plain_text_keeps_its_markdown() -> None:
    window = Window(1, 50, plain_text=False)
    assert shown("## Preferred Response \n- a\n- **b**\n\n\n\nc", window=window) == "- a\n- **b**\n\nc"


def test_characters_that_hide_or_reorder_text_are_gone() -> None:
    assert shown("ab\u202ec\u200bd\u00ad\x07e\ufeff f\u00a0g\ud800h\U000e0041") == "abcde f gh"
    assert shown("e\u0301") == "\u00e9"
    assert shown("one\r\n\r\ntwo\u2029\u2028three") == "one\n\ntwo\n\nthree"


# ---- length and hard reasons


@pytest.mark.parametrize(("words", "distance"), [(9, 1), (10, 0), (20, 0), (23, 3)])
def test_the_window_is_inclusive_and_the_distance_counts_words(words: int, distance: int) -> None:
    text = " ".join(f"word{number}" for number in range(words))
    result = normalise(text, WINDOW)
    assert (result.words, result.distance, result.outside_window) == (words, distance, distance > 0)
    assert result.reject is None


@pytest.mark.parametrize("raw", ["", " \n", "## Preferred Response \n", "***", "...", "\u200b", "---\n\n> "])
def test_nothing_to_read_is_empty(raw: str) -> None:
    assert normalise(raw, WINDOW).reject == "empty"


def test_a_text_cut_by_the_token_limit_is_truncated_unless_a_heading_closed_it() -> None:
    assert normalise(ANSWER, finish_reason="length").reject == "truncated"
    assert normalise(f"{ANSWER}\n## Question \nWhy", finish_reason="length").reject is None


@pytest.mark.parametrize(
    "raw",
    [
        "the " * 8,
        "A dog runs in the park. " * 4,
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        " ".join(["one two three four five six seven"] * 5),
    ],
)
def test_a_loop_is_degenerate(raw: str) -> None:
    assert normalise(raw).reject == "degenerate"


def test_an_ordinary_text_is_not_degenerate() -> None:
    text = (
        "I would ban cars from the centre, and I would do it soon. The streets are narrow, the air is poor, and the "
        "shops would gain more than they fear. Yes, some people need a car; give them a pass. No, no, it will not be "
        "easy. The streets are worth it, and so are the people who live on them."
    )
    assert normalise(text).reject is None
    assert flags(text) == ()


# ---- flags


@pytest.mark.parametrize(
    ("raw", "flag"),
    [
        ("As you preferred earlier, here is a short answer.", "refers_to_preferences"),
        ("Since you like plain words, rain is water.", "refers_to_preferences"),
        ("Based on your preferences, take the bus.", "refers_to_preferences"),
        ("This is tailored to you.", "refers_to_preferences"),
        ("As in the examples above, be kind.", "refers_to_examples"),
        ("My previous answer was longer.", "refers_to_examples"),
        ("As an AI, I cannot taste tea.", "names_a_model"),
        ("ChatGPT would say tea.", "names_a_model"),
        ("I'm Claude and I like tea.", "names_a_model"),
        ("Ask Palate-1 about tea.", "names_a_model"),
        ("So says Tea calms the mind and keeps a long evening going nicely.", "copies_shot"),
        ("The preferred response is tea.", "heading_left"),
        (
            "Generate a user description based on the examples above. Then, generate a preferred response.",
            "echoes_prompt",
        ),
    ],
)
def test_what_could_give_an_arm_away_is_flagged(raw: str, flag: str) -> None:
    prompt = fspo_prompt("Is tea good?", [SHOT], rationale=True)
    assert flag in flags(raw, prompt=prompt, shots=[SHOT], names=["palate-1"])


@pytest.mark.parametrize(
    "raw",
    [
        "If you prefer tea, drink tea. You like what you like. It depends on your taste and your choices.",
        "For example, a neighbour who lends a ladder.",
        "Claude Monet painted a llama under the sign of Gemini, as an aide remarked.",
        "The book is better than any previous book. Choose your own way.",
        "Is tea good? Yes.",
    ],
)
def test_innocent_words_are_not_flagged(raw: str) -> None:
    assert flags(raw, prompt=fspo_prompt("Is tea good?", [SHOT]), shots=[SHOT], names=["palate-1"]) == ()


def test_one_stock_sentence_in_a_longer_text_is_no_copy_but_a_long_one_is() -> None:
    rest = (
        " A neighbour lends a ladder in the rain, and asks for it back when the sun is out. Is that not enough for us?"
    )
    assert "copies_shot" not in flags(SHOT.preferred + rest, shots=[SHOT])
    long = Shot(
        "Why?", "Whoever lends a ladder to the street will find that the street brings it back on Sunday.", "No."
    )
    assert "copies_shot" in flags(long.preferred + rest * 3, shots=[long])


def test_the_treatment_cannot_depend_on_the_arm() -> None:
    assert set(inspect.signature(normalise).parameters) == {
        "raw", "window", "prompt", "names", "shots", "finish_reason", "purpose",
    }  # fmt: skip


# ---- properties

PIECES = st.sampled_from(
    [
        *(
            "## Preferred Response \n",
            "## User Description\n",
            "# Task\n",
            "# Example 3\n",
            "\\",
            "*",
            "_",
            "`",
            "```\n",
        ),
        *(
            "&amp;",
            "&#35;",
            "<b>",
            "<!--",
            "- ",
            "1. ",
            "2) ",
            "12. ",
            "> ",
            "| a | b |\n",
            "|---|---|\n",
            "\n",
            "\n\n",
        ),
        *("    ", "===\n", "---\n", "word", "Two words. ", "\u00e9", "\u202e", "\x00", "\ud83d", "[x](y)", "[x]: y\n"),
        *("![", "~~", "https://x.y", "#"),
    ]
)
TEXTS = st.one_of(st.text(), st.lists(PIECES, max_size=25).map("".join))


@settings(max_examples=300, deadline=None)
@given(TEXTS)
@example("&amp;" + "amp;" * 40 + "lt;")
@example("\\" * 60 + "# Task")
@example("1. " * 60 + "x")
@example("> " * 60 + "- " * 60 + "# x")
def test_treating_a_treated_text_changes_nothing(raw: str) -> None:
    once = normalise(raw, WINDOW)
    twice = normalise(once.shown, WINDOW)
    assert twice.shown == once.shown
    assert twice.words == once.words == len(once.shown.split())


@settings(max_examples=300, deadline=None)
@given(TEXTS)
def test_what_is_shown_is_clean(raw: str) -> None:
    text = shown(raw)
    hidden = {"Cc", "Cf", "Cs", "Co"}
    assert not [c for c in text if unicodedata.category(c) in hidden and c not in "\n\u200c\u200d"]
    assert unicodedata.is_normalized("NFC", text)
    assert all(paragraph == " ".join(paragraph.split()) != "" for paragraph in text.split("\n\n")) or text == ""


@settings(max_examples=50, deadline=None)
@given(TEXTS, TEXTS, st.lists(st.text(max_size=5)))
def test_order_decides_nothing(first: str, second: str, names: list[str]) -> None:
    forth = [normalise(raw, WINDOW, names=names, shots=[SHOT]) for raw in (first, second)]
    back = [normalise(raw, WINDOW, names=names[::-1], shots=[SHOT]) for raw in (second, first)]
    assert forth == back[::-1]


@given(st.text(st.sampled_from("ab Z09 ,.;:?!'\"()%/-\n\n  "), max_size=60))
@example("A line\n- a list\nmore")
@example("One.  \nTwo.\n\n\n(Three)\n")
@example("a\n--\nb")
@example("a\n 1. b")
@example("a\n:-\nb")
def test_prose_is_read_without_a_parser_just_as_with_it(text: str) -> None:
    assert _plain(_clean(text)) == _parsed(_clean(text))


def test_some_prose_takes_the_short_way() -> None:
    assert _PROSE.fullmatch('It is plain. Isn\'t it (nearly)?\n\n"Yes", 9 of 10 said; half-way/50%!\n')
    others = ("- a", "a\n1. b", "a *b*", "# a", "a\n---", "a & b", "a | b", " a", "é", "`")
    assert not any(map(_PROSE.fullmatch, others))


@settings(max_examples=60)
@given(st.sampled_from(sorted(_HINTS, key=str)), st.data())
def test_whatever_a_pattern_finds_holds_one_of_its_hints(pattern: re.Pattern[str], data: st.DataObject) -> None:
    text = data.draw(st.from_regex(pattern))
    assert _told(pattern, text, _folded(text))


@settings(max_examples=40)
@given(st.one_of(st.from_regex(_ONE_CHARACTER), st.from_regex(_ONE_WORD)))
@example("Ja, ja, JA ja-ja ja!")
@example("é" * 20)
def test_a_loop_is_found_by_the_look_at_its_words(text: str) -> None:
    assert _is_degenerate(text, _bare_words(text))
