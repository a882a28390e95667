"""Exclusion rules: settled before anybody sees an arm, with evidence and time; later ones carry their label."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from annotations.models import Comparison, Judgment
from annotations.winrate.exclusions import Rule
from studyapp.models import Event, Exclusion, Participant, Study
from studyapp.protocol import METRICS
from studyapp.report import conduct
from studyapp.report.evidence import gather
from studyapp.report.methods import departures
from studyapp.report.page import page
from studyapp.results import tables, win_rates
from studyapp.results.sets import analysis_sets
from studyapp.services import exclusions, leaving, studies
from studyapp.services.errors import StudyError
from studyapp.services.measured import measure
from tests import factory

pytestmark = pytest.mark.django_db

# A study that is closed, and its people by name.
Closed = tuple[Study, dict[str, Participant]]
FIRST_TAKER = {"id": "first-taker", "metric": "first_share", "op": ">=", "value": 1.0}


@pytest.fixture(scope="module")
def judged(kept: None) -> Closed:
    """Ada takes the first text always, Ben the second, Cas stops half-way; nobody is under way any more."""
    study = factory.open_study(exclusions=[FIRST_TAKER])
    cast = {"ada": factory.completed(study, "first"), "ben": factory.completed(study, "second")}
    cast["cas"] = factory.elicited(study)
    factory.finish_texts(study)
    factory.judge_all(cast["cas"], "second", limit=3)
    leaving.stop(cast["cas"])
    studies.close(study)
    return study, cast


@pytest.fixture
def closed(judged: Closed) -> Closed:
    """Those people, and their study, which is closed."""
    study, cast = judged
    return Study.objects.get(pk=study.pk), {name: Participant.objects.get(pk=one.pk) for name, one in cast.items()}


def without(study: Study) -> dict[str, set[str]]:
    return {one.name: set(one.without) for one in analysis_sets(study)}


def test_people_are_measured_without_an_arm_and_every_metric_is_there(closed: Closed) -> None:
    study, cast = closed
    found = measure(study)
    assert all(set(values) == set(METRICS) for values in found.values())
    ada, ben, cas = (found[cast[name].code] for name in ("ada", "ben", "cas"))
    assert (ada["first_share"], ben["first_share"], ada["completed"], cas["completed"]) == (1, 0, 1, 0)
    assert (ada["judgments"], cas["judgments"]) == (7, 3)
    assert (ada["median_judgment_s"], ada["fastest_judgment_s"]) == (1.2, 1.2)
    assert (ada["median_choice_s"], ada["fastest_choice_s"]) == (0.9, 0.9)
    assert ada["repeat_agreement"] == 0
    assert ada["minutes"] is not None
    assert cas["minutes"] is None


def test_what_is_measured_does_not_change_when_every_arm_is_swapped(closed: Closed) -> None:
    """Rules run without access to arms: turn every pair's arms round, and nobody measures differently."""
    study, _ = closed
    before = measure(study)
    for row in Comparison.objects.filter(participant__study=study, kind="arms"):
        Comparison.objects.filter(pk=row.pk).update(arm_a=row.arm_b, arm_b=row.arm_a)
    assert measure(study) == before


def test_rules_are_settled_by_unblinding_with_evidence_and_time(closed: Closed) -> None:
    study, cast = closed
    assert not Exclusion.objects.exists()
    studies.unblind(study, "all in")
    row = Exclusion.objects.get(rule="first-taker")
    assert (row.participant, row.measured, row.op, row.threshold, row.post_hoc) == (cast["ada"], 1, ">=", 1, False)
    settled = Event.objects.get(kind="exclusions_settled")
    assert settled.data["rules"]["first-taker"] == ["first_share >= 1", 1]
    unblinded = Event.objects.get(kind="unblinded")
    assert settled.pk < unblinded.pk
    assert study.unblinded_at is not None
    assert row.decided_at <= study.unblinded_at


def test_per_protocol_leaves_out_whom_any_rule_leaves_out_and_one_rule_at_a_time_its_own(closed: Closed) -> None:
    study, cast = closed
    studies.unblind(study, "all in")
    code = {name: person.code for name, person in cast.items()}
    sets = without(study)
    assert sets["itt"] == set()
    assert sets["first-taker"] == {code["ada"]}
    assert sets["unfinished"] == {code["cas"]}
    assert sets["per_protocol"] == set().union(*(sets[name] for name in ("first-taker", "unfinished", "attention")))
    people = {row.analysis_set: row.n_participants for row in win_rates(study, every_set=True)}
    assert people["itt"] == 3
    assert people["first-taker"] == 2
    assert people["per_protocol"] == 3 - len(sets["per_protocol"])
    planned = {row.analysis_set: row.n_planned for row in win_rates(study, every_set=True)}
    assert (planned["itt"], planned["unfinished"]) == (12, 8)


def test_rules_that_were_applied_late_say_so(closed: Closed) -> None:
    study, _ = closed
    studies.unblind(study, "all in")
    assert all(one.flags == () for one in analysis_sets(study))
    Exclusion.objects.all().delete()
    Event.objects.filter(kind="exclusions_settled").delete()
    flags = {one.name: one.flags for one in analysis_sets(study)}
    assert flags["itt"] == ()
    assert flags["per_protocol"] == flags["first-taker"] == ("settled_after_unblinding",)
    assert Exclusion.objects.filter(rule="first-taker").count() == 1


def test_p_values_stand_in_the_primary_set_only(closed: Closed) -> None:
    study, _ = closed
    studies.unblind(study, "all in")
    assert {row.analysis_set for row in win_rates(study, every_set=True) if row.p_value is not None} == {"itt"}


def test_judgments_stay_when_their_person_is_excluded(closed: Closed) -> None:
    study, _ = closed
    before = Judgment.objects.count()
    studies.unblind(study, "all in")
    assert Judgment.objects.count() == before


def test_a_rule_added_after_unblinding_is_post_hoc_and_never_per_protocol(closed: Closed) -> None:
    study, cast = closed
    studies.unblind(study, "all in")
    before = without(study)["per_protocol"]
    assert exclusions.add_rule(study, Rule("second-taker", "first_share", "==", 0.0), "a reviewer asked") == 2
    assert Exclusion.objects.filter(rule="second-taker", post_hoc=True).count() == 2
    assert without(study)["per_protocol"] == before
    assert without(study)["second-taker"] == {cast["ben"].code, cast["cas"].code}
    flags = {row.analysis_set: row.flags for row in win_rates(study, every_set=True)}
    assert "post_hoc" in flags["second-taker"]
    assert "post_hoc" not in flags["first-taker"]


def silent_about(study: Study, rule: str) -> list[str]:
    """Where a rule that was added after unblinding is not called post hoc, of all the places that tell of it."""
    found = tables(study)
    evidence = gather(study)
    rates = [row["flags"] for row in found["rates"] if row["analysis_set"] == rule]
    rows = [row["post_hoc"] for row in found["exclusions"] if row["rule"] == rule]
    logged = [event.data["post_hoc"] for event in Event.objects.filter(kind=exclusions.ADDED)]
    html = page(evidence, {})
    places = {
        "win rates": bool(rates) and all("post_hoc" in flags for flags in rates),
        "exclusions": bool(rows) and all(rows),
        "log": bool(logged) and all(logged),
        "departures": any(rule in one and "(post hoc)" in one for one in departures(evidence)),
        "page": "(post hoc)" in html and "post_hoc" in html,
        "objection": "1 of them after unblinding" in conduct.exclusions(evidence).says,
    }
    return [place for place, called in places.items() if not called]


def test_a_rule_added_after_unblinding_is_called_post_hoc_wherever_it_stands(closed: Closed) -> None:
    study, _ = closed
    studies.unblind(study, "all in")
    exclusions.add_rule(study, Rule("second-taker", "first_share", "==", 0.0), "a reviewer asked")
    assert silent_about(study, "second-taker") == []


def test_a_late_rule_without_its_label_is_noticed_everywhere(closed: Closed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: the label is lost when the rule is added."""
    study, _ = closed
    studies.unblind(study, "all in")
    with monkeypatch.context() as patch:
        patch.setattr(exclusions, "Rule", lambda *values, post_hoc=False: Rule(*values))
        exclusions.add_rule(study, Rule("second-taker", "first_share", "==", 0.0), "a reviewer asked")
    everywhere = ["win rates", "exclusions", "log", "departures", "page", "objection"]
    assert silent_about(study, "second-taker") == everywhere


def test_a_rule_added_before_unblinding_says_that_it_was_not_in_the_protocol(closed: Closed) -> None:
    study, cast = closed
    assert exclusions.add_rule(study, Rule("second-taker", "first_share", "==", 0.0), "seen in the log") == 0
    assert not Exclusion.objects.exists()
    studies.unblind(study, "all in")
    assert cast["ben"].code in without(study)["second-taker"]
    assert cast["ben"].code not in without(study)["first-taker"]
    (row,) = [row for row in win_rates(study, every_set=True) if row.analysis_set == "second-taker"]
    assert "added_after_opening" in row.flags


@pytest.mark.parametrize(
    ("rule", "reason", "told"),
    [
        (Rule("x", "arm", "<", 1.0), "why", "is no metric; use one of"),
        (Rule("x", "minutes", "~", 1.0), "why", "compares nothing"),
        (Rule("x", "minutes", "<", float("nan")), "why", "no threshold"),
        (Rule("first-taker", "minutes", "<", 1.0), "why", "is taken"),
        (Rule("itt", "minutes", "<", 1.0), "why", "is taken"),
        (Rule("two words", "minutes", "<", 1.0), "why", "no name"),
        (Rule("x", "minutes", "<", 1.0), "  ", "needs a reason"),
    ],
)
def test_a_rule_that_means_nothing_is_refused(rule: Rule, reason: str, told: str) -> None:
    study = factory.open_study("open", exclusions=[FIRST_TAKER])
    with pytest.raises(StudyError, match=told):
        exclusions.add_rule(study, rule, reason)
    assert not Event.objects.filter(kind="exclusion_rule_added").exists()


def test_a_draft_gets_its_rules_from_its_protocol() -> None:
    with pytest.raises(StudyError, match="is a draft"):
        exclusions.add_rule(factory.loaded_study("draft"), Rule("x", "minutes", "<", 1.0), "why")


def test_who_withdraws_is_gone_from_the_exclusions_too(closed: Closed) -> None:
    study, cast = closed
    studies.unblind(study, "all in")
    leaving.withdraw(cast["ada"])
    assert not Exclusion.objects.filter(participant=cast["ada"]).exists()
    assert cast["ada"].code not in set().union(*without(study).values())


def test_unblinding_that_is_refused_settles_nothing() -> None:
    study = factory.open_study("busy", exclusions=[FIRST_TAKER])
    factory.completed(study)
    with pytest.raises(StudyError):
        studies.unblind(study, "too early")
    factory.consented(study)
    studies.close(study)
    with pytest.raises(StudyError, match="under way"):
        studies.unblind(study, "too early")
    assert not Event.objects.filter(kind="exclusions_settled").exists()


@pytest.mark.usefixtures("closed")
def test_the_command_adds_a_rule_and_says_what_it_did() -> None:
    out = StringIO()
    rule = ["--id", "slow", "--metric", "minutes", "--op", ">", "--value", "60", "--reason", "seen in the log"]
    call_command("exclude", "small", *rule, stdout=out)
    assert "slow (minutes > 60) is added after opening" in out.getvalue()
    with pytest.raises(CommandError):
        call_command("exclude", "small", *rule[:2], "--metric", "arm", *rule[4:])
    err = StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("exclude", "small", *rule, stderr=err)
    assert caught.value.code == 1
    assert "is taken" in err.getvalue()
