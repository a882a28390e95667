"""Asking what the conditioned models think of the pairs a person really chose from."""

from __future__ import annotations

from annotations.models import Preference
from inference import queue
from inference.prompts import continuation
from studyapp.models import Participant
from studyapp.protocol import Protocol
from studyapp.services.texts import is_personal, latest, own_shots, request_for


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
