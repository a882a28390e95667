"""Results on the site: nothing before unblinding, the main number after it, never older than the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from selectolax.lexbor import LexborHTMLParser

from annotations.winrate.exclusions import Rule
from studyapp import tasks
from studyapp.models import Participant, Results, Study
from studyapp.report.drawings import drawings
from studyapp.report.evidence import gather
from studyapp.report.page import page
from studyapp.services import computing, exclusions, leaving, standing, studies
from studyapp.services.events import log
from tests import factory
from tests.studyapp.staff import crawl, researcher, text_of
from tests.studyapp.test_report import judged_by, outside
from tests.studyapp.test_results import unblinded

pytestmark = pytest.mark.django_db
FILES = ("", "winrates.svg", "people.svg", "sides.svg", "flow.svg", "report/", "table.tex")
ARMS = {
    "treatmentx": {"model": "script", "context": "own_shots", "shots": 3},
    "baseliney": {"model": "script", "context": "none"},
}


@pytest.fixture
def client() -> Client:
    return researcher("rosa", "studyapp.view_study")


@pytest.fixture
def study() -> Study:
    """Two people preferred the one arm throughout, one the other; arms of names that stand nowhere else."""
    pairs = [{"treatment": "treatmentx", "baseline": "baseliney", "items": 2}]
    study = factory.open_study(arms=ARMS, comparisons=pairs, controls=None, analysis={})
    return judged_by(study, "treatmentx", "baseliney", "treatmentx")


def at(study: Study, name: str = "") -> str:
    return f"/admin/studyapp/study/{study.pk}/results/{name}"


def made(study: Study) -> Results:
    """The results that stand, made by the worker's task."""
    standing.ask(study)
    tasks.results(study.pk)
    row = standing.current(study, whole=True)
    assert row is not None
    return row


def number(client: Client, study: Study) -> str:
    """The main number as the page shows it; empty while it is being made."""
    found = LexborHTMLParser(client.get(at(study)).content.decode()).css_first("[data-main-result] .result-number")
    return found.text() if found else ""


# --- before unblinding ------------------------------------------------------------------------------------------------
def told(client: Client, study: Study) -> list[tuple[str, str]]:
    """(address, what) of everything about arms or outcomes that the results' addresses let out, linked or not."""
    marks = {*ARMS, "66.7", "0.667", "95% interval", "<svg", "Won / tied", "preferred over"}
    found = []
    for name in FILES:
        shown = text_of(client.get(at(study, name)))
        found += [(name, mark) for mark in sorted(marks) if mark in shown]
    return found


def test_before_unblinding_no_address_of_the_results_tells_anything(client: Client, study: Study) -> None:
    for state in ("open", "closed"):
        assert study.state == state
        assert told(client, study) == []
        assert [client.get(at(study, name)).status_code for name in FILES] == [403, *[404] * (len(FILES) - 1)]
        assert "/results/" not in client.get(f"/admin/studyapp/study/{study.pk}/change/").content.decode()
        assert standing.ask(study) is None
        assert tasks.results(study.pk) is False
        assert not Results.objects.exists()
        studies.close(study, end="done")
    lying = {"shown": {"rate": "66.7"}, "figures": {"flow": "<svg>treatmentx"}, "report": "66.7", "latex": "0.667"}
    Results.objects.create(study=study, state="ready", stand=standing.stand(study), **lying)
    assert told(client, study) == []


def test_the_test_of_masking_goes_red_when_masking_is_taken_out(
    client: Client, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: with the study said to be unblinded, arms, number, interval and figures are told."""
    monkeypatch.setattr(Study, "is_unblinded", property(lambda self: True))
    made(study)
    found = told(client, study)
    assert {mark for _, mark in found} == {
        *ARMS,
        "66.7",
        "0.667",
        "95% interval",
        "<svg",
        "Won / tied",
        "preferred over",
    }
    assert {name for name, _ in found} == set(FILES)


# --- the page ---------------------------------------------------------------------------------------------------------
def test_the_main_number_its_interval_and_its_n_stand_first(client: Client, study: Study) -> None:
    unblinded(study)
    assert client.get(at(study)).status_code == 202
    row = made(study)
    html = client.get(at(study)).content.decode()
    lines = [node.text().strip().replace("\xa0", " ") for node in LexborHTMLParser(html).css("[data-main-result] p")]
    assert lines[:4] == [node.text() for node in LexborHTMLParser(row.report).css("main section.main div")][:4]
    assert lines[:2] == ["treatmentx preferred over baseliney", "66.7 %"]
    assert lines[2].startswith("95% interval ")
    assert lines[3] == "n = 3 people, 6 judgments"
    assert html.index("data-main-result") < html.index("<table")
    for shown in ("Per protocol", "judged at least one pair", "treatmentx &gt; baseliney", "None asked for yet"):
        assert shown in html
    assert "personali" not in html.lower()
    assert LexborHTMLParser(html).css("#content-main :is(script, style, [style], [onclick])") == []
    kept = f"{row.shown}{row.figures}{row.report}{row.latex}"
    assert not [code for code in Participant.objects.values_list("code", flat=True) if code in kept]


def test_figures_report_and_table_are_those_of_the_command_and_for_researchers_alone(
    client: Client, study: Study
) -> None:
    unblinded(study)
    made(study)
    evidence = gather(study)
    drawn = drawings(evidence)
    html = client.get(at(study)).content.decode()
    pictures = [node.attributes["src"] for node in LexborHTMLParser(html).css("figure img")]
    assert pictures == [at(study, f"{name}.svg") for name in drawn]
    for name, one in drawn.items():
        answer = client.get(at(study, f"{name}.svg"))
        assert (answer["Content-Type"], answer.content.decode()) == ("image/svg+xml", one.svg)
    report = client.get(at(study, "report/"))
    assert report.content.decode().partition('id="tables"')[0] == page(evidence, drawn).partition('id="tables"')[0]
    assert outside(report.content.decode()) == []
    assert report["Content-Security-Policy"].startswith("default-src 'none'")
    assert client.get(at(study, "table.tex")).content.decode().startswith("% \\usepackage{booktabs")
    assert client.get(at(study, "nothing.svg")).status_code == 404
    pages = crawl(client, at(study))
    assert {pages[at(study, name)].status_code for name in ("", "report/", "table.tex", "winrates.svg")} == {200}
    nobody = researcher("nora")
    assert {nobody.get(at(study, name)).status_code for name in FILES} == {403}
    assert {Client().get(at(study, name)).status_code for name in FILES} == {302}


def test_a_study_that_nobody_judged_says_so(client: Client) -> None:
    study = unblinded(factory.open_study())
    made(study)
    html = client.get(at(study)).content.decode()
    assert "no data" in html
    assert "n = 0 people, 0 judgments" in html


# --- never older than the data ----------------------------------------------------------------------------------------
def test_a_withdrawal_takes_the_results_away_at_once(client: Client, study: Study) -> None:
    unblinded(study)
    made(study)
    assert number(client, study) == "66.7\xa0%"
    leaving.withdraw(Participant.objects.filter(study=study).order_by("id")[1])
    row = Results.objects.get(study=study)
    assert (row.state, row.shown, row.figures, row.report, row.latex) == ("queued", {}, {}, "", "")
    assert number(client, study) == ""
    assert {client.get(at(study, name)).status_code for name in FILES[1:]} == {404}
    assert tasks.results(study.pk) is True
    assert number(client, study) == "100.0\xa0%"


def test_a_rule_added_after_unblinding_is_called_post_hoc_at_once(client: Client, study: Study) -> None:
    unblinded(study)
    made(study)
    assert "post hoc" not in client.get(at(study)).content.decode()
    exclusions.add_rule(study, Rule("late", "first_share", ">=", 0.0), "an afterthought")
    assert number(client, study) == ""
    assert tasks.results(study.pk) is True
    html = client.get(at(study)).content.decode()
    assert "Without those left out by late" in html
    assert "was added after unblinding (post hoc): an afterthought" in html
    assert [row.text() for row in LexborHTMLParser(html).css("tbody tr") if "post hoc" in row.text()]


def exclude(study: Study, place: int) -> None:
    person = Participant.objects.filter(study=study).order_by("id")[place]
    study.exclusions.create(participant=person, rule="x", metric="minutes", op="<", threshold=1, measured=0)


CHANGES: dict[str, Callable[[Study], Any]] = {
    "a withdrawal": lambda study: leaving.withdraw(Participant.objects.filter(study=study).order_by("id")[1]),
    "an exclusion": lambda study: exclude(study, 1),
    "an exclusion taken back": lambda study: study.exclusions.all().delete(),
    "a person's state": lambda study: Participant.objects.filter(state="completed").update(state="stopped"),
    "a logged act": lambda study: log(study, "texts_retried", number=1),
    "a text under way": lambda study: study.generations.filter(state="ready").update(state="queued"),
    "another protocol": lambda study: Study.objects.filter(pk=study.pk).update(protocol_hash="0" * 64),
}


def test_whatever_results_depend_on_outdates_them_and_looking_does_not(study: Study) -> None:
    unblinded(study)
    exclude(study, 0)
    Results.objects.update_or_create(study=study, defaults={"state": "ready", "stand": standing.stand(study)})
    for kind in standing.QUIET:
        log(study, kind)
    for what, change in CHANGES.items():
        assert standing.current(Study.objects.get(pk=study.pk)) is not None
        with transaction.atomic():
            change(study)
            assert standing.current(Study.objects.get(pk=study.pk)) is None, what
            transaction.set_rollback(True)


# --- one worker, one claim --------------------------------------------------------------------------------------------
def test_what_is_made_while_somebody_withdraws_is_thrown_away(
    client: Client, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    unblinded(study)
    person = Participant.objects.filter(study=study).order_by("id")[1]
    really = computing.gather
    monkeypatch.setattr(computing, "gather", lambda of: (really(of), leaving.withdraw(person))[0])
    assert tasks.results(study.pk) is False
    row = Results.objects.get(study=study)
    assert (row.state, row.shown, row.report) == ("queued", {}, "")
    assert number(client, study) == ""


@pytest.mark.slow
def test_one_worker_makes_them_and_a_lost_one_is_replaced(study: Study) -> None:
    unblinded(study)
    claim = computing._claim(study.pk)
    assert claim
    assert tasks.results(study.pk) is False
    asked = Results.objects.get(study=study).asked_at
    Results.objects.update(started_at=asked - 2 * standing.SILENT)
    assert tasks.results(study.pk) is True
    assert computing._write(study.pk, claim, state="failed") is False


@pytest.mark.slow
def test_a_failure_says_so_and_is_tried_again_after_a_minute(
    client: Client, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    unblinded(study)

    def broken(of: Study) -> Any:
        raise ZeroDivisionError("no")

    monkeypatch.setattr(computing, "gather", broken)
    with pytest.raises(ZeroDivisionError):
        tasks.results(study.pk)
    monkeypatch.undo()
    said = client.get(at(study))
    assert said.status_code == 202
    assert "They could not be made" in said.content.decode()
    row = Results.objects.get(study=study)
    assert row.state == "failed"
    Results.objects.update(asked_at=row.asked_at - 2 * standing.RETRY)
    client.get(at(study))
    assert tasks.results(study.pk) is True
    assert number(client, study) == "66.7\xa0%"


def test_a_worker_is_rung_when_it_is_owed_and_a_page_costs_the_same_however_many_people(
    client: Client, study: Study, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(standing.current_app, "send_task", lambda name, args, **_: rung.append(args[0]))
    with django_capture_on_commit_callbacks(execute=True):
        unblinded(study)
    assert set(rung) == {study.pk}
    rung.clear()
    with django_capture_on_commit_callbacks(execute=True):
        client.get(at(study))
    assert rung == [study.pk]
    assert standing.sweep() == 1
    counted = []
    for _ in range(2):
        made(study)
        rung.clear()
        with CaptureQueriesContext(connection) as captured, django_capture_on_commit_callbacks(execute=True):
            assert client.get(at(study)).status_code == 200
        assert (standing.sweep(), rung) == (0, [])
        counted.append(len(captured))
        Participant.objects.bulk_create([Participant(study=study, state="declined") for _ in range(500)])
    assert counted[0] == counted[1] <= 18
