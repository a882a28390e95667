"""The report: the main number first, every claim covered, every objection answered, nothing from outside."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from selectolax.lexbor import LexborHTMLParser

from annotations.models import Comparison
from annotations.winrate.exclusions import Rule
from inference.models import Generation
from studyapp.models import Study
from studyapp.report import texts
from studyapp.report.answers import Answer
from studyapp.report.drawings import drawings
from studyapp.report.evidence import Evidence, gather
from studyapp.report.latex import latex
from studyapp.report.methods import departures, methods
from studyapp.report.objections import OBJECTIONS, answered
from studyapp.report.page import page
from studyapp.services import exclusions, looks, studies
from studyapp.services.errors import StudyError
from tests import factory
from tests.studyapp.test_looks import LOOKS
from tests.studyapp.test_results import judge_for, unblinded

pytestmark = pytest.mark.django_db
HOSTILE = "<img src=x onerror=alert(1)> & 5_% {x}"
LOADED = re.compile(r"url\((?!#)|@import", re.I)


def judged_by(study: Study, *winners: str) -> Study:
    """People who prefer one arm throughout."""
    for winner in winners:
        person = factory.elicited(study)
        factory.finish_texts(study)
        judge_for(person, winner)
    return study


@pytest.fixture
def evidence() -> Evidence:
    """Somebody who prefers fspo throughout, and somebody who prefers base."""
    return gather(unblinded(judged_by(factory.open_study(), "fspo", "base")))


def test_page_and_table_say_the_number_with_its_interval_and_n_and_no_more_than_is_shown(evidence: Evidence) -> None:
    exclusions.add_rule(evidence.study, Rule("fast", "minutes", "<", 1.0), HOSTILE)
    figures = drawings(evidence)
    html, printed = page(evidence, figures), latex(evidence)
    assert main_of(html) == beginning(evidence)
    assert outside(html) == []
    assert {"winrates", "people", "sides", "flow"} <= set(figures)
    assert html.count("<svg") == len(figures)
    assert "&lt;img src=x" in html
    assert r"\& 5\_\% \{x\}" in printed
    for text in (html, printed.replace(r"\allowbreak{}", "")):
        assert evidence.study.protocol_hash in text
        assert "personali" not in text.lower()
        assert "no swap, donor or population comparison was pre-registered" in text


def main_of(html: str) -> list[str]:
    """The first lines of a page's main section."""
    return [node.text() for node in LexborHTMLParser(html).css("main section.main div")][:4]


def beginning(evidence: Evidence) -> list[str]:
    """What a reader has to find first."""
    row = evidence.rate()
    assert row is not None
    interval = f"95% interval {100 * row['ci_low']:.1f} to {100 * row['ci_high']:.1f} %"
    return ["fspo preferred over base", "50.0 %", interval, "n = 2 people, 8 judgments"]


def outside(html: str) -> list[str]:
    """What of a page runs, or is fetched from elsewhere."""
    found = []
    for node in LexborHTMLParser(html).css("*"):
        wrong = node.tag in ("script", "link", "img", "iframe", "object", "embed", "foreignobject")
        for name, value in node.attributes.items():
            fetched = name in ("src", "href", "xlink:href", "srcset") and not (value or "").startswith("#")
            wrong = wrong or name.startswith("on") or fetched or bool(LOADED.search(value or ""))
        if wrong or (node.tag == "style" and LOADED.search(node.text())):
            found.append(str(node.tag))
    return found


@pytest.mark.parametrize(
    "found",
    [
        "<script>1</script>",
        '<a href="//x.example">y</a>',
        '<p onclick="x()">y</p>',
        '<p style="background: url(a.png)">y</p>',
        "<style>@import 'x'</style>",
        '<svg><image xlink:href="http://x.example/a.png"/></svg>',
    ],
)
def test_what_comes_from_outside_is_noticed(found: str) -> None:
    assert outside(f"<body>{found}</body>")
    assert not outside('<body><a href="#x">y</a><svg><use href="#m"/></svg></body>')


def test_every_objection_gets_a_covered_number_or_that_it_cannot_tell(evidence: Evidence) -> None:
    assert len({one.key for one in OBJECTIONS}) == len(OBJECTIONS) >= 15
    pairs = answered(evidence)
    told = {one.key: answer for one, answer in pairs}
    assert faults(told) == []
    unknown = {key for key, answer in told.items() if answer.estimate is None}
    assert {"guessed", "popular", "small", "sample"} <= unknown
    assert {"several", "first", "leavers", "few", "dependent", "path", "baseline"} & unknown == set()
    anchors = {node.attributes["id"] for node in LexborHTMLParser(page(evidence, {})).css("article")}
    assert anchors == {f"objection-{key}" for key in told}
    flagged_pairs_are_left_out(evidence)


def flagged_pairs_are_left_out(evidence: Evidence) -> None:
    """Of the answer that is about their flag, and of no other."""
    pair = Comparison.objects.filter(kind="arms", state="judged").first()
    assert pair is not None
    assert texts.leaks(evidence).n == texts.copied(evidence).n == 8
    Generation.objects.filter(pk=pair.generation_a_id).update(flags=["names_a_model"])
    assert (texts.leaks(evidence).n, texts.copied(evidence).n) == (7, 8)
    Generation.objects.filter(pk=pair.generation_a_id).update(flags=["copies_shot"])
    assert (texts.leaks(evidence).n, texts.copied(evidence).n) == (7, 7)


def faults(told: dict[str, Answer]) -> list[str]:
    """The keys of answers that are neither a covered number nor an admission."""
    return [
        key
        for key, answer in told.items()
        if not (
            (answer.estimate is None and answer.says.startswith("This design cannot tell: "))
            or (None not in (answer.low, answer.high) and answer.people > 0 and answer.n > 0 and answer.what)
        )
    ]


def test_a_number_without_its_interval_is_noticed() -> None:
    assert faults({"bare": Answer(says="So it is.", what="win rate", estimate=0.7, people=3, n=9)}) == ["bare"]
    assert faults({"silent": Answer(says="Trust us.")}) == ["silent"]


def test_looks_and_departures_are_told_with_their_reasons() -> None:
    study = judged_by(factory.open_study(analysis={**LOOKS, "sesoi": 0.55}, target_participants=5), "fspo")
    (look,) = looks.look(study)
    studies.close(study, end="money ran out")
    exclusions.add_rule(study, Rule("slow", "minutes", ">", 90.0), "we thought of it late")
    evidence = gather(studies.unblind(study, "all in"))
    exclusions.add_rule(study, Rule("odd", "minutes", ">", 80.0), "it looked better")
    assert departures(evidence) == [
        "Opened without its preflight: test",
        "Ended by hand: money ran out",
        "Rule slow (minutes > 90) was added after opening: we thought of it late",
        "Rule odd (minutes > 80) was added after unblinding (post hoc): it looked better",
        "1 people completed; 5 were wanted.",
    ]
    assert "Declared beforehand: smallest rate of interest 0.55." in methods(evidence)
    peeked = next(answer for one, answer in answered(evidence) if one.key == "peeked")
    assert (peeked.low, peeked.high, peeked.people) == (look.low, look.high, 1)
    assert main_of(page(evidence, {}))[2] == "no interval"


def test_a_study_that_nobody_judged_says_so_and_a_file_in_the_way_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = unblinded(factory.open_study())
    evidence = gather(study)
    html = page(evidence, drawings(evidence))
    assert "no data" in html
    assert "n = 0 people, 0 judgments" in html
    assert faults({one.key: answer for one, answer in answered(evidence)}) == []
    path = tmp_path / "out"
    path.write_text("mine")
    assert failed("small", path) == 1
    assert f"{path} is a file" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_a_blinded_study_has_no_report(tmp_path: Path) -> None:
    study = factory.open_study()
    with pytest.raises(StudyError, match="unblinded"):
        gather(study)
    assert failed("small", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def failed(*arguments: Any) -> int:
    with pytest.raises(SystemExit) as stopped:
        call_command("report", *arguments)
    return int(stopped.value.code or 0)


@pytest.mark.slow
def test_the_command_writes_the_page_the_table_and_every_figure(tmp_path: Path, evidence: Evidence) -> None:
    out = tmp_path / "a" / "report"
    call_command("report", "small", out)
    first = {path: path.read_bytes() for path in sorted(out.rglob("*.*"))}
    names = {path.stem for path in first if path.parent.name == "figures"}
    assert {"winrates", "people", "sides", "flow"} <= names
    assert len(first) == 2 + 3 * len(names)
    call_command("report", "small", out)
    figures = {path for path in first if path.suffix in (".svg", ".png")}
    assert [path for path in figures if path.read_bytes() != first[path]] == []
