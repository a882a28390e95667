"""Every table of a study's results, from rows that the services wrote; and the commands that print them."""

from __future__ import annotations

import csv
import io
import json
import re
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import CommandError, call_command

from annotations import selectors
from annotations import services as judging
from annotations.models import Comparison, Preference
from annotations.winrate import COLUMNS
from annotations.winrate.power import POWER_COLUMNS
from inference.models import Score
from studyapp.models import Participant, Study
from studyapp.protocol import METRICS
from studyapp.results import TABLES, tables, win_rates
from studyapp.services import leaving, progress, studies
from tests import factory
from tests.studyapp.test_results import judge_for, unblinded

pytestmark = pytest.mark.django_db
DOCS = Path(__file__).resolve().parents[2] / "docs" / "analysis.md"


def two_comparisons() -> Study:
    few = {"model": "script", "context": "own_shots", "shots": 1}
    return factory.open_study(
        arms={**factory.protocol()["arms"], "few": few},
        comparisons=[{"treatment": arm, "baseline": "base", "items": 3} for arm in ("fspo", "few")],
        analysis={"primary": ["fspo>base"], "margin": 0.1, "sesoi": 0.55},
        controls=[{"kind": "null", "items": 1, "arm": "base"}, {"kind": "repeat", "items": 1, "lag": 2}],
    )


def judged_by(study: Study, winner: str) -> Participant:
    person = factory.elicited(study)
    factory.finish_texts(study)
    judge_for(person, winner)
    person.refresh_from_db()
    return person


def named(rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    (row,) = [row for row in rows if all(row[name] == value for name, value in values.items())]
    return row


def test_every_table_has_its_columns_and_nothing_else() -> None:
    study = two_comparisons()
    for winner in ("fspo", "base", "few", "fspo"):
        judged_by(study, winner)
    found = tables(unblinded(study), by="domain")
    assert list(found) == list(TABLES)
    for name, rows in found.items():
        assert all(tuple(row) == TABLES[name] for row in rows), name
    assert {name for name, rows in found.items() if not rows} == {"abilities", "exclusions", "looks"}
    json.dumps(found, allow_nan=False)


def test_contrasts_and_margins_are_those_of_the_declared_comparisons() -> None:
    study = two_comparisons()
    for winner in ("fspo", "fspo", "few", "fspo"):
        judged_by(study, winner)
    found = tables(unblinded(study))
    rates = {row["focal"]: row["win_rate"] for row in found["rates"] if row["analysis_set"] == "itt"}
    difference = named(found["contrasts"], analysis_set="itt", kind="difference")
    assert difference["contrast"] == "fspo>base - few>base"
    assert difference["estimate"] == pytest.approx(rates["fspo"] - rates["few"])
    assert difference["n_participants"] == 4
    tests = [row["test"] for row in found["margins"] if row["analysis_set"] == "itt"]
    assert tests == ["non_inferiority", "equivalence", "minimum_effect"]
    assert {row["comparison"] for row in found["margins"]} == {"fspo>base"}
    (primary,) = found["primary"]
    assert (primary["comparison"], primary["n_judgments"]) == ("fspo>base", 12)


def test_repeats_and_null_pairs_come_from_what_people_did() -> None:
    """Always the first text: on a repeat with swapped sides that is the other arm; null pairs split by side."""
    study = factory.open_study()
    for _ in range(3):
        factory.completed(study, "first")
    rows = tables(unblinded(study))["reliability"]
    judged = named(rows, measure="side_following", subject="judged")
    assert (judged["estimate"], judged["n"], judged["n_participants"]) == (1.0, 3, 3)
    assert named(rows, measure="retest_agreement", subject="judged")["estimate"] == 0
    assert named(rows, measure="retest_agreement", subject="labelled")["estimate"] == 0
    assert named(rows, measure="first_share", subject="null")["estimate"] == 1
    assert named(rows, measure="krippendorff_alpha")["flags"] == ["no_shared_items"]


def test_somebody_steady_agrees_with_themselves() -> None:
    study = factory.open_study()
    for _ in range(3):
        judged_by(study, "fspo")
    rows = tables(unblinded(study))["reliability"]
    assert named(rows, measure="retest_agreement", subject="judged")["estimate"] == 1


def scored(person: Participant, chosen: float, other: float, plain: float = -5.0) -> None:
    """Scores of the person's probe under fspo, as a worker would have stored them."""
    probe = Preference.objects.get(participant=person, role="probe")
    picked = probe.first_id if probe.choice == "first" else probe.second_id
    Score.objects.filter(probe=probe).delete()
    for candidate in (probe.first_id, probe.second_id):
        Score.objects.create(
            study=person.study, owner=person, arm="fspo", probe=probe, candidate_id=candidate, context_hash="x",
            request={}, model_key="m", state="ready", tokens=9, reference_logprob=plain,
            logprob=chosen if candidate == picked else other,
        )  # fmt: skip


def test_fidelity_counts_the_probes_that_the_scores_predict() -> None:
    study = factory.open_study()
    people = [factory.completed(study, choice) for choice in ("first", "first", "second", "second")]
    for person, margin in zip(people, (2.0, 1.0, 3.0, -1.0), strict=True):
        scored(person, -5.0 + margin, -5.0)
    rows = tables(unblinded(study))["fidelity"]
    assert named(rows, measure="predicted_conditioned")["estimate"] == 0.75
    assert named(rows, measure="predicted_unconditioned")["estimate"] == 0.5
    difference = named(rows, measure="conditioned_minus_unconditioned")
    assert (difference["estimate"], difference["n"], difference["n_participants"]) == (0.25, 4, 4)
    assert named(rows, measure="retest_agreement")["subject"] == "labelled"


def test_a_probe_with_one_score_missing_is_left_out() -> None:
    study = factory.open_study()
    people = [factory.completed(study) for _ in range(2)]
    for person in people:
        scored(person, -4.0, -5.0)
    lost = Score.objects.filter(owner=people[0]).first()
    assert lost is not None
    Score.objects.filter(pk=lost.pk).update(state="failed", logprob=None)
    rows = tables(unblinded(study))["fidelity"]
    assert named(rows, measure="predicted_conditioned")["n"] == 1


def test_the_flow_adds_up_and_tells_leavers_apart() -> None:
    study = factory.open_study()
    factory.completed(study)
    gone = factory.completed(study)
    early, waiting, late = factory.consented(study), factory.elicited(study), factory.elicited(study)
    factory.finish_texts(study)
    factory.judge_all(late, limit=2)
    for person in (early, waiting, late):
        leaving.stop(person)
    leaving.withdraw(gone)
    steps = {row["step"]: row["n"] for row in tables(unblinded(study))["flow"]}
    assert (steps["entered"], steps["consented"], steps["withdrawn"], steps["completed"]) == (5, 5, 1, 1)
    assert steps["left before the last shot"] == 1
    assert steps["left before the first judgment"] == 1
    assert steps["left after the first judgment"] == 1
    assert steps["at least one judgment"] == 2
    assert steps["consented"] == steps["withdrawn"] + steps["completed"] + 3
    assert steps["excluded by unfinished"] == 3


def test_identical_texts_are_counted_and_their_choice_stands() -> None:
    study = factory.open_study()
    person = factory.elicited(study)
    factory.finish_texts(study)
    row = Comparison.objects.filter(participant=person, kind="arms").first()
    assert row is not None
    assert row.generation_a is not None
    assert row.generation_b is not None
    type(row.generation_b).objects.filter(pk=row.generation_b.pk).update(text=row.generation_a.text)
    factory.judge_all(person)
    (rate,) = win_rates(unblinded(study))
    assert "identical_texts=1" in rate.flags
    assert rate.n_judgments == 4


def test_a_study_may_choose_the_participant_interval_and_least_degrees_of_freedom() -> None:
    study = factory.open_study(analysis={"interval": "participant", "min_df": 50.0})
    rng = np.random.default_rng(1)
    for _ in range(4):
        judged_by(study, ("fspo", "base")[int(rng.integers(0, 2))])
    (row,) = win_rates(unblinded(study))
    assert (row.headline_ci, row.ci_twoway_low, row.p_value) == ("participant", None, None)
    assert "below_min_df" in row.flags


# --- commands ------------------------------------------------------------------------------------------------------
def printed(*arguments: str) -> str:
    out = StringIO()
    call_command("winrates", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("winrates", *arguments, stderr=err)
    assert caught.value.code == 1
    return err.getvalue()


def test_the_command_prints_sets_contrasts_reliability_and_flow() -> None:
    study = two_comparisons()
    for winner in ("fspo", "few", "base"):
        judged_by(study, winner)
    unblinded(study)
    text = printed("small")
    for part in ("intention to treat", "per protocol", "Differences between win", "Reliability", "Flow", "margin"):
        assert part in text, part
    assert text.index("intention to treat") < text.index("per protocol") < text.index("Reliability")
    rows = list(csv.DictReader(io.StringIO(printed("small", "--format", "csv", "--table", "contrasts"))))
    assert rows[0]["contrast"] == "fspo>base - few>base"
    assert printed("small", "--format", "csv").splitlines()[0] == ",".join(COLUMNS)
    assert list(json.loads(printed("small", "--format", "json", "--table", "all"))) == list(TABLES)
    latex = printed("small", "--format", "latex")
    assert latex.count(r"\\") == 1 + 4
    assert r"per\_protocol & fspo \textgreater{} base" in latex


def test_an_unblinded_study_is_needed_and_one_source_of_judgments(tmp_path: Path) -> None:
    study = factory.open_study()
    factory.completed(study)
    assert "win rates are for an unblinded study" in refused("small")
    assert "There is no study" in refused("nowhere")
    for wrong in ([], ["small", "--from-csv", "x.csv"], ["small", "--alpha", "0.1"], ["--from-csv", "x.csv", "--look"]):
        with pytest.raises(CommandError) as caught:
            printed(*wrong)
        assert caught.value.returncode == 2


def test_a_csv_file_gives_tables_or_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    lines = [
        f"p{i},q{j},base,{'win' if (i * j) % 3 else 'loss'},{'fspo' if j % 2 else 'donor'}"
        for i in range(9)
        for j in range(6)
    ]
    path.write_text("\n".join(["participant,question,baseline,outcome,treatment", *lines]))
    rows = json.loads(printed("--from-csv", str(path), "--format", "json", "--by", "question"))
    assert [list(row) for row in rows] == [list(COLUMNS)] * len(rows)
    assert {(row["study_id"], row["config_hash"], row["n_planned"]) for row in rows} == {(None, None, None)}
    text = printed("--from-csv", str(path), "--margin", "0.2", "--alpha", "0.1")
    assert "90%" in text
    assert "non_inferiority" in text
    path.write_text("participant,question,baseline,outcome\np1,q1,base,won\n")
    assert "line 2: outcome is" in refused("--from-csv", str(path))


def test_power_of_a_study_folder_takes_its_items_questions_and_pay() -> None:
    out = StringIO()
    call_command("power", "studies/fspo-openqa", "--participants", "40", "--win-rate", "0.6", "--icc", "0.1",
                 "--repetitions", "100", "--json", stdout=out)  # fmt: skip
    (row,) = json.loads(out.getvalue())
    assert (row["participants"], row["questions"], row["headline_ci"]) == (40, 80, "two_way")
    assert row["minutes"] > 5
    assert row["pay"] > 0
    for wrong in ([], ["--participants", "40"], ["--participants", "9", "--items", "2", "--alpha", "0.7"]):
        with pytest.raises(CommandError):
            call_command("power", *wrong)
    err = StringIO()
    with pytest.raises(SystemExit):
        call_command("power", "--participants", "2", "--items", "3", stderr=err)
    assert "3 or more people" in err.getvalue()


def test_the_page_names_every_column_metric_and_table() -> None:
    page = DOCS.read_text()
    named_there = set(re.findall(r"`([\w-]+)`", page))
    columns = {column for header in TABLES.values() for column in header}
    assert {*columns, *TABLES, *METRICS, *POWER_COLUMNS} - named_there == set()


# --- planted truth -------------------------------------------------------------------------------------------------
def judge_at(person: Participant, rate: float, rng: np.random.Generator) -> None:
    """Judge every main pair for the treatment with probability `rate`, wherever it stands."""
    progress.advance(person)
    while row := selectors.next_comparison(person.pk):
        judging.present(row)
        wanted = bool(rng.random() < rate)
        side = row.a_is_first if wanted else not row.a_is_first
        progress.judge(person, row.opaque_id, choice="first" if side else "second", strength=2)
        progress.take_break(person)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_planted_win_rate_lies_in_its_interval_in_90_to_99_of_100_studies() -> None:
    rng = np.random.default_rng(31)
    asked = {"shots": 1, "probes": 0, "repeats": 0, "words": [3, 40], "overlap": "none"}
    arms = {"fspo": {"model": "script", "context": "own_shots"}, "base": {"model": "script", "context": "none"}}
    inside = 0
    for number in range(100):
        study = factory.open_study(f"planted-{number}", controls=[], elicitation=asked, arms=arms, max_enrolled=6)
        people = [factory.elicited(study) for _ in range(6)]
        factory.finish_texts(study)
        for person, own in zip(people, rng.beta(0.65 * 9, 0.35 * 9, 6), strict=True):
            judge_at(person, own, rng)
        studies.close(study, end="planted")
        (row,) = win_rates(studies.unblind(study, "planted"))
        assert row.n_judgments == 24
        assert row.headline is not None
        inside += row.headline[0] <= 0.65 <= row.headline[1]
    assert 90 <= inside <= 99
