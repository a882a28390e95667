"""What the numbers allow to be said, in one sentence; and when the word "personalised" is allowed."""

from __future__ import annotations

from studyapp.protocol import Protocol
from studyapp.report.evidence import Evidence, reach

OWN = ("own_shots", "own_description")
OTHERS = ("donor_shots", "population_shots")


def separating(spec: Protocol) -> list[str]:
    """The pre-registered comparisons that tell somebody's own taste from everybody's: swaps, and own choices against
    another person's or the population's."""
    declared = {*spec.primary, *spec.analysis.secondary}
    return [
        one.name
        for one in spec.comparisons
        if one.name in declared
        and (
            one.kind == "swap"
            or (spec.arms[one.treatment].context in OWN and spec.arms[one.baseline].context in OTHERS)
        )
    ]


def shown_personal(evidence: Evidence) -> list[str]:
    """The separating comparisons whose headline interval lies above one half; never of simulated people."""
    if evidence.simulated:
        return []
    found = []
    for name in separating(evidence.spec):
        interval = reach(evidence.rate(comparison=name))
        if interval is not None and interval[0] > 0.5:
            found.append(name)
    return found


def verdict(evidence: Evidence) -> str:
    """What the headline interval says about one half."""
    row = evidence.rate()
    focal, baseline = evidence.main.split(">")
    if row is None or row["win_rate"] is None:
        return f"Nobody judged {focal} against {baseline}: nothing can be said."
    interval = reach(row)
    if interval is None:
        return "One person alone gives no interval: nothing can be said about anybody else."
    if interval[0] > 0.5:
        return f"The interval lies above one half: {focal} was preferred over {baseline}."
    if interval[1] < 0.5:
        return f"The interval lies under one half: {baseline} was preferred over {focal}."
    return "The interval includes one half: no preference is shown, and none is excluded inside the interval."


def meaning(evidence: Evidence) -> str:
    """What the preference may be called."""
    named = shown_personal(evidence)
    if named:
        which = ", ".join(named)
        return f"The advantage is personalised: {which} was pre-registered and its interval lies above one half."
    if separating(evidence.spec):
        return (
            "Whose taste it is, is not shown: the pre-registered comparison with other people's choices does not "
            "lie above one half."
        )
    return (
        "Whose taste it is, is not shown: no swap, donor or population comparison was pre-registered, so this design "
        "does not tell a person's own taste from everybody's."
    )
