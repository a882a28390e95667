"""Whether seats can be drawn from a spec at all, and if not, why not: every reason in one sentence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from annotations.plan_types import PlanControl, PlanQuestion, PlanSpec

FRESH = ("null", "identical")
BUILT = (*FRESH, "repeat", "attention")


def topic_of(question: PlanQuestion) -> str:
    """The topic as it is compared: outer blanks and letter case do not count."""
    return question.topic.strip().casefold()


def fresh_items(spec: PlanSpec) -> int:
    """Judged pairs of a seat that take a question of the judging bank: comparisons, null and identical controls."""
    return sum(c.items for c in spec.comparisons) + sum(c.items for c in spec.controls if c.kind in FRESH)


def attention_pool(spec: PlanSpec, control: PlanControl) -> list[PlanQuestion]:
    """The attention questions this control may show."""
    return [q for q in spec.attention if not control.questions or q.key in control.questions]


def problems(spec: PlanSpec) -> list[str]:
    """Every reason why no seat can be drawn, as sentences for the study's author; empty when seats can be drawn."""
    found = [*_numbers(spec), *_banks(spec), *_comparisons(spec)]
    for control in spec.controls:
        found.extend(_control(spec, control))
    return found or [*_attention(spec), *_room(spec), *_topics(spec), *_lag(spec)]


def _numbers(spec: PlanSpec) -> Iterator[str]:
    for name in ("shots", "probes", "repeats"):
        if getattr(spec, name) < 0:
            yield f"{name} is {getattr(spec, name)}; use 0 or more"
    if spec.repeats > spec.shots:
        yield f"repeats is {spec.repeats} but there are only {spec.shots} shots to show again; lower repeats"
    if spec.overlap not in ("none", "off"):
        yield f'overlap = "{spec.overlap}" is not available; use "none" or "off"'
    for arm in spec.arms:
        if not 0 <= arm.shots <= spec.shots:
            yield f"arm {arm.name} takes {arm.shots} shots but a participant gives {spec.shots}; use 0 to {spec.shots}"


def _banks(spec: PlanSpec) -> Iterator[str]:
    banks = {"elicitation": spec.elicit, "judging": spec.judge, "attention": spec.attention}
    for name, bank in banks.items():
        for key, times in Counter(q.key for q in bank).items():
            if times > 1:
                yield f"question {key} stands {times} times in the {name} bank; keep one"
    for question in spec.elicit:
        if len(question.candidates) < 2:
            yield f"elicitation question {question.key} has {len(question.candidates)} answers; give it at least two"
    for question in spec.attention:
        if len(question.candidates) != 2:
            yield (
                f"attention question {question.key} has {len(question.candidates)} candidate answers; "
                "give it two, the expected one first"
            )
    for question in (*spec.elicit, *spec.attention):
        if len(set(question.candidates)) < len(question.candidates):
            yield f"question {question.key} names the same candidate answer twice; keep one"


def _comparisons(spec: PlanSpec) -> Iterator[str]:
    if not spec.comparisons:
        yield "there is no comparison; add one, the first judged pair belongs to it"
    known = {arm.name for arm in spec.arms}
    for (treatment, baseline), times in Counter((c.treatment, c.baseline) for c in spec.comparisons).items():
        if times > 1:
            yield f"comparison {treatment} > {baseline} stands {times} times; join them and add their items up"
        if treatment == baseline:
            yield f"comparison {treatment} > {baseline} compares an arm with itself; name two arms"
        yield from (
            f"comparison {treatment} > {baseline} names the unknown arm {arm}; use one of {', '.join(sorted(known))}"
            for arm in (treatment, baseline)
            if known and arm not in known
        )
    for comparison in spec.comparisons:
        name = f"comparison {comparison.treatment} > {comparison.baseline}"
        if comparison.kind != "arms":
            yield f'comparison kind "{comparison.kind}" is not available; use "arms"'
        if comparison.items < 1:
            yield f"{name} has {comparison.items} items; use 1 or more"


def _control(spec: PlanSpec, control: PlanControl) -> Iterator[str]:
    name = f"control {control.kind}"
    if control.kind not in BUILT:
        yield f"{name} is not available; use one of {', '.join(BUILT)}"
    if control.items < 1:
        yield f"{name} has {control.items} items; use 1 or more"
    if control.kind in FRESH and not control.arm:
        yield f"{name} has no arm; name the arm whose two texts it shows"
    if control.arm and spec.arms and control.arm not in {arm.name for arm in spec.arms}:
        yield f"{name} names the unknown arm {control.arm}; use one of {', '.join(a.name for a in spec.arms)}"
    if control.kind == "repeat" and control.lag < 1:
        yield f"{name} has lag {control.lag}; use 1 or more"
    for key in sorted(set(control.questions) - {q.key for q in spec.attention}):
        yield f"{name} names the unknown attention question {key}; use one of the attention bank"


def _attention(spec: PlanSpec) -> Iterator[str]:
    """Two attention controls may share questions, so the pools are checked together (Hall's condition)."""
    wanted = [c for c in spec.controls if c.kind == "attention"]
    for chosen in _subsets(wanted):
        pool = {q.key for c in chosen for q in attention_pool(spec, c)}
        items = sum(c.items for c in chosen)
        if items > len(pool):
            yield f"attention controls need {items} questions a seat but there are {len(pool)}; lower items"
            return


def _subsets(controls: Sequence[PlanControl]) -> Iterator[list[PlanControl]]:
    if len(controls) > 8:
        yield list(controls)
        return
    for mask in range(1, 1 << len(controls)):
        yield [c for i, c in enumerate(controls) if mask >> i & 1]


def _room(spec: PlanSpec) -> Iterator[str]:
    asked = spec.shots + spec.probes
    if asked > len(spec.elicit):
        yield (
            f"{spec.shots} shots and {spec.probes} probes need {asked} elicitation questions a seat "
            f"but there are {len(spec.elicit)}; add questions or lower shots and probes"
        )
    if fresh_items(spec) > len(spec.judge):
        yield (
            f"a seat judges {fresh_items(spec)} different questions but there are {len(spec.judge)} questions to judge"
            "; add questions or lower items"
        )


def _topics(spec: PlanSpec) -> Iterator[str]:
    if spec.overlap != "none":
        return
    blank = [q.key for q in (*spec.elicit, *spec.judge) if not topic_of(q)]
    if blank:
        yield f'overlap = "none" needs a topic for every question; {", ".join(blank[:5])} has none; fill topic in'
        return
    asked, judged = spec.shots + spec.probes, fresh_items(spec)
    if asked > len(spec.elicit) or judged > len(spec.judge):
        return
    most = most_judged(topic_counts(spec.elicit, spec.judge), asked)
    if most < judged:
        yield (
            f'overlap = "none": with {asked} elicitation questions on topics of their own, {max(most, 0)} questions to '
            f"judge are left, and a seat needs {judged}; add questions on other topics"
        )


def _lag(spec: PlanSpec) -> Iterator[str]:
    repeats = [c for c in spec.controls if c.kind == "repeat"]
    if not repeats:
        return
    shown, main = sum(c.items for c in repeats), sum(c.items for c in spec.comparisons)
    before = main + sum(c.items for c in spec.controls if c.kind != "repeat")
    lag = max(c.lag for c in repeats)
    if shown > main:
        yield f"repeat controls show {shown} pairs again but there are only {main} main pairs; lower items"
    if lag > before:
        yield f"a repeat {lag} positions later is impossible with {before} other pairs; lower lag to {before} or less"


def topic_counts(elicit: Iterable[PlanQuestion], judge: Iterable[PlanQuestion]) -> dict[str, tuple[int, int]]:
    """Per topic, how many elicitation questions and how many questions to judge it has."""
    asked = Counter(topic_of(q) for q in elicit)
    judged = Counter(topic_of(q) for q in judge)
    return {topic: (asked[topic], judged[topic]) for topic in sorted(asked | judged)}


def most_judged(counts: dict[str, tuple[int, int]], asked: int) -> int:
    """Most questions left to judge when topics are split so that `asked` elicitation questions fit; -1 if none fits.

    A knapsack over topics: `best[n]` is the most to judge with n (capped at `asked`) elicitation questions secured.
    """
    best = [0] + [-1] * asked
    for elicit, judge in counts.values():
        after = [-1] * (asked + 1)
        for have, most in enumerate(best):
            if most < 0:
                continue
            after[have] = max(after[have], most + judge)
            more = min(asked, have + elicit)
            after[more] = max(after[more], most)
        best = after
    return best[asked]
