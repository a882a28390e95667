"""Blind by construction: whatever a judge's browser gets, page, header, cookie or error, tells two texts alone."""

from __future__ import annotations

import json
import re
import secrets
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse

from annotations import selectors
from annotations.models import Comparison, Judgment, Preference
from inference.models import Generation
from studyapp import flow
from studyapp.exports import export
from studyapp.models import Participant, Seat, Study
from studyapp.services import entry
from studyapp.views import pages
from tests import factory
from tests.studyapp import blinding
from tests.studyapp.test_flow import CAST, signed_in
from tests.studyapp.walk import Walker

pytestmark = pytest.mark.django_db
ARMS = {
    "treatmentx": {"model": "modelm", "context": "own_shots", "shots": 3},
    "baseliney": {"model": "modeln", "context": "none"},
}
WORDS = (
    "treatmentx", "baseliney", "modelm", "modeln", "scripted", "own_shots", "replicate", "seed", "a_is_first", "arm_a",
    "generation", "treatment", "baseline", "identical", "attention", "probe", "context_hash",
)  # fmt: skip


def open_study(slug: str) -> Study:
    """A blinded study with names that nothing else looks like, and controls of every kind."""
    return factory.open_study(
        slug,
        models={"modelm": {"engine": "scripted"}, "modeln": {"engine": "scripted", "revision": "revisionr"}},
        arms=ARMS,
        comparisons=[{"treatment": "treatmentx", "baseline": "baseliney", "items": 4}],
        controls=[
            {"kind": "null", "arm": "baseliney"},
            {"kind": "repeat", "lag": 2},
            {"kind": "attention", "items": 1},
        ],
        judging={"scale": "choice+strength", "reason": "optional", "break_every": 0},
        analysis={},
        max_enrolled=4,
    )


@pytest.fixture(scope="module")
def numbered(kept: None) -> None:
    """Rows get numbers that nothing else looks like."""
    with connection.cursor() as cursor:
        for number, table in enumerate(("inference_generation", "annotations_comparison", "studyapp_seat")):
            cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {7340000 + 200000 * number})")


@pytest.fixture(scope="module")
def opened(numbered: None) -> Study:
    """The study that nobody has entered yet."""
    return open_study("kept")


@pytest.fixture
def study(opened: Study) -> Study:
    return Study.objects.get(pk=opened.pk)


@pytest.fixture(scope="module")
def arrived(numbered: None) -> Walker:
    """Somebody at the first judged pair of a study of their own, every text ready."""
    walker = Walker(open_study("walked")).to_shots().answer_all()
    factory.finish_texts(walker.study)
    return walker.get("wait")


@pytest.fixture
def walker(arrived: Walker) -> Walker:
    return arrived.again()


# --- pages ------------------------------------------------------------------------------------------------------------


def test_no_kind_of_pair_in_a_session_tells_arm_side_or_history(walker: Walker) -> None:
    kinds = []
    while walker.at == walker.url("judge"):
        kinds.append(blinding.current(walker).kind)
        if kinds.count(kinds[-1]) == 1:
            blinding.assert_blind(walker)
        walker.get("judge").send(choice="first", strength="3")
    assert sorted(set(kinds)) == ["arms", "attention", "null", "repeat"]
    assert len(kinds) == 7
    assert walker.at == walker.url("debrief")


def _with(leak: Callable[[Comparison], str]) -> Callable[..., dict[str, Any]]:
    honest = pages._BUILDERS["judge"]

    def context(request: Any, participant: Any, place: Any) -> dict[str, Any]:
        values = honest(request, participant, place)
        return {**values, "prompt": values["prompt"] + leak(place.comparison)}

    return context


LEAKS: dict[str, Callable[[Comparison], str]] = {
    "the arm of the first text": lambda row: row.arm_a if row.a_is_first else row.arm_b,
    "a blank for one side": lambda row: " " if row.a_is_first else "",
    "the kind": lambda row: row.kind,
    "the words of a text": lambda row: str(row.generation_a.words) if row.generation_a else "",
    "which text is older": lambda row: str((row.generation_a_id or 0) < (row.generation_b_id or 0)),
    "when it was ready": lambda row: str(row.ready_at),
    "that a text was made for the person": lambda row: str(bool(row.generation_a and row.generation_a.owner_id)),
}


@pytest.mark.parametrize("what", LEAKS)
def test_the_proof_goes_red_when_a_page_prints(walker: Walker, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setitem(pages._BUILDERS, "judge", _with(LEAKS[what]))
    with pytest.raises(AssertionError, match=r"can be told|tell more"):
        blinding.assert_blind(walker)


@pytest.mark.parametrize("where", ["header", "cookie", "work"])
def test_the_proof_goes_red_when_an_arm_leaves_by_a(
    walker: Walker, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    honest, person = pages.uncached, walker.person.pk

    def leaking(response: HttpResponse) -> HttpResponse:
        row = selectors.next_comparison(person)
        if row is not None and where == "header":
            response["X-Variant"] = str(row.a_is_first)
        elif row is not None and where == "cookie":
            response.set_cookie("seen" if row.a_is_first else "known", "1")
        elif row is not None and row.a_is_first:
            Participant.objects.get(pk=person)
        return honest(response)

    monkeypatch.setattr(pages, "uncached", leaking)
    with pytest.raises(AssertionError, match="can be told"):
        blinding.assert_blind(walker)


def _secrets_of(study: Study) -> set[str]:
    """What no browser may ever hold: row numbers, hashes, seeds, seals."""
    found: set[Any] = {study.seed, study.seat_salt, study.seat_seal, study.panel_secret, study.protocol_hash}
    for columns in Generation.objects.filter(study=study).values_list(
        "id", "model_key", "context_hash", "seed", "model_digest", "claim_id"
    ):
        found.update(columns)
    for model, field in ((Comparison, "participant__study"), (Seat, "study")):
        found.update(model.objects.filter(**{field: study}).values_list("id", flat=True))
    found.update(Seat.objects.filter(study=study).values_list("digest", flat=True))
    return {str(value) for value in found if value not in (None, "") and len(str(value)) > 5}


def _everything_at(walker: Walker) -> bytes:
    """Bodies, headers and cookies of every address of the study, whole and as fragments."""
    # The texts of these tests name their rows, which a real text does not.
    Generation.objects.exclude(text="").update(text="An answer about it.")
    seen = []
    places = ("", *flow.PAGES, "live", "stop", "stop/later", "stop/keep", "stop/erase", "nowhere", "resume/x")
    for address in (*map(walker.url, places), "/healthz", "/readyz"):
        for headers in ({}, blinding.HTMX):
            response = walker.client.get(address, headers=headers)
            head = "\n".join(f"{name}: {value}" for name, value in response.headers.items())
            cookies = "\n".join(morsel.OutputString() for morsel in response.cookies.values())
            seen.append(f"{address}\n{head}\n{cookies}\n".encode() + response.content)
    return b"\n".join(seen)


def assert_says_nothing(study: Study, everything: bytes) -> None:
    """No name, number or word of the experiment's hidden side is among these bytes."""
    text = everything.decode()
    for secret in _secrets_of(study):
        assert secret not in text, f"{secret} came out"
    for word in WORDS:
        assert not re.search(rf"(?i)\b{word}\b", text), f"{word} came out"


@pytest.mark.parametrize("who", CAST)
def test_no_page_of_any_state_names_an_arm_a_model_a_row_a_seed_or_a_kind(study: Study, who: str) -> None:
    person = CAST[who][0](study)
    everything = _everything_at(signed_in(study, person))
    assert len(everything) > 20_000
    assert_says_nothing(study, everything)


def test_the_search_goes_red_when_a_page_names_an_arm_or_a_row(walker: Walker, monkeypatch: pytest.MonkeyPatch) -> None:
    for leak in (lambda row: f" {row.arm_a or row.kind}", lambda row: f" {row.pk}", lambda row: f" {row.seat_id}"):
        with monkeypatch.context() as patch:
            patch.setitem(pages._BUILDERS, "judge", _with(leak))
            with pytest.raises(AssertionError, match="came out"):
                assert_says_nothing(walker.study, _everything_at(walker))


# --- ids --------------------------------------------------------------------------------------------------------------


def assert_ids_are_drawn(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every opaque id is one draw of `secrets` of 128 bits, taken whole, and no draw serves twice."""
    drawn: list[str] = []

    def recorded(size: int) -> str:
        assert size >= 16
        drawn.append(honest(size))
        return drawn[-1]

    honest = secrets.token_urlsafe
    monkeypatch.setattr("annotations.models.secrets.token_urlsafe", recorded)
    person = factory.consented(study)
    monkeypatch.setattr("annotations.models.secrets.token_urlsafe", honest)
    ids = [*Comparison.objects.filter(participant=person).values_list("opaque_id", flat=True)]
    ids += Preference.objects.filter(participant=person).values_list("opaque_id", flat=True)
    assert len(set(ids)) == len(ids) == 12
    assert set(ids) <= set(drawn), "an id was not drawn"
    assert {len(one) for one in ids} == {22}


def test_an_opaque_id_is_drawn_and_nothing_else(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_ids_are_drawn(study, monkeypatch)


def test_the_proof_goes_red_when_the_id_follows_from_the_side(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = entry._write_comparisons

    def deriving(participant: Participant, *args: Any) -> None:
        honest(participant, *args)
        for row in Comparison.objects.filter(participant=participant):
            row.opaque_id = ("A" if row.a_is_first else "B") + row.opaque_id[1:]
            row.save()

    monkeypatch.setattr(entry, "_write_comparisons", deriving)
    with pytest.raises(AssertionError, match="not drawn"):
        assert_ids_are_drawn(study, monkeypatch)


def test_the_side_of_a_pair_is_the_one_its_sealed_seat_says(study: Study) -> None:
    person = factory.consented(study)
    assert person.seat is not None
    planned = {row["position"]: row["a_is_first"] for row in person.seat.plan["comparisons"]}
    assert dict(Comparison.objects.filter(participant=person).values_list("position", "a_is_first")) == planned


# --- order ------------------------------------------------------------------------------------------------------------


def _shown_in_turn(study: Study) -> tuple[list[str], list[str]]:
    """Texts become ready from the last pair to the first; the ids in planned order, and as they were shown."""
    walker = Walker(study).to_shots().answer_all()
    rows = list(Comparison.objects.filter(participant=walker.person).order_by("position"))
    shown: list[str] = []
    for row in reversed(rows):
        wanted = [pk for pk in (row.generation_a_id, row.generation_b_id) if pk]
        factory.finish_texts(study, pk__in=wanted)
        walker.get("wait")
        if row.position > 1 and walker.at == walker.url("wait"):
            walker.raw_post("judge", {"pair": row.opaque_id, "choice": "first", "strength": "3"})
            assert not Judgment.objects.exists(), "a pair that was ready early was taken early"
    while walker.at == walker.url("judge"):
        shown.append(walker.form()["pair"])
        walker.send(choice="first", strength="3")
    return [row.opaque_id for row in rows], shown


def test_pairs_are_served_in_planned_order_whichever_is_ready_first(study: Study) -> None:
    planned, shown = _shown_in_turn(study)
    assert shown == planned


def test_the_order_test_goes_red_when_what_is_ready_first_is_served_first(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = selectors.unjudged
    monkeypatch.setattr(selectors, "unjudged", lambda pk: honest(pk).order_by("ready_at", "position"))
    planned, shown = _shown_in_turn(study)
    assert shown != planned


def test_the_wait_page_counts_alike_whichever_of_a_pairs_texts_is_late(study: Study) -> None:
    walker = Walker(study).to_shots().answer_all()
    row = blinding.current(walker)
    seen = []
    for done, late in ((row.generation_a, row.generation_b), (row.generation_b, row.generation_a)):
        assert done is not None
        assert late is not None
        Generation.objects.filter(pk=late.pk).update(state="queued", text="")
        Generation.objects.filter(pk=done.pk).update(state="ready", text="A text.", claim_id=None)
        seen.append([answer.body for answer in blinding.answers(walker)])
        assert walker.get("judge").at == walker.url("wait"), "half a pair was shown"
    assert seen[0] == seen[1]


# --- researchers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", ["per_seat", "shared"])
def test_before_unblinding_no_exported_text_is_known_by_how_many_people_read_it(tmp_path: Path, samples: str) -> None:
    """A shared baseline text would be the one that comes again and again: then no judged text leaves at all."""
    arms = {"fspo": {"model": "script", "context": "own_shots"}, "base": {"model": "script", "samples": samples}}
    study = factory.open_study(arms=arms, controls=[], max_enrolled=4)
    for _ in range(4):
        factory.completed(study)
    files = export(study, tmp_path, format="jsonl", text=True)
    rows = [json.loads(line) for path in files if "comparisons" in path.name for line in path.open()]
    texts = Counter(row[name] for row in rows for name in ("first_text", "second_text") if row[name] is not None)
    assert max(texts.values(), default=1) == 1
    assert bool(texts) is (samples == "per_seat")
