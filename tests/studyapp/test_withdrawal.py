"""A withdrawn person is gone: from every table, from Redis, from exports, from the hands of a worker at work."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone

from annotations.models import Comparison, Judgment
from inference.models import Attempt, Generation
from studyapp.models import Event, Participant, Study
from studyapp.services import entry, leaving, studies
from tests import factory
from tests.studyapp import traces
from tests.studyapp.walk import Walker

ANNA = ("5f0anna0panel", "st0udy0page", "se0ssion0anna")
QUERY = "?PROLIFIC_PID={}&STUDY_ID={}&SESSION_ID={}".format(*ANNA)
REASON = "Because my name is Anna Anonyma."
# What a withdrawn person's row may still say; everything else must be empty.
KEPT = {
    "id", "study", "code", "state", "panel", "panel_key", "simulated", "receipt_hash", "enrolled_at", "consented_at",
    "eliciting_at", "shots_done_at", "waiting_at", "judging_at", "judged_at", "debriefed_at", "ended_at",
    "last_seen_at",
}  # fmt: skip


@pytest.fixture(scope="module")
def opened(kept: None) -> Study:
    return factory.open_study(max_enrolled=4)


@pytest.fixture
def study(opened: Study, db: None) -> Study:
    cache.clear()
    return Study.objects.get(pk=opened.pk)


# --- a person in every state ------------------------------------------------------------------------------------------


def _eliciting(walker: Walker) -> None:
    walker.send(choice="first").send(choice="second")


def _waiting(walker: Walker) -> None:
    walker.answer_all()


def _reasoned(walker: Walker, number: int) -> None:
    """The given number of judgments, each with a reason."""
    walker.answer_all()
    factory.finish_texts(walker.study)
    walker.get("wait")
    for _ in range(number):
        if walker.at == walker.url("break"):
            walker.send()
        walker.send(choice="first", strength="4", reason=REASON)


def _judging(walker: Walker) -> None:
    _reasoned(walker, 2)


def _at_a_break(walker: Walker) -> None:
    _reasoned(walker, 3)
    assert walker.at == walker.url("break")


def _completed(walker: Walker) -> None:
    _reasoned(walker, 7)
    assert walker.at == walker.url("debrief")


def _done(walker: Walker) -> None:
    _completed(walker)
    walker.send()


def _stopped(walker: Walker) -> None:
    _judging(walker)
    walker.get("stop/keep").send()


def _excused(walker: Walker) -> None:
    walker.answer_all()
    Participant.objects.update(wait_started_at=timezone.now() - timedelta(seconds=31))
    walker.get("wait").send(leave="paid")
    assert walker.person.state == "excused"


def _away(walker: Walker, **since: float) -> None:
    _judging(walker)
    Participant.objects.filter(pk=walker.person.pk).update(last_seen_at=timezone.now() - timedelta(**since))
    leaving.time_out()
    assert walker.person.state == "timed_out"


def _timed_out(walker: Walker) -> None:
    _away(walker, minutes=30)


def _gone_for_good(walker: Walker) -> None:
    _away(walker, hours=3)
    leaving.time_out()


STATES: dict[str, Callable[[Walker], object]] = {
    "consented": lambda walker: None,
    "eliciting": _eliciting,
    "waiting": _waiting,
    "judging": _judging,
    "at a break": _at_a_break,
    "completed": _completed,
    "done": _done,
    "stopped": _stopped,
    "excused": _excused,
    "timed out": _timed_out,
    "timed out for good": _gone_for_good,
}


def arrive(study: Study, how: str, query: str = QUERY) -> Walker:
    """Somebody from Prolific in the wanted state, texts marked, a device remembered."""
    walker = Walker(study, **{"user-agent": "Mozilla/5.0 (iPhone) Mobile"}).enter(query).consent()
    if how != "consented":
        walker.send()
    STATES[how](walker)
    traces.mark_texts(walker.person)
    return walker


def erase(walker: Walker) -> str:
    """Erase over HTTP, as the person would; the receipt."""
    walker.get("stop/erase").send()
    assert walker.heading == "Everything is erased"
    node = walker.page.css_first("#receipt")
    assert node is not None
    return node.text()


@pytest.mark.parametrize("how", STATES)
def test_nothing_of_the_person_is_left_in_any_table(study: Study, tmp_path: Path, how: str) -> None:
    ben = factory.elicited(study)
    walker = arrive(study, how)
    anna = walker.person
    needles = traces.needles_of(anna, *ANNA, REASON, REASON.split()[-1].rstrip("."))
    before = traces.others(anna)
    found = traces.rows_with(needles)
    assert len({line.split(": ")[1] for line in found}) > len(ANNA), "the search finds what is there"

    receipt = erase(walker)

    assert traces.rows_with([*needles, receipt]) == []
    assert traces.rows_pointing_at(anna.pk).keys() <= {"studyapp_event.participant_id"}
    assert all(data == {} for data in Event.objects.filter(participant=anna).values_list("data", flat=True))
    _assert_only_kept_columns(walker.person)
    after = traces.others(anna)
    assert after == before, "other people's rows changed"
    assert Participant.objects.get(pk=ben.pk).state == "waiting" if how in ("consented", "eliciting") else True
    redis = traces.everything_in_redis()
    exported = traces.everything_exported(study, tmp_path)
    for needle in [*needles, anna.code, receipt]:
        assert needle not in redis
        assert needle not in exported
    assert ben.code in exported


def _assert_only_kept_columns(person: Participant) -> None:
    """Code, state, times and the keyed hash of the panel id (with what makes it unique); all else is empty."""
    row = {field.name: getattr(person, field.attname) for field in Participant._meta.concrete_fields}
    assert {name for name, value in row.items() if value not in (None, "", 0)} <= KEPT | {"simulated"}
    assert row["state"] == "withdrawn"
    assert row["panel_key"] == entry.panel_key(person.study, "prolific", ANNA[0])
    assert re.fullmatch("[0-9a-f]{64}", row["receipt_hash"])


@pytest.mark.parametrize("forgotten", ["Identity", "Invite", "queue.erase"])
def test_the_search_goes_red_when_a_place_is_forgotten(
    study: Study, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    """The negative control: one line of the withdrawal left out, and a trace or a pointer is found."""
    invite = entry.make_invites(study, 1)[0]
    walker = arrive(study, "judging", f"?invite={invite}" if forgotten == "Invite" else QUERY)
    anna = walker.person
    given = (invite,) if forgotten == "Invite" else ANNA
    needles = traces.needles_of(anna, *given, REASON)
    if forgotten in ("Identity", "Invite"):
        monkeypatch.setattr(leaving, forgotten, _Forgetful)
    else:
        monkeypatch.setattr("studyapp.services.leaving.queue.erase", lambda owner_id: 0)
    leaving.withdraw(anna)
    assert traces.rows_with(needles)
    assert traces.rows_pointing_at(anna.pk).keys() - {"studyapp_event.participant_id"}


class _Forgetful:
    """Stands for a model whose rows are not deleted."""

    class objects:
        filter = staticmethod(lambda **which: type("None_", (), {"delete": staticmethod(lambda: None)}))


def test_an_invited_person_leaves_no_token(study: Study) -> None:
    invite = entry.make_invites(study, 1)[0]
    walker = arrive(study, "judging", f"?invite={invite}")
    link = walker.get("stop/later").page.css_first("#personal-link")
    link = link or walker.send().page.css_first("#personal-link")
    assert link is not None
    token = str(link.attributes["value"]).rstrip("/").rsplit("/", 1)[1]
    needles = traces.needles_of(walker.person, invite, token)
    assert len(traces.rows_with([entry.token_hash(invite), entry.token_hash(token)])) == 2
    erase(walker)
    assert traces.rows_with(needles) == []
    again = Walker(study)
    assert again.get("", f"?invite={invite}").send().heading == "This invitation does not work"
    assert again._keep(again.client.get(f"{again.url('resume')}{token}/")).heading == "This link does not work any more"


def test_the_receipt_is_shown_to_this_browser_alone_and_kept_only_as_a_hash(study: Study) -> None:
    walker = arrive(study, "done")
    receipt = erase(walker)
    assert walker.person.receipt_hash == entry.token_hash(receipt)
    assert traces.rows_with([receipt]) == []
    del walker.client.cookies["palate_once"]
    assert walker.get("ended").heading == "Everything is erased"
    assert receipt.encode() not in walker.response.content
    walker.raw_post("stop/erase", {})
    assert walker.get("ended").page.css_first("#receipt") is None
    assert walker.person.receipt_hash == entry.token_hash(receipt)


@pytest.mark.parametrize("how", ["eliciting", "waiting", "judging", "completed"])
def test_no_form_of_an_old_tab_writes_after_the_withdrawal(study: Study, how: str) -> None:
    walker = arrive(study, how)
    pages: tuple[str, ...] = (
        "stop/later",
        "stop/keep",
        "consent",
        "instructions",
        "shots",
        "wait",
        "judge",
        "break",
        "debrief",
        "ended",
    )
    forms = {page: walker.form() if walker.get(page).page.css("form") else {} for page in pages}
    assert any("pair" in form for form in forms.values()) is (how in ("eliciting", "judging"))
    erase(walker)
    before = _state_of_all()
    values = {"choice": "second", "strength": "2", "reason": REASON, "age": "yes", "agree": "yes", "decision": "agree",
              "leave": "paid", "action": "resume"}  # fmt: skip
    for page, form in forms.items():
        assert walker.raw_post(page, {**form, **values}).status_code == 303, page
    assert _state_of_all() == before
    assert traces.rows_with([REASON]) == []


def _state_of_all() -> list[Any]:
    models = (Participant, Comparison, Judgment, Generation, Attempt, Event)
    return [list(model.objects.order_by("pk").values_list()) for model in models]


def test_a_withdrawn_person_counts_in_no_win_rate_and_judgments_of_others_stay(study: Study) -> None:
    ben = factory.completed(study)
    walker = arrive(study, "done", QUERY)
    erase(walker)
    assert set(Judgment.objects.values_list("participant", flat=True)) == {ben.pk}
    studies.close(study, end="test over")
    studies.unblind(study, "test")
    assert Judgment.objects.count() == 7
