"""The openai engine against a server that misbehaves: what is sent, what is tried again, what is said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity

from inference.contracts import (
    Completion,
    EngineRequest,
    ModelSpec,
    PermanentError,
    Prompt,
    Sampling,
    TransientError,
)
from inference.engines import Engine, load_engine
from tests.inference.openai_server import MODEL, Script, serving

PLAIN = Prompt("# Task\nWhat is new?\n", None, ("\n#",), 0, 0)
CHAT = Prompt(None, ({"role": "user", "content": "What is new?"},), (), 0, 0)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between tries of a hundredth of their length."""
    pause = tenacity.wait_random_exponential(multiplier=0.0025, max=0.08)
    monkeypatch.setattr("inference.engines.servers.PAUSES", pause)


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def url(script: Script, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with serving(script) as address:
        monkeypatch.setenv("PALATE_OPENAI_URLS", address)
        yield address


def engine(**options: object) -> Engine:
    return load_engine(ModelSpec("openai", MODEL, options=dict(options)), bundled_root=Path("/nowhere"))


def ask(prompt: Prompt = PLAIN, seed: int = 5, adapter: str | None = None) -> EngineRequest:
    return EngineRequest(f"r{seed}", prompt, Sampling(0.7, 0.95, 16), seed, adapter)


def test_tokens_go_out_without_any_in_front_and_everything_comes_back(script: Script, url: str) -> None:
    (answer,) = engine().generate([ask(seed=2**63 + 5)])
    assert answer == Completion(f"r{2**63 + 5}", "answer 5", "stop", 11, 2, 8, PLAIN.text)
    (tokenised, *_) = [body for path, body, _ in script.seen if path == "/tokenize" and body["prompt"] == PLAIN.text]
    assert tokenised["add_special_tokens"] is False
    (sent,) = script.completions()
    assert sent["prompt"] == script.tokens(PLAIN.text or "")
    assert (sent["model"], sent["stop"], sent["temperature"], sent["top_p"]) == (MODEL, ["\n#"], 0.7, 0.95)


def test_a_server_that_does_not_tokenise_gets_text_and_a_chat_gets_messages(script: Script, url: str) -> None:
    script.can_tokenize = False
    found = engine()
    assert all(isinstance(each, Completion) for each in found.generate([ask(), ask(CHAT, adapter="lora-1")]))
    sent = {body["model"]: body for body in script.completions()}
    assert sent[MODEL]["prompt"] == PLAIN.text
    assert sent["lora-1"]["messages"] == list(CHAT.messages or ())


def test_context_is_the_servers_and_counted_by_it(script: Script, url: str) -> None:
    found = engine()
    assert found.facts.max_context == 64
    assert found.fits(Prompt("word " * 48, None, (), 0, 0), Sampling(max_tokens=16))
    assert not found.fits(Prompt("word " * 49, None, (), 0, 0), Sampling(max_tokens=16))
    assert found.facts.versions["server"] == "9.9"


def test_an_option_may_shorten_the_context_and_never_lengthen_it(script: Script, url: str) -> None:
    assert engine(max_context=32).facts.max_context == 32
    with pytest.raises(PermanentError, match="up to 64"):
        engine(max_context=65)
    script.max_model_len = None
    with pytest.raises(PermanentError, match="give a whole number of tokens"):
        engine()


@pytest.mark.parametrize("failures", [[429], [500, 503], [0], [0, 429, 502]])
def test_what_may_pass_is_tried_again(script: Script, url: str, failures: list[int]) -> None:
    found = engine()
    script.failures = list(failures)
    assert isinstance(found.generate([ask()])[0], Completion)
    assert len(script.completions()) == len(failures) + 1


def test_what_does_not_pass_is_a_transient_error_of_that_row_alone(script: Script, url: str) -> None:
    found = engine()
    script.failures = [503] * 4
    (lost,) = found.generate([ask()])
    assert isinstance(lost, TransientError)
    assert "503" in str(lost)
    assert isinstance(found.generate([ask()])[0], Completion)


def test_a_refusal_is_permanent_and_not_repeated(script: Script, url: str) -> None:
    found = engine()
    script.failures = [400]
    (refused,) = found.generate([ask()])
    assert isinstance(refused, PermanentError)
    assert "told to say 400" in str(refused)
    assert len(script.completions()) == 1


def test_an_answer_without_content_is_an_error_and_no_empty_text(script: Script, url: str) -> None:
    found = engine()
    script.garbage = True
    (garbage,) = found.generate([ask()])
    assert isinstance(garbage, TransientError)


def test_rows_of_one_call_keep_their_order(script: Script, url: str) -> None:
    answers = engine().generate([ask(seed=seed) for seed in range(40)])
    assert [answer.text for answer in answers if isinstance(answer, Completion)] == [f"answer {n}" for n in range(40)]


def test_the_same_participant_stays_at_one_server_and_others_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = [Script(), Script(), Script()]
    with serving(scripts[0]) as one, serving(scripts[1]) as two, serving(scripts[2]) as three:
        monkeypatch.setenv("PALATE_OPENAI_URLS", f"{one}, {two},{three}")
        found = engine()
        for person in range(24):
            prompts = [Prompt(f"shots of {person}\n# Task\nquestion {n}", None, (), 0, 0) for n in range(3)]
            found.generate([ask(prompt) for prompt in prompts])
        counts = [len(script.completions()) for script in scripts]
        assert sum(counts) == 72
        assert all(count % 3 == 0 and count > 0 for count in counts)


def test_a_server_that_is_gone_costs_nobody_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    here, gone = Script(), Script()
    with serving(here) as one:
        with serving(gone) as two:
            monkeypatch.setenv("PALATE_OPENAI_URLS", f"{two},{one}")
            found = engine()
        answers = found.generate([ask(seed=seed) for seed in range(8)])
    assert all(isinstance(answer, Completion) for answer in answers)
    assert len(here.completions()) == 8


def test_without_any_server_the_engine_does_not_start_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Script()) as address:
        pass
    monkeypatch.setenv("PALATE_OPENAI_URLS", address)
    with pytest.raises(TransientError, match="does not answer"):
        engine()


def test_the_key_goes_into_the_header(script: Script, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALATE_OPENAI_KEY", "s3cret")
    engine().generate([ask()])
    assert script.seen[-1][2] == "Bearer s3cret"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PALATE_OPENAI_URLS", "", "set PALATE_OPENAI_URLS"),
        ("PALATE_OPENAI_URLS", "localhost:8000", "write it like"),
        ("PALATE_OPENAI_URLS", "ftp://host/v1", "write it like"),
        ("PALATE_OPENAI_TIMEOUT_S", "soon", "from 1 to 86400"),
        ("PALATE_OPENAI_SLOTS", "0", "from 1 to 86400"),
    ],
)
def test_a_setting_that_cannot_be_says_how_it_should_be(
    url: str, monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(PermanentError, match=message):
        engine()


def test_an_unknown_model_names_those_that_are_served(url: str) -> None:
    with pytest.raises(PermanentError, match=f"serves: {MODEL}"):
        load_engine(ModelSpec("openai", "other"), bundled_root=Path("/nowhere"))


def test_more_stops_than_the_interface_takes_are_cut_at_here(script: Script, url: str) -> None:
    prompt = Prompt("Say it.", None, ("\n#", "A", "B", "C", "swer"), 0, 0)
    (answer,) = engine().generate([ask(prompt)])
    assert script.completions()[-1]["stop"] == ["\n#", "A", "B", "C"]
    assert isinstance(answer, Completion)
    assert answer.text == "an"
