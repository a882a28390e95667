"""manage.py study: what a researcher reads, and the exit code that a script sees."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from studyapp.models import Event, Study
from studyapp.services import studies
from tests import factory

pytestmark = pytest.mark.django_db


# Port 1 of this machine: nobody listens there.
NOWHERE = "http://127.0.0.1:1"


def run(*arguments: str) -> tuple[int, str]:
    """`manage.py study`: its exit code and everything it wrote."""
    return run_command("study", *arguments)


def run_command(name: str, *arguments: str) -> tuple[int, str]:
    """The exit code of one command and everything it wrote."""
    out = io.StringIO()
    try:
        call_command(name, *arguments, stdout=out, stderr=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


@pytest.fixture
def study() -> Study:
    return factory.loaded_study()


def test_the_reasons_of_staff_are_kept_in_the_history_and_told_by_status(study: Study) -> None:
    assert run("open", "small", "--skip-preflight", "piloted  on paper\n")[0] == 0
    assert Event.objects.get(kind="preflight_skipped").data == {"reason": "piloted on paper"}
    assert run("close", "small", "--end", "the term is over")[0] == 0
    assert run("unblind", "small", "--reason", "all data are in")[0] == 0
    code, said = run("status", "small")
    assert code == 0
    kept = ["preflight skipped", "piloted on paper", "ended", "the term is over", "unblinded", "all data are in"]
    history = said[said.index("under way") :]
    places = [history.index(words) for words in kept]
    assert places == sorted(places)
    told = json.loads(run("status", "small", "--json")[1])["reasons"]
    assert [(one["kind"], one["reason"]) for one in told] == [
        ("preflight_skipped", "piloted on paper"), ("ended", "the term is over"), ("unblinded", "all data are in"),
    ]  # fmt: skip


@pytest.mark.parametrize("reason", ["", "   "])
def test_no_study_but_a_demo_opens_without_a_reason(study: Study, reason: str) -> None:
    code, said = run("open", "small", "--skip-preflight", reason)
    assert (code, "--skip-preflight" in said) == (1, True)
    study.refresh_from_db()
    assert (study.state, Event.objects.filter(kind__in=["open", "preflight_skipped"]).count()) == ("draft", 0)
    factory.loaded_study("show", demo=True)
    assert run("open", "show")[0] == 0
    assert not Event.objects.filter(kind="preflight_skipped").exists()


def test_a_reason_too_long_to_keep_is_refused_rather_than_cut(study: Study) -> None:
    code, said = run("open", "small", "--skip-preflight", "x" * (studies.MAX_REASON + 1))
    assert (code, f"at most {studies.MAX_REASON}" in said) == (1, True)
    study.refresh_from_db()
    assert study.state == "draft"


def test_open_refuses_what_another_release_loaded_and_this_one_has_not_built(study: Study) -> None:
    protocol: dict[str, Any] = {**study.protocol, "judging": {**study.protocol["judging"], "scale": "bipolar7"}}
    Study.objects.filter(pk=study.pk).update(protocol=protocol, protocol_hash="another")
    code, said = run("open", "small", "--skip-preflight", "test")
    assert (code, "not available yet" in said, "judging.scale" in said) == (1, True, True)
    study.refresh_from_db()
    assert (study.state, study.opened_at) == ("draft", None)


def test_what_is_not_built_is_a_warning_to_check_and_refused_by_load(tmp_path: Path) -> None:
    folder = factory.write_folder(tmp_path / "later", factory.protocol("later", disclosure={"guess": False}))
    code, said = run("check", str(folder))
    assert (code, "disclosure.guess" in said, "not available yet" in said) == (0, True, True)
    code, said = run("load", str(folder))
    assert (code, "disclosure.guess" in said, "not available yet" in said) == (1, True, True)
    assert not Study.objects.filter(slug="later").exists()


@pytest.mark.parametrize(
    ("before", "verb", "way"),
    [
        ([], "pause", "Nobody can enter it before: manage.py study open small@1"),
        ([], "close", "Nobody can enter it before"),
        (["open"], "open", "Nothing needs to be done"),
        (["open"], "unblind", "Close it first: manage.py study close small@1"),
        (["open", "pause"], "unblind", "Close it first"),
        (["open", "close"], "open", "set version = 2 in its study.toml"),
        (["open", "close"], "pause", "set version = 2"),
        (["open", "close", "unblind"], "open", "set version = 2"),
        (["open", "close", "unblind"], "unblind", "Nothing needs to be done"),
    ],
)
def test_an_arrow_that_does_not_exist_is_refused_with_the_way_out(
    study: Study, before: list[str], verb: str, way: str
) -> None:
    reasons = {"open": ["--skip-preflight", "test"], "unblind": ["--reason", "test"]}
    for step in before:
        assert run(step, "small", *reasons.get(step, []))[0] == 0
    study.refresh_from_db()
    code, said = run(verb, "small", *reasons.get(verb, []))
    assert (code, way in said) == (1, True), said
    assert Study.objects.get(pk=study.pk).state == study.state


def test_a_study_of_real_people_refuses_simulated_ones_with_the_way_out(study: Study) -> None:
    run("open", "small", "--skip-preflight", "test")
    study.refresh_from_db()
    factory.consented(study)
    code, said = run_command("simulate", "small", "--participants", "1", "--base-url", NOWHERE)
    assert (code, "has real participants" in said, "demo = true" in said) == (1, True, True)
    assert not study.invites.exists()


@pytest.mark.parametrize("url", [NOWHERE, "nonsense", "http://"])
def test_where_no_palate_answers_nobody_is_simulated(study: Study, url: str) -> None:
    run("open", "small", "--skip-preflight", "test")
    code, said = run_command("simulate", "small", "--participants", "1", "--base-url", url)
    assert (code, f"No Palate answers at {url.rstrip('/')}" in said, "--base-url" in said) == (1, True, True), said
    assert not study.invites.exists()


def test_withdrawing_somebody_unknown_erases_nobody_and_says_where_codes_are(study: Study) -> None:
    run("open", "small", "--skip-preflight", "test")
    study.refresh_from_db()
    person = factory.consented(study)
    for arguments in (["small", "nobody"], ["small", person.code, "--panel", "prolific"], ["nowhere", person.code]):
        code, said = run_command("withdraw", *arguments, "--yes")
        assert (code, "Codes are in the admin" in said or "There is no study nowhere" in said) == (1, True), said
    person.refresh_from_db()
    assert person.state == "consented"


@pytest.mark.parametrize("answer", [None, "", "no", "y"])
def test_without_a_yes_nobody_is_withdrawn_even_where_nobody_can_be_asked(
    study: Study, monkeypatch: pytest.MonkeyPatch, answer: str | None
) -> None:
    def asked(question: str) -> str:
        if answer is None:
            raise EOFError
        return answer

    monkeypatch.setattr("builtins.input", asked)
    studies.open_study(study, skip_preflight="test")
    person = factory.consented(study)
    code, said = run_command("withdraw", "small", person.code)
    assert (code, "Nothing was erased" in said) == (1, True)
    person.refresh_from_db()
    assert person.state == "consented"


@pytest.mark.parametrize(
    "name", ["", "small@", "small@x", "small@²", "small@-1", "small@0", f"small@{10**30}", "a b", "%"]
)
def test_a_name_of_no_study_is_told_what_a_name_looks_like(study: Study, name: str) -> None:
    code, said = run("status", name)
    assert (code, "as in small@2" in said or "loaded studies: small@1" in said) == (1, True), said
