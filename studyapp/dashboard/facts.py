"""A protocol in a researcher's words: its main numbers, and after unblinding its arms."""

from __future__ import annotations

from dataclasses import dataclass

from studyapp.models import Study
from studyapp.protocol import Protocol
from studyapp.services import waits


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value as shown."""

    name: str
    value: str


def main_numbers(study: Study) -> list[Fact]:
    """What a participant does and how long things last; nothing that tells arms apart."""
    spec = study.spec
    elicitation, judging, sessions = spec.elicitation, spec.judging, spec.sessions
    controls = ", ".join(f"{control.items} {control.kind}" for control in spec.controls) or "none"
    low, high = spec.normalise.words
    return [
        Fact("Places", str(spec.seats) if spec.seats else "drawn as needed"),
        Fact("Target", f"{spec.target_participants} people" if spec.target_participants else "no cap"),
        Fact("Elicitation", _asked(elicitation.shots, elicitation.probes, elicitation.repeats)),
        Fact("Judged pairs", f"{spec.main_items} in {_count(len(spec.comparisons), 'comparison')}"),
        Fact("Controls", controls),
        Fact("Scale", f"{judging.scale.replace('+', ' and ')}; reason {judging.reason}"),
        Fact("Break", f"every {judging.break_every} pairs" if judging.break_every else "none"),
        Fact("Length of a text", f"{low}–{high} words, {_count(spec.normalise.tries, 'try', 'tries')}"),
        Fact("Wait", f"{spec.wait.deadline_s} s, then people may leave paid"),
        Fact("Absence", f"place kept {sessions.lease_min} min, resume within {sessions.resume_hours} h"),
    ]


def waiting(study: Study) -> Fact:
    """The wait for the first pair to judge, as the pace of workers lets expect."""
    found = waits.of_study(study)
    if found is None:
        return Fact("Expected wait", "not measured yet")
    crowd = "; ".join(
        f"{'alone' if people == 1 else f'{people} at once'} {seconds:.0f} s" for people, seconds in found.wait_s.items()
    )
    return Fact("Expected wait", f"{crowd}. Workers keep up with {found.people_per_hour:,.0f} people an hour")


def _asked(shots: int, probes: int, repeats: int) -> str:
    return f"{_count(shots, 'shot')}, {_count(probes, 'probe')}, {_count(repeats, 'repeat')}"


def _count(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"


@dataclass(frozen=True, slots=True)
class Arm:
    """An arm as an unblinded study shows it."""

    name: str
    model: str
    source: str
    context: str
    shots: int


def arms(study: Study) -> list[Arm]:
    """The arms of an unblinded study; none before."""
    if not study.is_unblinded:
        return []
    spec = study.spec
    return [_arm(spec, name) for name in spec.arms]


def _arm(spec: Protocol, name: str) -> Arm:
    arm = spec.arms[name]
    model = spec.models[arm.model]
    source = f"{model.engine} {model.source}".strip()
    return Arm(name, arm.model, source, arm.context.replace("_", " "), spec.arm_shots(name))


def comparisons(study: Study) -> list[str]:
    """Names of the comparisons of an unblinded study; none before."""
    if not study.is_unblinded:
        return []
    primary = study.spec.primary
    names = dict.fromkeys(comparison.name for comparison in study.spec.comparisons)
    return [f"{name} ({'primary' if name in primary else 'secondary'})" for name in names]
