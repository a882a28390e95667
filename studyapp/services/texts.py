"""What to ask the workers for: frozen requests from the protocol, the plan and a person's own shots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from math import ceil, floor

from django.db.models import Q, QuerySet

from annotations.models import Comparison, Preference
from annotations.services import link_texts, settle_person, void
from annotations.services import settle as settle_text
from annotations.written import Written
from inference import queue
from inference.contracts import GenerationRequest, Shot
from inference.models import Generation, Need
from inference.prompts import continuation
from studyapp.models import Participant, Question, Seat, Study
from studyapp.protocol import Protocol

READY = Generation.State.READY


def replicate_of(spec: Protocol, arm: str, seat_number: int) -> int:
    """Which sample of an unpersonalised text a seat uses: its own, or the shared one."""
    if not arm or is_personal(spec, arm) or spec.arms[arm].samples == "shared":
        return 0
    return seat_number


def is_personal(spec: Protocol, arm: str) -> bool:
    """True when the arm's context is made of the participant's own data."""
    return spec.arms[arm].context != "none"


def request_for(spec: Protocol, arm: str, question: str, shots: tuple[Shot, ...] = ()) -> GenerationRequest:
    """The frozen request of one text."""
    definition = spec.arms[arm]
    return GenerationRequest(
        model=spec.model_spec(arm),
        layout=spec.models[definition.model].layout,
        question=question,
        shots=shots,
        instruction=definition.instruction,
        adapter=spec.models[definition.model].adapter,
        sampling=spec.arm_sampling(arm),
        window=spec.window(),
    )


def request_stock(study: Study) -> int:
    """Ask for the unpersonalised texts of every seat, in seat order; returns how many texts that is."""
    spec, questions = study.spec, _question_texts(study)
    orders: dict[tuple[str, int, int], queue.Order] = {}
    for number, plan in Seat.objects.filter(study=study).order_by("number").values_list("number", "plan").iterator():
        for planned in plan["comparisons"]:
            for arm in _stock_arms(spec, planned):
                pk, text = questions[planned["question"]]
                replicate = replicate_of(spec, arm, number)
                orders.setdefault(
                    (arm, pk, replicate),
                    queue.Order(
                        study_id=study.pk,
                        owner_id=None,
                        arm=arm,
                        question_id=pk,
                        request=request_for(spec, arm, text),
                        replicate=replicate,
                        need=Need.STOCK,
                        position=number * 100 + planned["position"],
                    ),
                )
    queue.request_many(list(orders.values()))
    return len(orders)


def _stock_arms(spec: Protocol, planned: dict[str, str]) -> Iterable[str]:
    """The arms of a planned comparison whose texts are made ahead; a null pair's second is made live."""
    arms = [planned["arm_a"]] if planned["kind"] == "null" else [planned["arm_a"], planned["arm_b"]]
    return (arm for arm in arms if arm and not is_personal(spec, arm))


def _question_texts(study: Study) -> dict[str, tuple[int, str]]:
    return {key: (pk, text) for pk, key, text in Question.objects.filter(study=study).values_list("id", "key", "text")}


def link_ready_made(study: Study, rows: list[Comparison]) -> None:
    """Point comparisons that are about to be stored at the texts that exist without their person: stock, attention."""
    spec = study.spec
    for row in rows:
        if row.kind == Comparison.Kind.ATTENTION:
            row.candidate_a, row.candidate_b = row.question.candidates.order_by("rank")[:2]
    sides = [(row, side) for row in rows for side in "ab" if not _is_live(spec, row, side) and _arm(row, side)]
    _request(study, None, Need.STOCK, sides, ())


def settle_all(participant: Participant) -> None:
    """Settle every pair of a person: what the wait page's poll and the sweep call, should a bell have been lost."""
    pairs, spec = Comparison.objects.filter(participant=participant), participant.study.spec
    match_lengths(pairs, spec)
    void_unmatched(pairs, spec)
    settle_person(participant.pk)


def request_personal(participant: Participant, study: Study) -> None:
    """The last shot is stored: ask for every text made from this person's shots, and for live null texts."""
    spec = study.spec
    rows = _PAIRS.all(participant.pk)
    sides = [(row, side) for row in rows for side in "ab" if _is_live(spec, row, side)]
    _request(study, participant.pk, Need.PERSONAL, sides, own_shots(participant))
    link_texts({row.pk: row for row, _ in sides}.values())
    settle_all(participant)


def settle(generation_id: int) -> list[int]:
    """A text came or failed: match the other text of its pairs to it, settle them; the people whom it concerns."""
    pairs = Comparison.objects.filter(Q(generation_a_id=generation_id) | Q(generation_b_id=generation_id))
    study = Study.objects.filter(generations=generation_id).first()
    if study is None:
        return []
    match_lengths(pairs, study.spec)
    void_unmatched(pairs, study.spec)
    return settle_text(generation_id)


def match_lengths(pairs: QuerySet[Comparison], spec: Protocol) -> None:
    """Where one text of a planned pair is there, ask for the other within [normalise] pair_ratio of its words.

    Whichever comes second, of either arm. Nothing that is there is made again.
    """
    ratio, windows = spec.normalise.pair_ratio, dict[int, tuple[int, int]]()
    planned = pairs.filter(state=Comparison.State.PLANNED)
    for sides in planned.values_list(*(f"generation_{s}{f}" for s in "ab" for f in ("_id", "__state", "__words"))):
        for (_, state, words), (other, missing, _) in ((sides[:3], sides[3:]), (sides[3:], sides[:3])):
            if state == READY and words and missing in ("queued", "running"):
                windows[other] = (ceil(words / ratio), floor(words * ratio))
    if windows:
        queue.narrow(windows)


def void_unmatched(pairs: QuerySet[Comparison], spec: Protocol) -> None:
    """Void planned pairs of two texts of which one was not sampled as the protocol says for its arm."""
    there = pairs.filter(state=Comparison.State.PLANNED, generation_a__state=READY, generation_b__state=READY)
    expected = {arm: asdict(spec.arm_sampling(arm)) for arm in spec.arms}
    rows = there.values_list(
        "id", "arm_a", "generation_a__request__sampling", "arm_b", "generation_b__request__sampling"
    )
    wrong = [pk for pk, *sides in rows if (expected.get(sides[0]), expected.get(sides[2])) != (sides[1], sides[3])]
    if wrong:
        void(wrong, Comparison.VoidReason.UNMATCHED)


_SHOTS = Written(
    lambda participant_id: Preference.objects.filter(
        participant_id=participant_id, role=Preference.Role.SHOT, choice__isnull=False
    ).order_by("position"),
    *("choice", "question__text", "first__text", "second__text"),
)
_PAIRS = Written(
    lambda participant_id: Comparison.objects.filter(participant_id=participant_id).order_by("position"),
    *("position", "kind", "arm_a", "arm_b", "generation_a_id", "generation_b_id", "question__text", "repeat_of__kind"),
)


def own_shots(participant: Participant) -> tuple[Shot, ...]:
    """A person's shots in the order of presentation."""
    pairs = (
        (row.question.text, row.first.text, row.second.text)
        if row.choice == "first"
        else (row.question.text, row.second.text, row.first.text)
        for row in _SHOTS.all(participant.pk)
    )
    return tuple(Shot(*pair) for pair in pairs)


def latest(shots: tuple[Shot, ...], number: int) -> tuple[Shot, ...]:
    """The last `number` shots, in their order."""
    return shots[-number:] if number else ()


def request_scores(participant: Participant) -> None:
    """The last pair is labelled: ask what every personalised arm thinks of both answers of each probe.

    Nobody waits for these. The reference is the arm's model, or the one that it names, without the shots.
    """
    study, shots = participant.study, own_shots(participant)
    spec = study.spec
    probes = Preference.objects.filter(participant=participant, role=Preference.Role.PROBE, choice__isnull=False)
    orders = []
    for arm in (name for name in spec.compared_arms if is_personal(spec, name)):
        used, reference = latest(shots, spec.arm_shots(arm)), _reference(spec, arm)
        for probe in probes.select_related("question", "first", "second").order_by("position"):
            request = request_for(spec, arm, probe.question.text, used)
            for candidate in (probe.first, probe.second):
                orders.append(
                    queue.ScoreOrder(
                        study_id=study.pk,
                        owner_id=participant.pk,
                        arm=arm,
                        probe_id=probe.pk,
                        candidate_id=candidate.pk,
                        request=request,
                        continuation=continuation(request.layout, candidate.text),
                        reference=reference,
                        position=probe.position,
                    )
                )
    queue.request_scores(orders)


def _reference(spec: Protocol, arm: str) -> queue.Reference:
    name = spec.models[spec.arms[arm].model].reference
    if name is None:
        return queue.Reference(spec.model_spec(arm), spec.models[spec.arms[arm].model].adapter)
    return queue.Reference(spec.base_model(name), spec.models[name].adapter)


def hurry(participant: Participant) -> None:
    """Somebody waits: their next text goes before everyone's later ones."""
    rows = Comparison.objects.filter(participant=participant, state=Comparison.State.PLANNED)
    wanted = [pk for pair in rows.values_list("generation_a_id", "generation_b_id") for pk in pair if pk]
    if wanted:
        queue.raise_need(wanted, Need.WAITING)


def _arm(row: Comparison, side: str) -> str:
    return row.arm_a if side == "a" else row.arm_b


def _is_live(spec: Protocol, row: Comparison, side: str) -> bool:
    """True for texts made for one person: of a personal arm, or a null pair's second."""
    arm = _arm(row, side)
    if not arm:
        return False
    original = row.repeat_of or row
    return is_personal(spec, arm) or (original.kind == Comparison.Kind.NULL and side == "b")


def _request(
    study: Study, owner_id: int | None, need: int, sides: list[tuple[Comparison, str]], shots: tuple[Shot, ...]
) -> None:
    spec = study.spec
    orders = []
    for row, side in sides:
        arm = _arm(row, side)
        used = latest(shots, spec.arm_shots(arm)) if is_personal(spec, arm) else ()
        orders.append(
            queue.Order(
                study_id=study.pk,
                owner_id=owner_id,
                arm=arm,
                question_id=row.question_id,
                request=request_for(spec, arm, row.question.text, used),
                replicate=0 if owner_id else (row.replicate_a if side == "a" else row.replicate_b),
                need=need,
                position=row.position if owner_id else row.seat.number * 100 + row.position,
            )
        )
    for (row, side), pk in zip(sides, queue.request_many(orders), strict=True):
        setattr(row, f"generation_{side}_id", pk)
