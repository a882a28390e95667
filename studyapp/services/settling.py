"""What follows when texts come: pairs matched and made ready, answers asked for behind a description."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import ceil, floor
from typing import Any

from django.db import transaction
from django.db.models import F, QuerySet

from annotations.models import Comparison
from annotations.services import settle as settle_texts
from annotations.services import settle_person, showing, void
from inference import queue
from inference.models import Generation
from studyapp.models import Participant, spec_of
from studyapp.protocol import Protocol
from studyapp.services import texts

READY = Generation.State.READY
MISSING = (Generation.State.QUEUED, Generation.State.RUNNING)
GONE = (Generation.State.FAILED, Generation.State.DISCARDED)


def settle(generation_ids: Sequence[int]) -> list[int]:
    """Texts came or failed: match the other texts of their pairs to them, settle them; the people they concern."""
    _go_on_with_described(generation_ids)
    pairs = list(_sides(Comparison.objects.filter(showing(generation_ids))))
    _match(pairs)
    if pairs:
        settle_texts(generation_ids)
    return sorted({pair.participant_id for pair in pairs})


def settle_all(participant: Participant) -> None:
    """Settle every pair of a person: what the wait page's poll and the sweep call, should a bell have been lost."""
    if any(arm.rationale for arm in participant.study.spec.arms.values()):
        _go_on_with_described(texts.descriptions_of(participant.pk).values_list("id", flat=True))
    _match(_sides(Comparison.objects.filter(participant=participant, state=Comparison.State.PLANNED)))
    settle_person(participant.pk)


def _go_on_with_described(generation_ids: Iterable[int]) -> None:
    """RAT: descriptions among these texts lead to their participants' answers.

    Under the participant's lock, so that nothing is asked for somebody who withdraws at the same moment.
    """
    there = Generation.objects.filter(pk__in=generation_ids, purpose=Generation.Purpose.DESCRIPTION, state=READY)
    for owner_id, arm, text in there.values_list("owner_id", "arm", "text"):
        with transaction.atomic():
            people = Participant.objects.select_for_update(of=("self",)).select_related("study")
            owner = people.filter(pk=owner_id).first()
            if owner is not None and owner.is_unfinished:
                texts.request_described(owner, arm, text)


def is_lost(pair: Comparison) -> bool:
    """True when a text of the pair cannot come any more: it failed, or the description that it waits for did."""
    if pair.state == Comparison.State.READY:
        return False
    sides = (pair.generation_a, pair.generation_b)
    if any(side is not None and side.state in GONE for side in sides):
        return True
    if None not in sides:
        return False
    arms = Comparison.objects.filter(pk=pair.pk).values_list("arm_a", "arm_b")
    return texts.descriptions_of(pair.participant_id).filter(arm__in=arms[0], state__in=GONE).exists()


def _sides(pairs: QuerySet[Comparison]) -> QuerySet[Comparison]:
    """Pairs with what is compared of their texts: state, words and sampling."""
    return pairs.annotate(
        study_id=F("participant__study_id"),
        protocol_hash=F("participant__study__protocol_hash"),
        version=F("participant__study__version"),
        **{f"state_{side}": F(f"generation_{side}__state") for side in "ab"},
        **{f"words_{side}": F(f"generation_{side}__words") for side in "ab"},
        **{f"sampling_{side}": F(f"generation_{side}__request__sampling") for side in "ab"},
    ).only("participant_id", "state", "arm_a", "arm_b", "generation_a_id", "generation_b_id")


def _match(pairs: Iterable[Any]) -> None:
    """What two texts of a planned pair must have in common.

    Length: where one is there, the other is asked for within [normalise] pair_ratio of its words, whichever comes
    second, of either arm; nothing that is there is made again. Sampling: a pair with a text that was not sampled as
    the protocol says for its arm is void.
    """
    windows, unmatched = dict[int, tuple[int, int]](), list[int]()
    for pair in pairs:
        if pair.state != Comparison.State.PLANNED or pair.generation_a_id is None or pair.generation_b_id is None:
            continue
        spec = spec_of(pair.study_id, pair.protocol_hash, pair.version)
        if pair.state_a == pair.state_b == READY:
            unmatched += [pair.pk] if not _as_declared(spec, pair) else []
        elif pair.state_a == READY and pair.words_a and pair.state_b in MISSING:
            windows[pair.generation_b_id] = _around(pair.words_a, spec.normalise.pair_ratio)
        elif pair.state_b == READY and pair.words_b and pair.state_a in MISSING:
            windows[pair.generation_a_id] = _around(pair.words_b, spec.normalise.pair_ratio)
    if windows:
        queue.narrow(windows)
    if unmatched:
        void(unmatched, Comparison.VoidReason.UNMATCHED)


def _around(words: int, ratio: float) -> tuple[int, int]:
    return ceil(words / ratio), floor(words * ratio)


def _as_declared(spec: Protocol, pair: Any) -> bool:
    made = ((pair.arm_a, pair.sampling_a), (pair.arm_b, pair.sampling_b))
    return all(arm in spec.arms and asdict(spec.arm_sampling(arm)) == sampling for arm, sampling in made)
