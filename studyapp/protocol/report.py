"""`study check`: what is wrong, what the design is, and what it asks of people; as text and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from studyapp.protocol.estimate import (
    ELICIT_DECISION_S,
    JUDGE_DECISION_S,
    REASON_S,
    SPEEDS,
    USUAL_SPEED,
    Budget,
    budget,
)
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.model import Protocol


def to_json(loaded: Loaded) -> dict[str, Any]:
    """The result of a check as plain JSON values; `protocol` and `asks` are null when study.toml is not valid."""
    protocol = loaded.protocol
    return {
        "ok": not loaded.problems,
        "hash": loaded.hash,
        "problems": [problem.to_json() for problem in loaded.problems],
        "warnings": [warning.to_json() for warning in loaded.warnings],
        "protocol": protocol.model_dump(mode="json") if protocol else None,
        "banks": _bank_sizes(loaded),
        "asks": _asks(budget(loaded)) if protocol else None,
    }


def _bank_sizes(loaded: Loaded) -> dict[str, int]:
    uses = Counter(row.use for row in loaded.questions)
    return {
        "elicit": uses["elicit"],
        "judge": uses["judge"],
        "candidates": len(loaded.candidates),
        "attention": len(loaded.attention),
    }


def _asks(cost: Budget) -> dict[str, Any]:
    return {**asdict(cost), "total_words": cost.total_words}


def render_report(loaded: Loaded) -> str:
    """The result of a check for people; ends with what the study asks of its participants."""
    blocks = [_heading(loaded), _problems(loaded), _warnings(loaded)]
    if loaded.protocol:
        blocks.append(_design(loaded, loaded.protocol))
        blocks.append(_burden(budget(loaded), loaded.protocol))
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _heading(loaded: Loaded) -> list[str]:
    if loaded.protocol is None:
        return ["Study: study.toml cannot be used yet"]
    protocol = loaded.protocol
    return [f"Study {protocol.slug}@{protocol.version}: {protocol.title}", f"Hash  {loaded.hash}"]


def _problems(loaded: Loaded) -> list[str]:
    if not loaded.problems:
        return ["No problems."]
    return [f"Problems: {len(loaded.problems)}", *(f"  {problem}" for problem in loaded.problems)]


def _warnings(loaded: Loaded) -> list[str]:
    if not loaded.warnings:
        return []
    return [f"Warnings: {len(loaded.warnings)}", *(f"  {warning}" for warning in loaded.warnings)]


def _design(loaded: Loaded, protocol: Protocol) -> list[str]:
    sizes, asked = _bank_sizes(loaded), protocol.elicitation
    seats = f"{protocol.seats} seats" if protocol.seats else "seats without a cap"
    return [
        "Design",
        f"  people       {protocol.target_participants or 'no'} target, {seats}",
        f"  labelled     {asked.shots} shots, {asked.probes} probes, {asked.repeats} repeats "
        f"from {sizes['elicit']} questions with {sizes['candidates']} candidates",
        f"  judged       {protocol.main_items} pairs and {protocol.control_items} controls "
        f"from {sizes['judge']} questions",
        *_arms(protocol),
        *_pairs(protocol),
        f"  texts        {protocol.normalise.words[0]} to {protocol.normalise.words[1]} words, "
        f"{'plain paragraphs' if protocol.normalise.plain_text else 'markdown allowed'}, "
        f"at most {protocol.normalise.tries} tries",
        f"  judging      {protocol.judging.scale}, reason {protocol.judging.reason}: {protocol.judging.prompt}",
        *_analysis(protocol),
    ]


def _analysis(protocol: Protocol) -> Iterator[str]:
    keys = protocol.analysis
    more = [f"{name} {value:g}" for name in ("margin", "sesoi", "min_df") if (value := getattr(keys, name)) is not None]
    looks = ["looks by betting"] if keys.looks == "betting" else []
    listed = "; ".join([f"alpha {keys.alpha:g}", f"interval {keys.interval}", *more, *looks])
    yield f"  analysis     primary {', '.join(protocol.primary) or 'none'}; {listed}"
    for rule in protocol.exclusions:
        yield f"  exclusion    {rule.id}: {rule.metric} {rule.op} {rule.value:g}"


def _arms(protocol: Protocol) -> Iterator[str]:
    for name, arm in protocol.arms.items():
        model, sampling = protocol.models.get(arm.model), protocol.arm_sampling(name)
        source = f"{model.engine} {model.source} ({model.layout})" if model else "no model"
        shots = f", {protocol.arm_shots(name)} shots" if arm.context != "none" else ""
        yield (
            f"  arm          {name}: {source}; context {arm.context}{shots}; {arm.samples} samples; "
            f"temperature {sampling.temperature:g}, top_p {sampling.top_p:g}, max_tokens {sampling.max_tokens}"
        )


def _pairs(protocol: Protocol) -> Iterator[str]:
    for comparison in protocol.comparisons:
        yield f"  comparison   {comparison.name}: {comparison.items} pairs ({comparison.kind})"
    for control in protocol.controls:
        detail = f" of {control.arm}" if control.arm else f", {control.lag} later" if control.kind == "repeat" else ""
        yield f"  control      {control.kind}{detail}: {control.items}"


def _burden(cost: Budget, protocol: Protocol) -> list[str]:
    parts = ", ".join(f"{name} {words:,}" for name, words in cost.words.items())
    lines = [
        "What the study asks of one person",
        f"  choices      {cost.labelled_pairs} labelled and {cost.judged_pairs} judged pairs",
        f"  words        {cost.total_words:,} to read ({parts})",
        f"  deciding     {cost.decisions_s / 60:.1f} minutes ({ELICIT_DECISION_S} s a labelled pair, "
        f"{JUDGE_DECISION_S + REASON_S[protocol.judging.reason]} s a judged one)",
    ]
    for speed in SPEEDS:
        pay = ""
        if cost.pay_per_hour:
            pay = f", {cost.pay_per_hour[speed]:.2f} {cost.currency} an hour"
        usual = " (usual)" if speed == USUAL_SPEED else ""
        lines.append(f"  {speed} wpm      {cost.minutes[speed]:.0f} minutes{pay}{usual}")
    return lines
