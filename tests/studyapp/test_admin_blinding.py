"""Researchers are blind too: no page of the admin tells arms apart before unblinding, however it is asked."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client

from annotations.models import Comparison, Judgment
from inference.models import Attempt, Generation
from studyapp.models import Event, Participant, Question, Study
from studyapp.services import studies
from tests import factory
from tests.studyapp.staff import crawl, researcher, text_of

pytestmark = pytest.mark.django_db
ARMS = {
    "treatmentx": {"model": "modelm", "context": "own_shots", "shots": 3},
    "baseliney": {"model": "modeln", "context": "none"},
}
MODELS = {"modelm": {"engine": "scripted"}, "modeln": {"engine": "scripted", "revision": "revisionr"}}
MASKED_COLUMNS = {
    "arm_name", "model_name", "question_key", "owner_code", "arm_a", "arm_b", "side_of_a", "outcome_of_a",
}  # fmt: skip
PROBED = (
    "arm__exact=baseliney", "arm__startswith=b", "text__contains=an", "prompt__contains=an", "model_key__startswith=s",
    "owner__id__exact=1", "owner__isnull=1", "question__key=j0", "error__contains=modeln", "replicate__gt=0",
    "position__lt=5", "context_hash__startswith=a", "request__icontains=own", "words__gt=3", "queued_at__year=2026",
    "comparisons_a__isnull=0", "comparisons_b__participant__code=x", "attempts__worker=x", "seed__gt=0",
)  # fmt: skip
PROBED_JUDGMENTS = (
    "comparison__arm_a=treatmentx", "comparison__a_is_first=1", "comparison__generation_a__isnull=0",
    "comparison__generation_a__arm=baseliney", "comparison__arm_a__startswith=t", "reason__contains=because",
    "choice__exact=first", "comparison__replicate_a__gt=0", "comparison__candidate_a__isnull=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def opened(kept: None) -> Study:
    """A blinded study with finished, half-way and failed work, and generation ids that nothing else looks like."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval(pg_get_serial_sequence('inference_generation', 'id'), 7700000)")
    study = factory.open_study(
        models=MODELS,
        arms=ARMS,
        comparisons=[{"treatment": "treatmentx", "baseline": "baseliney", "items": 4}],
        controls=[{"kind": "null", "arm": "baseliney"}, {"kind": "attention", "items": 1}],
        analysis={},
        title="A quiet study",
        max_enrolled=4,
    )
    factory.completed(study)
    factory.elicited(study)
    rows = Generation.objects.filter(study=study)
    rows.update(prompt="PROMPTMARK of a person", raw_text="RAWMARK", engine="scripted", device="devicemark")
    failed = rows.filter(state="queued").first() or rows.order_by("-pk").first()
    assert failed is not None
    message = "permanent: model 'modeln' in revisionr for arm baseliney refuses the prompt: PROMPTMARK"
    Generation.objects.filter(pk=failed.pk).update(state="failed", error=message)
    told = {"outcome": "permanent", "detail": message, "worker": "workermark", "seed": 424242}
    Attempt.objects.create(generation=failed, number=1, claim_id="0" * 32, **told)
    return study


@pytest.fixture
def study(opened: Study) -> Study:
    return Study.objects.get(pk=opened.pk)


def told(study: Study) -> set[str]:
    """Every string that would tell arms apart or show a text."""
    rows = Generation.objects.filter(study=study)
    texts = set(rows.exclude(text="").values_list("text", flat=True))
    keys = set(rows.values_list("model_key", flat=True)) | set(rows.values_list("context_hash", flat=True))
    marks = {"PROMPTMARK", "RAWMARK", "workermark", "devicemark", "424242", "a_is_first", "revisionr", "scripted"}
    return {*ARMS, *MODELS, *marks, *texts, *keys}


def leaks(study: Study, pages: dict[str, Any]) -> list[tuple[str, str]]:
    """(address, what) of everything that a blinded page must not hold."""
    found, forbidden = [], told(study)
    ids = set(map(str, Generation.objects.values_list("pk", flat=True)))
    people = set(Participant.objects.values_list("code", flat=True))
    pairs = set(Comparison.objects.values_list("opaque_id", flat=True))
    questions = set(Question.objects.filter(use="judge").values_list("text", flat=True))
    for address, response in pages.items():
        page = text_of(response)
        of_texts = address.startswith("/admin/inference/")
        apart = forbidden | (people | pairs | questions if of_texts else ids)
        found += [(address, what) for what in apart if what in page]
    return found


def detail_pages() -> list[str]:
    """Pages and histories of every row, whether linked or not, and those that must not be there."""
    rows = {
        "studyapp/study": Study, "studyapp/participant": Participant, "studyapp/event": Event,
        "inference/generation": Generation, "annotations/judgment": Judgment,
    }  # fmt: skip
    found = []
    for name, model in rows.items():
        for pk in list(model.objects.order_by("pk").values_list("pk", flat=True))[:2]:  # type: ignore[attr-defined]
            found += [f"/admin/{name}/{pk}/{page}" for page in ("change/", "history/", "delete/", "")]
        found += [
            f"/admin/{name}/add/",
            f"/admin/{name}/?o=1.2.3.4.5.6.7.8.9",
            f"/admin/{name}/?all=",
            f"/admin/{name}/?q=a",
        ]
    failed = Generation.objects.filter(state="failed").values_list("pk", flat=True)
    return [*found, *(f"/admin/inference/generation/{pk}/change/" for pk in failed)]


def test_no_page_of_a_blinded_study_tells_arms_apart(study: Study) -> None:
    client = researcher(superuser=True)
    pages = crawl(client, *detail_pages())
    assert sum(response.status_code == 200 for response in pages.values()) > 60
    assert any("/inference/generation/" in address for address in pages)
    assert leaks(study, pages) == []


def test_the_crawl_goes_red_when_masking_is_taken_out(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: with the study said to be unblinded, arm, model, prompt, text and worker are on pages."""
    monkeypatch.setattr(Study, "is_unblinded", property(lambda self: True))
    found = {what for _, what in leaks(study, crawl(researcher(superuser=True), *detail_pages()))}
    assert {*ARMS, *MODELS, "PROMPTMARK", "workermark", "devicemark", "scripted"} <= found
    assert any("made as text" in what for what in found)


@pytest.mark.slow
def test_the_crawl_goes_red_when_a_list_prints_an_arm(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    from studyapp.dashboard.generations import GenerationAdmin

    monkeypatch.setattr(GenerationAdmin, "trouble", lambda self, row: f"arm {row.arm}", raising=True)
    pages = crawl(researcher(superuser=True))
    assert {what for _, what in leaks(study, pages)} & set(ARMS)


@pytest.mark.parametrize("probe", PROBED)
def test_addresses_cannot_probe_what_a_list_masks(study: Study, probe: str) -> None:
    client = researcher(superuser=True)
    assert client.get(f"/admin/inference/generation/?{probe}").status_code == 400


@pytest.mark.parametrize("probe", PROBED_JUDGMENTS)
def test_addresses_cannot_probe_the_sides_of_a_judgment(study: Study, probe: str) -> None:
    client = researcher(superuser=True)
    assert client.get(f"/admin/annotations/judgment/?{probe}").status_code == 400


def test_a_person_cannot_be_found_by_their_texts_or_identity(study: Study) -> None:
    client = researcher(superuser=True)
    for probe in ("identity__panel_id=x", "generations__arm=baseliney", "comparisons__a_is_first=1", "panel_key=x"):
        assert client.get(f"/admin/studyapp/participant/?{probe}").status_code == 400


def unblinded() -> Study:
    """Another study, whose arms are `fspo` and `base`, unblinded."""
    other = factory.open_study("other")
    factory.completed(other)
    studies.close(other, end="test over")
    return studies.unblind(other, "all in")


def rows_of(client: Client, address: str) -> list[str]:
    """Primary keys of a list in its order."""
    return [str(row.pk) for row in client.get(address).context["cl"].result_list]


@pytest.mark.parametrize("name", ["inference/generation", "annotations/judgment"])
def test_a_search_for_an_arm_finds_what_a_search_for_nonsense_finds(study: Study, name: str) -> None:
    client = researcher(superuser=True)
    found = [rows_of(client, f"/admin/{name}/?q={word}") for word in ("treatmentx", "baseliney", "qqqqqq")]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("name", ["inference/generation", "annotations/judgment"])
def test_no_ordering_follows_a_masked_column(study: Study, name: str) -> None:
    unblinded()
    client = researcher(superuser=True)
    changelist = client.get(f"/admin/{name}/").context["cl"]
    plain = [str(row.pk) for row in changelist.result_list]
    masked = [number for number, column in enumerate(changelist.list_display) if column in MASKED_COLUMNS]
    assert len(masked) == 4
    for number in masked:
        assert rows_of(client, f"/admin/{name}/?o={number}") in (plain, plain[::-1])


def test_filters_offer_nothing_that_is_masked(study: Study) -> None:
    client = researcher(superuser=True)
    for name, allowed in (
        ("inference/generation", {"study", "state", "need", "purpose"}),
        ("annotations/judgment", {"participant__study", "comparison__kind"}),
    ):
        specs = client.get(f"/admin/{name}/").context["cl"].filter_specs
        assert {spec.field_path for spec in specs} <= allowed


def test_autocomplete_answers_nothing_about_pairs(study: Study) -> None:
    client = researcher(superuser=True)
    for field in ("generation_a", "generation_b", "candidate_a"):
        query = f"app_label=annotations&model_name=comparison&field_name={field}&term="
        assert client.get(f"/admin/autocomplete/?{query}").status_code in (403, 404)


def test_history_and_staff_log_of_a_blinded_study_name_no_arm(study: Study) -> None:
    client = researcher(superuser=True)
    client.post(f"/admin/studyapp/study/{study.pk}/retry-failed/")
    failed_again = Generation.objects.filter(study=study, state="failed").count()
    entries = "".join(f"{entry.object_repr} {entry.change_message}" for entry in LogEntry.objects.all())
    events = "".join(str(data) for data in Event.objects.values_list("data", flat=True))
    assert failed_again == 0
    assert "Asked again" in entries
    assert not [what for what in told(study) if what in entries + events]


def test_after_unblinding_arms_and_outcomes_are_shown(study: Study) -> None:
    studies.close(study, end="test over")
    studies.unblind(study, "all in")
    client = researcher(superuser=True)
    judgments = client.get("/admin/annotations/judgment/").content.decode()
    assert "treatmentx" in judgments
    assert "win" in judgments
    texts = client.get("/admin/inference/generation/").content.decode()
    assert "baseliney" in texts
    ready = Generation.objects.filter(study=study, state="ready").first()
    assert ready is not None
    page = client.get(f"/admin/inference/generation/{ready.pk}/change/").content.decode()
    assert "PROMPTMARK" in page
    assert ready.text in page
    assert "treatmentx" in client.get(f"/admin/studyapp/study/{study.pk}/change/").content.decode()


def test_unblinding_one_study_unblinds_no_other(study: Study) -> None:
    unblinded()
    client = researcher(superuser=True)
    pages = crawl(client)
    assert [
        (where, what) for where, what in leaks(study, pages) if what in {*ARMS, "modelm", "modeln", "PROMPTMARK"}
    ] == []
    assert "fspo" in client.get("/admin/annotations/judgment/").content.decode()
