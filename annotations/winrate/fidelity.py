"""Does the conditioned model know the person? Probe choices that never went into a context, against its scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from annotations.winrate.columns import Labels
from annotations.winrate.measures import Measure, mean, share
from annotations.winrate.sample import Codes, Floats, Sample


@dataclass(frozen=True, slots=True)
class Probe:
    """One probe of one person under one arm: log-probabilities of the chosen and of the other answer, conditioned on
    the person's choices and unconditioned (the arm's reference model)."""

    participant: str
    question: str
    arm: str
    chosen: float
    other: float
    chosen_unconditioned: float
    other_unconditioned: float


@dataclass(frozen=True, slots=True)
class Choice:
    """A labelled pair of one person: which of the two candidates was chosen; `probe` where it is one."""

    participant: str
    question: str
    chosen: str
    other: str
    probe: bool


def fidelity(probes: Sequence[Probe], choices: Sequence[Choice], level: float) -> list[Measure]:
    """By arm: `predicted_conditioned`, `predicted_unconditioned` (share of probes whose chosen answer is the likelier
    one; equal counts one half), `predicted_shift` (conditioning favours the chosen answer), `conditioned_minus`
    `_unconditioned` (difference of the two shares, p against zero). Then `predicted_by_majority`: what everybody else
    chose of the same two answers, over the probes that somebody else saw."""
    rows = []
    for arm in dict.fromkeys(probe.arm for probe in probes):
        rows += _of_arm(arm, [probe for probe in probes if probe.arm == arm], level)
    return [*rows, majority(choices, level)]


def _of_arm(arm: str, probes: Sequence[Probe], level: float) -> list[Measure]:
    people = Labels.of(probe.participant for probe in probes).codes
    questions = Labels.of(probe.question for probe in probes).codes
    conditioned = np.array([probe.chosen - probe.other for probe in probes], dtype=np.float64)
    plain = np.array([probe.chosen_unconditioned - probe.other_unconditioned for probe in probes], dtype=np.float64)
    sample = Sample(_credit(conditioned), people, questions, np.full(len(people), np.nan))
    difference = _credit(conditioned) - _credit(plain)
    return [
        share("predicted_conditioned", arm, _credit(conditioned), people, level),
        share("predicted_unconditioned", arm, _credit(plain), people, level),
        share("predicted_shift", arm, _credit(conditioned - plain), people, level),
        mean("conditioned_minus_unconditioned", arm, difference, sample, level),
    ]


def _credit(margins: Floats) -> Floats:
    """1 for a positive margin, 0 for a negative one, one half for none."""
    return (np.sign(margins) + 1) / 2


def majority(choices: Sequence[Choice], level: float) -> Measure:
    """`predicted_by_majority`: the other people's more frequent choice of the same two candidates, ties one half."""
    votes: Counter[tuple[str, str]] = Counter((choice.chosen, choice.other) for choice in choices)
    own: Counter[tuple[str, str, str]] = Counter((c.participant, c.chosen, c.other) for c in choices)
    credits, who = [], []
    for choice in choices:
        if not choice.probe:
            continue
        person, chosen, other = choice.participant, choice.chosen, choice.other
        with_it = votes[chosen, other] - own[person, chosen, other]
        against = votes[other, chosen] - own[person, other, chosen]
        if with_it + against:
            credits.append((float(np.sign(with_it - against)) + 1) / 2)
            who.append(person)
    people: Codes = Labels.of(who).codes
    return share("predicted_by_majority", "everybody else", np.array(credits, dtype=np.float64), people, level)
