"""How long people will wait for texts, at the pace that workers have shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from typing import Protocol as Shape

from studyapp.protocol.estimate import ELICIT_DECISION_S, USUAL_SPEED, mean_words
from studyapp.protocol.making import OWN_CONTEXTS
from studyapp.protocol.model import Protocol

CROWDS = (1, 10, 50)


class Pace(Shape):
    """What is known of a model's speed; `inference.pace.Pace` is one."""

    @property
    def texts(self) -> int:
        """Texts measured."""

    @property
    def per_second(self) -> float:
        """Texts a second, while there is work."""

    @property
    def seconds_each(self) -> float:
        """From claim to text."""


@dataclass(frozen=True)
class Waits:
    """`head_start_s`: seconds that probes and repeats take, during which texts are made. `wait_s`: the longest wait for
    the first pair to judge, by how many people label their last shot in the same moment. `people_per_hour`: as many as
    the workers make all texts for.
    """

    head_start_s: float
    wait_s: dict[int, float]
    people_per_hour: float
    measured_on: int


def texts_of_one(protocol: Protocol) -> dict[str, tuple[int, int]]:
    """By base model's key: texts of one person that come first (a description and the first answer), and all of them,
    those made ahead for the person's seat included.
    """
    every: Counter[str] = Counter()
    described: dict[str, str] = {}
    first: Counter[str] = Counter()
    for comparison in protocol.comparisons:
        for name in (comparison.treatment, comparison.baseline):
            arm, key = protocol.arms[name], protocol.model_spec(name).key
            if arm.context not in OWN_CONTEXTS and arm.samples == "shared":
                continue
            every[key] += comparison.items
            if arm.context in OWN_CONTEXTS:
                first[key] = max(first[key], 1)
                described |= {name: key} if arm.rationale else {}
    for key in described.values():
        every[key] += 1
    for key in set(described.values()):
        first[key] = 2
    return {key: (first[key], every[key]) for key in every}


def pair_words(questions: Iterable[str], candidates: Iterable[str]) -> float:
    """Words of an average pair to label: its question and two candidates."""
    return mean_words(questions) + 2 * mean_words(candidates)


def waits(protocol: Protocol, words: float, paces: Mapping[str, Pace]) -> Waits | None:
    """The estimate at these paces, by base model's key; None when one is not known. `words`: see `pair_words`."""
    needed = texts_of_one(protocol)
    if not needed or set(needed) - set(paces):
        return None
    labelled = protocol.elicitation.probes + protocol.elicitation.repeats
    head_start = labelled * (words / USUAL_SPEED * 60 + ELICIT_DECISION_S)
    wait = {people: max(0.0, _first(needed, paces, people) - head_start) for people in CROWDS}
    hourly = min(3600 * paces[key].per_second / every for key, (_, every) in needed.items())
    return Waits(
        round(head_start, 1),
        {people: round(s, 1) for people, s in wait.items()},
        round(hourly, 1),
        min(paces[key].texts for key in needed),
    )


def _first(needed: Mapping[str, tuple[int, int]], paces: Mapping[str, Pace], people: int) -> float:
    """Seconds until the last of so many people has a first pair: no sooner than one text takes, one after the other."""
    return max(
        (max(first * paces[key].seconds_each, people * first / paces[key].per_second))
        for key, (first, _) in needed.items()
    )


def render_waits(protocol: Protocol, found: Waits | None) -> list[str]:
    """Lines of a report on waiting."""
    lines = ["How long people wait for texts"]
    if found is None:
        return [*lines, "  not known     too few texts of these models were made here: simulate the study first"]
    crowd = ", ".join(_wait(people, seconds) for people, seconds in found.wait_s.items())
    lines += [
        f"  head start   {found.head_start_s:.0f} s of probes and repeats after the last shot",
        f"  first pair   {crowd}, at the pace of the latest {found.measured_on} texts",
        f"  workers      keep up with {found.people_per_hour:,.0f} people an hour",
    ]
    late = [people for people, seconds in found.wait_s.items() if seconds > protocol.wait.deadline_s]
    if late:
        lines.append(f"  too slow     {late[0]} at once wait past [wait] deadline_s = {protocol.wait.deadline_s}")
    return lines


def _wait(people: int, seconds: float) -> str:
    who = "alone" if people == 1 else f"{people} at once"
    return f"{who} {seconds:.0f} s"


def waits_json(found: Waits | None) -> dict[str, Any] | None:
    """The estimate as plain JSON values."""
    return None if found is None else {**vars(found)}
