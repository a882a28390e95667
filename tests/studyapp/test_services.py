"""The study loop through its services: each name is a promise."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from annotations import selectors
from annotations.blinding import blind
from annotations.models import Comparison, Judgment, Preference
from annotations.services import Stored
from inference.models import Attempt, Generation
from studyapp.models import Event, Identity, Invite, Participant, Seat, Study
from studyapp.services import entry, leaving, progress, studies
from studyapp.services.entry import Entry
from tests import factory

pytestmark = pytest.mark.django_db
PROLIFIC = {"panel": "prolific", "panel_id": "5f-anna", "panel_session": "sess-1"}


def test_a_person_walks_the_whole_study() -> None:
    study = factory.open_study()
    anna = factory.completed(study)
    assert anna.state == "completed"
    assert Judgment.objects.filter(participant=anna).count() == 7
    assert Comparison.objects.filter(participant=anna, state="judged").count() == 7
    assert anna.judged_at is not None


def test_opening_draws_sealed_seats_and_asks_for_one_base_text_a_seat_and_question() -> None:
    study = factory.open_study()
    assert Seat.objects.filter(study=study, state="free").count() == 6
    assert len(study.seat_seal) == 64
    stock = Generation.objects.filter(study=study, owner=None)
    # four items and one null pair a seat, the repeat shows an item's own texts again
    assert stock.count() == 6 * 5
    assert stock.values("replicate").distinct().count() == 6


def test_personal_texts_are_asked_for_with_the_last_shot_and_only_then() -> None:
    study = factory.open_study()
    ben = factory.consented(study)
    progress.begin(ben)
    for expected in (0, 0, 5):
        pair = selectors.next_preference(ben.pk)
        assert pair is not None
        progress.choose(ben, pair.opaque_id, "second", None)
        assert Generation.objects.filter(owner=ben).count() == expected
    request = Generation.objects.filter(owner=ben, arm="fspo").first().request  # type: ignore[union-attr]
    chosen = [p.second.text for p in Preference.objects.filter(participant=ben, role="shot").order_by("position")]
    assert [shot["preferred"] for shot in request["shots"]] == chosen


def test_probes_and_repeats_never_enter_the_context() -> None:
    study = factory.open_study()
    carla = factory.elicited(study)
    shots = {p.question.text for p in Preference.objects.filter(participant=carla, role="shot")}
    for generation in Generation.objects.filter(owner=carla, arm="fspo"):
        assert {shot["question"] for shot in generation.request["shots"]} == shots


def test_a_repeated_choice_changes_nothing() -> None:
    study = factory.open_study()
    anna = factory.consented(study)
    progress.begin(anna)
    pair = selectors.next_preference(anna.pk)
    assert pair is not None
    assert progress.choose(anna, pair.opaque_id, "first", 10) is Stored.NEW
    assert progress.choose(anna, pair.opaque_id, "second", 10) is Stored.AGAIN
    assert Preference.objects.get(pk=pair.pk).choice == "first"


def test_a_later_pair_cannot_be_answered_before_its_turn() -> None:
    study = factory.open_study()
    anna = factory.consented(study)
    progress.begin(anna)
    later = Preference.objects.get(participant=anna, position=3)
    assert progress.choose(anna, later.opaque_id, "first", 10) is Stored.OUT_OF_TURN
    assert factory.choices_of(anna) == [None] * 5


def test_a_judgment_is_stored_once_and_the_first_stands() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(anna)
    row = selectors.next_comparison(anna.pk)
    assert row is not None
    assert progress.judge(anna, row.opaque_id, choice="first", strength=2) is Stored.NEW
    assert progress.judge(anna, row.opaque_id, choice="second", strength=5) is Stored.AGAIN
    assert Judgment.objects.get(comparison=row).choice == "first"


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"choice": "tie", "strength": 3}, "choice"),
        ({"choice": "", "strength": 3}, "choice"),
        ({"choice": "first", "strength": None}, "strength"),
        ({"choice": "first", "strength": 6}, "strength"),
        ({"choice": "first", "strength": 3, "reason": "x" * 5000}, "reason"),
    ],
)
def test_a_judgment_outside_the_scale_is_refused_with_what_to_do(values: dict[str, object], field: str) -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(anna)
    row = selectors.next_comparison(anna.pk)
    assert row is not None
    with pytest.raises(progress.Invalid) as refused:
        progress.judge(anna, row.opaque_id, **values)  # type: ignore[arg-type]
    assert field in refused.value.messages
    assert not Judgment.objects.exists()


def test_pairs_are_served_in_planned_order_never_as_they_become_ready() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    made = Comparison.objects.filter(participant=anna, kind__in=["arms", "null"])
    last = made.order_by("-position").first()
    assert last is not None
    factory.finish_texts(study, pk__in=[last.generation_a_id, last.generation_b_id])
    last.refresh_from_db()
    assert last.state == "ready"
    assert progress.advance(anna).state == "waiting"
    current = selectors.next_comparison(anna.pk)
    assert current is not None
    assert (current.position, current.state) == (1, "planned")


def test_a_failed_text_voids_its_pair_only_when_its_person_reaches_it() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    second = Comparison.objects.filter(participant=anna, kind="arms", position__gt=1).order_by("position")[0]
    Generation.objects.filter(pk=second.generation_a_id).update(state="failed")
    factory.finish_texts(study)
    progress.advance(anna)
    second.refresh_from_db()
    assert second.state == "planned"
    factory.judge_all(anna, limit=second.position - 1)
    second.refresh_from_db()
    assert (second.state, second.void_reason) == ("void", "generation_failed")
    factory.judge_all(anna)
    assert anna.state == "completed"


def test_judgments_are_append_only_in_the_database() -> None:
    study = factory.open_study()
    anna = factory.completed(study)
    judgment = Judgment.objects.filter(participant=anna).first()
    assert judgment is not None
    with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
        Judgment.objects.filter(pk=judgment.pk).update(choice="tie")
    with pytest.raises((IntegrityError, DatabaseError)), transaction.atomic():
        Judgment.objects.filter(pk=judgment.pk).delete()
    assert Judgment.objects.get(pk=judgment.pk).choice == judgment.choice


def test_the_wait_is_counted_and_offers_a_paid_way_out_only_past_the_deadline() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    assert anna.wait_started_at is not None
    assert not leaving.leave_paid(anna)
    Participant.objects.filter(pk=anna.pk).update(wait_started_at=timezone.now() - timedelta(seconds=31))
    anna.refresh_from_db()
    assert progress.past_deadline(anna)
    assert leaving.leave_paid(anna)
    anna.refresh_from_db()
    assert anna.state == "excused"
    assert set(Comparison.objects.filter(participant=anna).values_list("void_reason", flat=True)) == {"left"}
    assert not Generation.objects.filter(owner=anna, state="queued").exists()


def _waiting_too_long(person: Participant, seconds: int = 31) -> Participant:
    Participant.objects.filter(pk=person.pk).update(wait_started_at=timezone.now() - timedelta(seconds=seconds))
    person.refresh_from_db()
    return person


def test_past_the_deadline_one_goes_on_with_what_is_ready_and_the_missing_pair_is_void() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    made = Comparison.objects.filter(participant=anna, kind="arms").order_by("position")
    first, second = made[0], made[1]
    finish = [pk for pk in (second.generation_a_id, second.generation_b_id) if pk]
    factory.finish_texts(study, pk__in=finish)
    assert not progress.skip_missing(anna)  # not yet
    assert progress.skip_missing(_waiting_too_long(anna))
    first.refresh_from_db()
    assert (first.state, first.void_reason) == ("void", "deadline")
    assert first.waited_ms >= 31_000
    anna.refresh_from_db()
    assert (anna.state, anna.wait_started_at) == ("judging", None)
    assert anna.waited_ms >= 31_000
    assert factory.judge_all(anna) >= 1
    second.refresh_from_db()
    assert second.state == "judged"


def test_nothing_is_skipped_while_nothing_later_is_ready() -> None:
    anna = _waiting_too_long(factory.elicited(factory.open_study()))
    assert not progress.skip_missing(anna)
    # Only the attention pair is there, as it always is.
    states = Comparison.objects.filter(participant=anna).values_list("kind", "state")
    assert {state for kind, state in states if kind != "attention"} == {"planned"}
    anna.refresh_from_db()
    assert anna.wait_started_at is not None


def test_each_pair_keeps_how_long_its_person_waited_for_it() -> None:
    study = factory.open_study()
    anna = _waiting_too_long(factory.elicited(study), seconds=7)
    factory.finish_texts(study)
    factory.judge_all(anna)
    waits = list(Comparison.objects.filter(participant=anna).order_by("position").values_list("waited_ms", flat=True))
    assert waits[0] >= 7000
    assert set(waits[1:]) == {0}


def test_withdrawal_leaves_nothing_of_the_person_in_any_table() -> None:
    study = factory.open_study()
    ben = factory.completed(study)
    anna = factory.completed(study, **PROLIFIC)
    for generation in Generation.objects.filter(owner=anna):
        Attempt.objects.create(generation=generation, number=1, claim_id="0" * 32)
    receipt = leaving.withdraw(anna)
    assert receipt
    assert len(receipt) == 19
    anna.refresh_from_db()
    assert anna.state == "withdrawn"
    assert anna.panel_key
    for model in (Preference, Comparison, Judgment, Identity, Invite):
        assert not model.objects.filter(participant=anna).exists(), model
    assert not Generation.objects.filter(owner=anna).exists()
    assert not Attempt.objects.exists()
    assert all(event.data == {} for event in Event.objects.filter(participant=anna))
    assert Judgment.objects.filter(participant=ben).count() == 7
    assert leaving.withdraw(anna) is None


def test_a_withdrawn_person_cannot_enter_again_with_the_same_panel_id() -> None:
    study = factory.open_study()
    anna = factory.consented(study, **PROLIFIC)
    leaving.withdraw(anna)
    with pytest.raises(entry.KnownPerson) as known:
        entry.enrol(study, Entry(**PROLIFIC))
    assert not known.value.may_resume


def test_a_panel_id_alone_resumes_nothing() -> None:
    study = factory.open_study()
    factory.consented(study, **PROLIFIC)
    assert entry.by_panel(study.slug, "prolific", "5f-anna", "") is None
    assert entry.by_panel(study.slug, "prolific", "5f-anna", "another") is None
    assert entry.by_panel(study.slug, "prolific", "5f-anna", "sess-1") is not None


def test_an_invite_enters_once_and_resumes_after() -> None:
    study = factory.open_study()
    (token,) = entry.make_invites(study, 1)
    anna = factory.consented(study, invite=token)
    with pytest.raises(entry.KnownPerson) as known:
        entry.enrol(study, Entry(invite=token))
    assert known.value.participant == anna
    assert known.value.may_resume
    with pytest.raises(entry.BadInvite):
        entry.enrol(study, Entry(invite="guessed"))


def test_a_seat_returns_when_its_person_leaves_before_a_judged_pair_and_stays_after() -> None:
    study = factory.open_study(max_enrolled=2)
    anna, ben = factory.elicited(study), factory.elicited(study)
    factory.finish_texts(study)
    factory.judge_all(ben, limit=1)
    assert leaving.stop(anna)
    assert leaving.stop(ben)
    assert list(Seat.objects.filter(study=study).values_list("state", flat=True).order_by("number")) == [
        "free",
        "taken",
    ]
    carla = factory.completed(study)
    assert carla.state == "completed"
    with pytest.raises(entry.StudyFull):
        entry.enrol(study, Entry())


def test_declining_frees_the_seat_at_once() -> None:
    study = factory.open_study(max_enrolled=1)
    anna = entry.enrol(study, Entry())
    with pytest.raises(entry.StudyFull):
        entry.enrol(study, Entry())
    assert Participant.objects.count() == 1
    entry.decline(anna)
    assert entry.enrol(study, Entry()).seat_id is not None


def test_silence_times_out_and_the_way_back_leads_to_where_one_was() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    Participant.objects.filter(pk=anna.pk).update(last_seen_at=timezone.now() - timedelta(minutes=11))
    assert leaving.time_out() == 1
    anna.refresh_from_db()
    assert (anna.state, anna.state_before) == ("timed_out", "waiting")
    assert leaving.resume(anna)
    assert anna.state == "waiting"


def test_past_the_resume_window_nobody_comes_back_and_the_seat_is_free() -> None:
    study = factory.open_study(max_enrolled=1)
    anna = factory.elicited(study)
    Participant.objects.filter(pk=anna.pk).update(last_seen_at=timezone.now() - timedelta(hours=3))
    leaving.time_out()
    anna.refresh_from_db()
    assert not leaving.resume(anna)
    leaving.time_out()
    anna.refresh_from_db()
    assert anna.ended_at is not None
    assert Seat.objects.get(study=study).state == "free"


def test_unblinding_needs_a_closed_study_nobody_under_way_and_a_reason() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    with pytest.raises(studies.StudyError, match="only a study that is closed"):
        studies.unblind(study, "done")
    studies.close(study)
    with pytest.raises(studies.StudyError, match="1 participant"):
        studies.unblind(study, "done")
    studies.close(study, end="semester over")
    anna.refresh_from_db()
    assert (anna.state, anna.ended_at is not None) == ("timed_out", True)
    with pytest.raises(studies.StudyError, match="reason"):
        studies.unblind(study, " ")
    assert studies.unblind(study, "all in").state == "unblinded"
    assert Event.objects.get(kind="unblinded").data == {"reason": "all in"}


def test_loading_is_idempotent_and_an_opened_protocol_is_frozen(tmp_path: object) -> None:
    from pathlib import Path

    folder = factory.write_folder(Path(str(tmp_path)) / "small", factory.protocol())
    first, changed = studies.load(folder)
    again, changed_again = studies.load(folder)
    assert (changed, changed_again, first.pk) == (True, False, again.pk)
    studies.open_study(first, skip_preflight="test")
    (folder / "consent.md").write_text("# Another text\n\nChanged.\n")
    with pytest.raises(studies.StudyError, match="version = 2"):
        studies.load(folder)
    assert Study.objects.count() == 1


def test_without_a_cap_seats_are_drawn_as_people_come() -> None:
    study = factory.open_study(max_enrolled=None)
    drawn = Seat.objects.filter(study=study).count()
    assert drawn > 0
    for _ in range(drawn + 1):
        entry.enrol(study, Entry())
    assert Seat.objects.filter(study=study).count() > drawn


def test_the_blind_view_holds_the_two_texts_by_the_stored_side() -> None:
    study = factory.open_study()
    anna = factory.elicited(study)
    factory.finish_texts(study)
    progress.advance(anna)
    row = selectors.next_comparison(anna.pk)
    assert row is not None
    view = blind(row)
    assert view is not None
    a_text, b_text = row.generation_a.text, row.generation_b.text  # type: ignore[union-attr]
    assert (view.first, view.second) == ((a_text, b_text) if row.a_is_first else (b_text, a_text))
