"""What to ask the workers for: frozen requests from the protocol, the plan and a person's own shots."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from django.db.models import QuerySet

from annotations.models import Comparison, Preference
from annotations.services import link_texts
from annotations.written import Written
from inference import queue
from inference.contracts import GenerationRequest, Shot
from inference.models import Generation, Need
from studyapp.models import Participant, Question, Seat, Study
from studyapp.protocol import Protocol


def replicate_of(spec: Protocol, arm: str, seat_number: int) -> int:
    """Which sample of an unpersonalised text a seat uses: its own, or the shared one."""
    if not arm or is_personal(spec, arm) or spec.arms[arm].samples == "shared":
        return 0
    return seat_number


def is_personal(spec: Protocol, arm: str) -> bool:
    """True when the arm's context is made of the participant's own data."""
    return spec.arms[arm].context != "none"


def request_for(
    spec: Protocol, arm: str, question: str, shots: tuple[Shot, ...] = (), description: str | None = None
) -> GenerationRequest:
    """The frozen request of one answer; `description` is what RAT's first step wrote of the participant."""
    definition = spec.arms[arm]
    return GenerationRequest(
        model=spec.model_spec(arm),
        layout=spec.models[definition.model].layout,
        question=question,
        shots=shots,
        description=description,
        rationale=definition.rationale,
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


def request_personal(participant: Participant, study: Study) -> None:
    """The last shot is stored: ask for every text made from this person's shots, and for live null texts.

    An arm with a rationale is asked for its description of the person; its answers follow when that is there.
    """
    spec = study.spec
    rows = _PAIRS.all(participant.pk)
    shots = own_shots(participant)
    live = [(row, side) for row in rows for side in "ab" if _is_live(spec, row, side)]
    sides = [(row, side) for row, side in live if not spec.arms[_arm(row, side)].rationale]
    _request(study, participant.pk, Need.PERSONAL, sides, shots)
    link_texts({row.pk: row for row, _ in sides}.values())
    first: dict[str, Comparison] = {}
    for row, side in live:
        if spec.arms[_arm(row, side)].rationale:
            first.setdefault(_arm(row, side), row)
    queue.request_many([_description(study, participant.pk, arm, row, shots) for arm, row in first.items()])


def _description(study: Study, owner_id: int, arm: str, row: Comparison, shots: tuple[Shot, ...]) -> queue.Order:
    """RAT's first step, once a participant: asked with the prompt of their first judged question."""
    spec = study.spec
    request = request_for(spec, arm, row.question.text, latest(shots, spec.arm_shots(arm)))
    return queue.Order(
        study_id=study.pk,
        owner_id=owner_id,
        arm=arm,
        question_id=row.question_id,
        request=replace(request, purpose="description", window=None),
        need=Need.PERSONAL,
        position=0,
    )


def descriptions_of(participant_id: int) -> QuerySet[Generation]:
    """What RAT's first step writes of a person, one an arm."""
    return Generation.objects.filter(owner_id=participant_id, purpose=Generation.Purpose.DESCRIPTION)


def request_described(participant: Participant, arm: str, description: str) -> None:
    """RAT's second step: ask for the answers of an arm whose description of this person is there. Idempotent."""
    rows = _PAIRS.all(participant.pk)
    sides = [
        (row, side)
        for row in rows
        for side in "ab"
        if _arm(row, side) == arm and getattr(row, f"generation_{side}_id") is None
    ]
    if sides:
        _request(participant.study, participant.pk, Need.PERSONAL, sides, own_shots(participant), description)
        link_texts({row.pk: row for row, _ in sides}.values())


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


def hurry(participant: Participant) -> None:
    """Somebody waits: their next text goes before everyone's later ones."""
    rows = Comparison.objects.filter(participant=participant, state=Comparison.State.PLANNED)
    wanted = [pk for pair in rows.values_list("generation_a_id", "generation_b_id") for pk in pair if pk]
    if any(arm.rationale for arm in participant.study.spec.arms.values()):
        wanted += descriptions_of(participant.pk).values_list("id", flat=True)
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
    study: Study,
    owner_id: int | None,
    need: int,
    sides: list[tuple[Comparison, str]],
    shots: tuple[Shot, ...],
    description: str | None = None,
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
                request=request_for(spec, arm, row.question.text, used, description),
                replicate=0 if owner_id else (row.replicate_a if side == "a" else row.replicate_b),
                need=need,
                position=row.position if owner_id else row.seat.number * 100 + row.position,
            )
        )
    for (row, side), pk in zip(sides, queue.request_many(orders), strict=True):
        setattr(row, f"generation_{side}_id", pk)
