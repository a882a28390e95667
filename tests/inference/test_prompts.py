"""The prompt is byte-exact, shots are dropped whole and oldest first, and a bad request is told what is wrong."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.contracts import GenerationRequest, ModelSpec, PermanentError, Prompt, Shot
from inference.prompts import build, chat_messages, description_target, fspo_prompt, fspo_target, main

GOLDEN = Path(__file__).parent / "golden"
SOURCE = json.loads((GOLDEN / "source.json").read_text())
SHOTS = tuple(Shot(**shot) for shot in SOURCE["shots"])
QUESTION, DESCRIPTION = SOURCE["question"], SOURCE["description"]
REQUEST = GenerationRequest(
    model=ModelSpec("scripted", "none"), layout="fspo", question=QUESTION, shots=SHOTS, rationale=False
)

GOLDENS = [
    *((f"{n}_shots_plain", n, False, False) for n in (0, 1, 4, 8)),
    *((f"{n}_shots_rat_step1", n, True, False) for n in (0, 1, 4, 8)),
    *((f"{n}_shots_rat_step2", n, True, True) for n in (1, 4, 8)),
    ("oracle", 0, False, True),
]


@pytest.mark.parametrize(("name", "shots", "rationale", "described"), GOLDENS)
def test_the_fspo_prompt_is_the_golden_file_byte_for_byte(
    name: str, shots: int, rationale: bool, described: bool
) -> None:
    description = DESCRIPTION if described else None
    prompt = fspo_prompt(QUESTION, SHOTS[:shots], rationale=rationale, description=description)
    assert prompt.encode() == (GOLDEN / f"{name}.txt").read_bytes()


def test_one_missing_trailing_space_is_noticed() -> None:
    golden = (GOLDEN / "1_shots_plain.txt").read_text()
    assert fspo_prompt(QUESTION, SHOTS[:1]) != golden.replace("## Question \n", "## Question\n", 1)


def test_targets_carry_their_heading_and_one_newline() -> None:
    assert fspo_target("\n A fine answer. ") == "## Preferred Response \nA fine answer.\n"
    assert description_target(" Likes tea. ") == "## User Description\nLikes tea.\n"


@given(st.text(), st.lists(st.tuples(st.text(), st.text(), st.text()), max_size=4), st.booleans())
def test_every_text_ends_up_in_the_prompt_stripped(
    question: str, texts: list[tuple[str, str, str]], rationale: bool
) -> None:
    prompt = fspo_prompt(question, [Shot(*each) for each in texts], rationale=rationale)
    assert prompt.endswith(f"## Question \n{question.strip()}\n")
    for number, (asked, preferred, dispreferred) in enumerate(texts, start=1):
        block = f"# Example {number}\n## Question \n{asked.strip()}\n## Preferred Response \n{preferred.strip()}\n"
        assert f"{block}## Dispreferred Response \n{dispreferred.strip()}\n\n" in prompt


# ---- build


def words_at_most(limit: int) -> Any:
    def fits(prompt: Prompt) -> bool:
        text = prompt.text if prompt.text is not None else str(prompt.messages)
        return len(text.split()) <= limit

    return fits


@pytest.mark.parametrize("layout", ["fspo", "chat"])
def test_too_long_a_context_loses_whole_shots_oldest_first(layout: Any) -> None:
    request = replace(REQUEST, layout=layout)
    whole = build(request)
    assert (whole.shots_used, whole.shots_dropped) == (8, 0)
    fits = words_at_most(120)
    prompt = build(request, fits=fits)
    assert 0 < prompt.shots_used < 8
    assert prompt.shots_used + prompt.shots_dropped == 8
    expected = build(replace(request, shots=SHOTS[prompt.shots_dropped :]))
    assert (prompt.text, prompt.messages) == (expected.text, expected.messages)
    assert not fits(build(replace(request, shots=SHOTS[prompt.shots_dropped - 1 :])))


def test_a_question_that_never_fits_says_what_to_do() -> None:
    with pytest.raises(PermanentError, match=r"does not fit the context .* 0 of 8 shots: shorten"):
        build(REQUEST, fits=lambda _: False)


def test_a_description_keeps_at_least_one_shot() -> None:
    request = replace(REQUEST, purpose="description")
    with pytest.raises(PermanentError, match="1 of 8 shots"):
        build(request, fits=lambda prompt: prompt.shots_used == 0)
    with pytest.raises(PermanentError, match="give at least one shot"):
        build(replace(request, shots=()))


def test_rat_step_one_stops_at_the_next_heading_and_step_two_answers() -> None:
    first = build(replace(REQUEST, rationale=True, purpose="description"))
    assert first.text == (GOLDEN / "8_shots_rat_step1.txt").read_text()
    assert "\n## " in first.stop
    second = build(replace(REQUEST, rationale=True, description=DESCRIPTION))
    assert second.text == (GOLDEN / "8_shots_rat_step2.txt").read_text()
    assert not any("\n## Preferred Response".startswith(stop) for stop in second.stop)


def test_the_oracle_is_zero_shots_and_a_description() -> None:
    assert build(replace(REQUEST, shots=(), description=DESCRIPTION)).text == (GOLDEN / "oracle.txt").read_text()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"layout": "alpaca"}, "layout 'alpaca' is unknown: use one of fspo, chat"),
        ({"question": " \n"}, "question is empty"),
        ({"instruction": "Be brief."}, "no place for an instruction"),
    ],
)
def test_an_impossible_request_is_refused_for_good(change: dict[str, Any], told: str) -> None:
    with pytest.raises(PermanentError, match=told):
        build(replace(REQUEST, **change))


# ---- chat


def test_without_shots_the_chat_is_the_bare_question() -> None:
    assert chat_messages(" Why? ") == [{"role": "user", "content": "Why?"}]


def test_the_chat_holds_instruction_first_then_shots_in_order_then_the_question() -> None:
    system, user = chat_messages("Why?", SHOTS[:2], instruction="About 250 words, plain paragraphs.")
    assert system == {"role": "system", "content": "About 250 words, plain paragraphs."}
    places = [user["content"].index(text) for text in (SHOTS[0].preferred.strip(), SHOTS[1].preferred.strip())]
    assert places == sorted(places)
    assert user["content"].endswith("Question: Why?")


def test_the_chat_says_which_answer_was_preferred() -> None:
    turned = Shot(SHOTS[0].question, SHOTS[0].dispreferred, SHOTS[0].preferred)
    assert chat_messages("Why?", SHOTS[:1]) != chat_messages("Why?", [turned])


def test_a_chat_description_is_asked_for_and_then_used() -> None:
    (asked,) = chat_messages("Why?", SHOTS[:1], describe=True)
    assert "describe what this person likes" in asked["content"]
    (used,) = chat_messages("Why?", SHOTS[:1], description=DESCRIPTION)
    assert DESCRIPTION.strip() in used["content"]


# ---- python -m inference.prompts


def run(raw: bytes) -> subprocess.CompletedProcess[bytes]:
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "inference.prompts"], input=raw, capture_output=True, cwd=root, timeout=60, check=False
    )


def test_the_command_writes_exactly_the_prompts_bytes() -> None:
    request = {
        "layout": "fspo",
        "question": QUESTION,
        "rationale": False,
        "shots": SOURCE["shots"],
        "description": None,
    }
    done = run(json.dumps(request).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (GOLDEN / "8_shots_plain.txt").read_bytes()


def test_the_command_writes_the_chat_as_json_and_takes_a_stored_request() -> None:
    request = replace(REQUEST, layout="chat", instruction="Be brief.")
    done = run(json.dumps(request.to_json()).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout) == chat_messages(QUESTION, SHOTS, instruction="Be brief.")


BAD = {
    "empty": (b"", b"invalid JSON"),
    "cut": (b'{"layout": "fspo", ', b"line 1 column"),
    "list": (b"[]", b"should be an object"),
    "no question": (b'{"layout": "fspo"}', b"question: field required"),
    "no layout": (b'{"question": "Why?"}', b"layout: field required"),
    "layout": (b'{"layout": "alpaca", "question": "Why?"}', b"'fspo' or 'chat'"),
    "number": (b'{"layout": "fspo", "question": 7}', b"question: input should be a valid string"),
    "word for truth": (b'{"layout": "fspo", "question": "Why?", "rationale": "no"}', b"rationale: "),
    "shots": (b'{"layout": "fspo", "question": "Why?", "shots": "none"}', b"shots: "),
    "shot": (
        b'{"layout": "fspo", "question": "Why?", "shots": [{"question": "A"}]}',
        b"shots.0.preferred: field required",
    ),
    "unknown key": (b'{"layout": "fspo", "question": "Why?", "rational": true}', b"rational: extra"),
    "blank": (b'{"layout": "fspo", "question": "  "}', b"question: string should have at least 1"),
    "instruction": (b'{"layout": "fspo", "question": "Why?", "instruction": "x"}', b"no place for an instruction"),
    "half a surrogate": (b'{"layout": "fspo", "question": "\\ud800"}', b"invalid JSON"),
    "latin-1": ('{"layout": "fspo", "question": "é"}'.encode("latin-1"), b"invalid"),
    "deep": (b"[" * 100_000, b"recursion limit"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_a_message_and_exit_2(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, told = BAD[name]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw)))
    assert main() == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert told.decode() in err


def test_the_process_itself_ends_with_2_and_no_traceback() -> None:
    done = run(b'{"layout": "fspo"}')
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"question: field required" in done.stderr
    assert b"Traceback" not in done.stderr
