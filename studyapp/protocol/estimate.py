"""What a study asks of people: words, minutes, pay an hour."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean

from studyapp.protocol.banks import words_in
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem

TOML = "study.toml"
SPEEDS = (180, 238, 300)
USUAL_SPEED = 238
LONGEST_MINUTES = 35
ELICIT_DECISION_S = 6
JUDGE_DECISION_S = 10
REASON_S = {"off": 0, "optional": 10, "required": 30}


@dataclass(frozen=True)
class Budget:
    """Expected cost of a completed study to one person.

    `words`: words to read by part. `decisions_s`: seconds for choosing, typing apart from reading. `minutes`: whole
    duration by reading speed in words a minute. `pay_per_hour`: by the same speeds; None when no amount is given.
    """

    words: dict[str, int]
    labelled_pairs: int
    judged_pairs: int
    decisions_s: int
    minutes: dict[int, float]
    currency: str
    amount: float | None
    pay_per_hour: dict[int, float] | None

    @property
    def total_words(self) -> int:
        """All words to read."""
        return sum(self.words.values())


def budget(loaded: Loaded) -> Budget:
    """The estimate for a folder. Raises ValueError when it has no valid protocol.

    Words: the documents; each labelled pair (shots, probes, repeats) as an average question to elicit with two average
    candidates; each judged pair as an average question to judge with two texts in the middle of [normalise] words;
    attention pairs as they are on average. Time: reading, and for every pair a stated time to decide.
    """
    protocol = loaded.protocol
    if protocol is None:
        raise ValueError("study.toml is not valid: mend its problems, then ask for the estimate.")
    labelled = protocol.elicitation.shots + protocol.elicitation.probes + protocol.elicitation.repeats
    judged = protocol.main_items + protocol.control_items
    words = {name: words_in(text) for name, text in loaded.documents.items()}
    words |= {"labelled pairs": round(labelled * _labelled_pair(loaded)), "judged pairs": _judged(loaded, protocol)}
    decide = labelled * ELICIT_DECISION_S + judged * (JUDGE_DECISION_S + REASON_S[protocol.judging.reason])
    total = sum(words.values())
    minutes = {speed: round(total / speed + decide / 60, 1) for speed in SPEEDS}
    amount = protocol.pay.amount
    per_hour = None if amount is None else {s: round(amount * 60 / max(m, 0.1), 2) for s, m in minutes.items()}
    return Budget(words, labelled, judged, decide, minutes, protocol.pay.currency, amount, per_hour)


def mean_words(texts: Iterable[str]) -> float:
    """Words of an average text; 0 without texts."""
    lengths = [words_in(text) for text in texts]
    return fmean(lengths) if lengths else 0.0


def _labelled_pair(loaded: Loaded) -> float:
    asked = {row.id: row.text for row in loaded.questions if row.use == "elicit"}
    answers = (row.text for row in loaded.candidates if row.question in asked)
    return mean_words(asked.values()) + 2 * mean_words(answers)


def _judged(loaded: Loaded, protocol: Protocol) -> int:
    attention = sum(control.items for control in protocol.controls if control.kind == "attention")
    pairs = protocol.main_items + protocol.control_items - attention
    question = mean_words(row.text for row in loaded.questions if row.use == "judge")
    total = pairs * (question + sum(protocol.normalise.words))
    total += attention * mean_words(f"{row.text} {row.expected} {row.other}" for row in loaded.attention)
    return round(total)


def budget_warnings(loaded: Loaded) -> list[Problem]:
    """A study too long, paid under its own floor, over its ceiling, or longer than people are told."""
    protocol = loaded.protocol
    if protocol is None:
        return []
    cost, pay, found = budget(loaded), protocol.pay, []
    usual = cost.minutes[USUAL_SPEED]
    if usual > LONGEST_MINUTES:
        what = f"takes about {usual:.0f} minutes at {USUAL_SPEED} words a minute, over {LONGEST_MINUTES}"
        found.append(Problem(TOML, "", what, "lower shots, items or word windows, or split the study"))
    if pay.minutes is not None and usual > pay.minutes * 1.1:
        what = f"says {pay.minutes:g}, but about {usual:.0f} are likely at {USUAL_SPEED} words a minute"
        found.append(Problem(TOML, "pay.minutes", what, f"say {usual:.0f}, or ask less"))
    if cost.pay_per_hour and pay.floor_per_hour and cost.pay_per_hour[USUAL_SPEED] < pay.floor_per_hour:
        what = f"comes to {cost.pay_per_hour[USUAL_SPEED]:.2f} {pay.currency} an hour, under {pay.floor_per_hour:g}"
        fair = pay.floor_per_hour * usual / 60
        found.append(Problem(TOML, "pay.amount", what, f"pay {fair:.2f} or more, or ask less"))
    if pay.amount and pay.ceiling is not None and protocol.seats and pay.amount * protocol.seats > pay.ceiling:
        what = f"is under the {pay.amount * protocol.seats:.2f} that {protocol.seats} people cost"
        found.append(Problem(TOML, "pay.ceiling", what, "raise it, or take fewer people"))
    return found
