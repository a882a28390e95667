"""The arms: which checkpoint answers, and what it is given besides the question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from inference.contracts import GenerationRequest, ModelSpec, Purpose, Sampling, Shot
from inference.world import describe

if TYPE_CHECKING:
    from inference.training.evaluation.people import Person

Context = Literal["none", "own", "donor", "flipped", "gold"]
BASE = "base"
CHECKPOINTS = ("fspo", "plain", "pref-ft", "population")


@dataclass(frozen=True, slots=True)
class Arm:
    """A way to answer. `rationale`: a description of the user is made first and then given too (RAT)."""

    name: str
    checkpoint: str
    context: Context
    says: str
    rationale: bool = False

    @property
    def takes_shots(self) -> bool:
        """Whether shots of any kind are given."""
        return self.context in ("own", "donor", "flipped")

    def shown(self, shots: int) -> str:
        """The treatment's name with its number of shots, such as ``fspo@8``."""
        return f"{self.name}@{shots if self.takes_shots else 0}"


ARMS = {
    arm.name: arm
    for arm in (
        Arm(BASE, "fspo", "none", "the FSPO checkpoint without shots, same decoding"),
        Arm("prompted", "plain", "own", "few-shot prompting: the pretrained checkpoint with the user's shots"),
        Arm("pref-ft", "pref-ft", "own", "few-shot Pref-FT: tuned on preferred answers after shots"),
        Arm("population", "population", "none", "population IPO: trained and asked without shots"),
        Arm("fspo", "fspo", "own", "FSPO"),
        Arm("fspo+rat", "fspo", "own", "FSPO that first describes the user", rationale=True),
        Arm("oracle", "fspo", "gold", "the FSPO checkpoint with the true description, no shots"),
        Arm("donor", "fspo", "donor", "FSPO with another user's shots"),
        Arm("flipped", "fspo", "flipped", "FSPO with all labels of the user's shots turned round"),
    )
}
CONTROLS = ("donor", "flipped")


def given_shots(arm: Arm, person: Person, count: int) -> tuple[Shot, ...]:
    """The shots that the arm gives, the person's first `count`."""
    if arm.context == "own":
        return person.shots[:count]
    if arm.context == "donor":
        return person.donor[:count]
    return flipped(person.shots[:count]) if arm.context == "flipped" else ()


def flipped(shots: Sequence[Shot]) -> tuple[Shot, ...]:
    """The same pairs with the other text preferred."""
    return tuple(Shot(shot.question, shot.dispreferred, shot.preferred) for shot in shots)


def request(
    arm: Arm,
    person: Person,
    count: int,
    *,
    spec: ModelSpec,
    sampling: Sampling,
    purpose: Purpose = "answer",
    description: str | None = None,
) -> GenerationRequest:
    """The request that serving would freeze: `inference.prompts.build` makes the same bytes of it here and there.

    `description` is what RAT's first step said; the oracle's is the user's own.
    """
    return GenerationRequest(
        model=spec,
        layout="fspo",
        question=person.asked.text,
        shots=given_shots(arm, person, count),
        description=describe(person.user) if arm.context == "gold" else description,
        rationale=arm.rationale,
        purpose=purpose,
        sampling=sampling,
    )
