"""From a study folder to what seats are drawn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from annotations.plan import PlanArm, PlanComparison, PlanControl, PlanQuestion, PlanSpec, problems
from studyapp.protocol.availability import availability
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.problem import Problem

EXPECTED, OTHER = "expected", "other"
BUILT_CONTROLS = ("null", "identical", "repeat", "attention")


def plan_spec(loaded: Loaded) -> PlanSpec:
    """The plan's specification. Raises ValueError when the folder has no valid protocol.

    An attention pair's candidates are called `expected` and `other`. Kinds that are not available yet are passed on:
    `annotations.plan.problems` names them.
    """
    protocol = loaded.protocol
    if protocol is None:
        raise ValueError("study.toml is not valid: mend its problems before seats are drawn.")
    candidates: dict[str, list[str]] = {}
    for row in loaded.candidates:
        candidates.setdefault(row.question, []).append(row.id)
    banks: dict[str, list[PlanQuestion]] = {"elicit": [], "judge": []}
    for question in loaded.questions:
        keys = tuple(candidates.get(question.id, ())) if question.use == "elicit" else ()
        banks[question.use].append(PlanQuestion(question.id, question.domain, question.topic, keys))
    asked = protocol.elicitation
    return PlanSpec(
        shots=asked.shots,
        probes=asked.probes,
        repeats=asked.repeats,
        elicit=tuple(banks["elicit"]),
        judge=tuple(banks["judge"]),
        attention=tuple(PlanQuestion(row.id, "attention", row.id, (EXPECTED, OTHER)) for row in loaded.attention),
        comparisons=tuple(
            PlanComparison(c.treatment, c.baseline, c.items, cast(Any, c.kind)) for c in protocol.comparisons
        ),
        controls=tuple(PlanControl(c.kind, c.items, c.arm, c.lag) for c in protocol.controls),
        overlap=asked.overlap,
        arms=tuple(PlanArm(name, protocol.arm_shots(name)) for name in protocol.arms),
    )


def wrong_with_plan(loaded: Loaded, file: str) -> list[Problem]:
    """Why no seat can be drawn, apart from kinds that are not available yet: those are warnings."""
    if loaded.protocol is None:
        return []
    spec = plan_spec(loaded)
    if availability(loaded.protocol):
        spec = replace(
            spec,
            comparisons=tuple(replace(c, kind="arms") for c in spec.comparisons),
            controls=tuple(c for c in spec.controls if c.kind in BUILT_CONTROLS),
            overlap="off" if spec.overlap == "factor" else spec.overlap,
        )
    return [_problem(sentence, file) for sentence in problems(spec)]


def _problem(sentence: str, file: str) -> Problem:
    what, _, remedy = sentence.rpartition("; ") if "; " in sentence else (sentence, "", "")
    where = "elicitation.overlap" if sentence.startswith("overlap") else "comparisons"
    return Problem(file, where, what, remedy or "change the numbers or the banks so that a seat can be drawn")
