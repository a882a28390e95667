"""Warnings: what a study may do, and what its author would probably rather know before people come."""

from __future__ import annotations

import re
from collections.abc import Iterator

from studyapp.protocol.asking import ControlDef
from studyapp.protocol.availability import as_toml
from studyapp.protocol.loaded import Loaded
from studyapp.protocol.making import OWN_CONTEXTS
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem
from studyapp.protocol.running import Exits

FEW_QUESTIONS = 30
TOKENS_PER_WORD = 1.3
_PLACEHOLDER = re.compile(r"\bREPLACE\b|\breplace-me\b|\byour-lab\b|@example\.(?:org|com)\b|\bTODO\b")


def hints(loaded: Loaded, file: str) -> list[Problem]:
    """Every warning but those of reading time, pay, and keys that are not available yet."""
    if loaded.protocol is None:
        return []
    protocol = loaded.protocol
    return [
        *(Problem(file, *fault) for fault in _unused(protocol)),
        *(Problem(file, *fault) for fault in _pointless(protocol)),
        *(Problem(file, *fault) for fault in _unreachable(protocol)),
        *(Problem(file, *fault) for fault in _room_for_tokens(protocol)),
        *(Problem(file, *fault) for fault in _weights(protocol)),
        *(Problem(file, *fault) for fault in _scores(protocol)),
        *_banks(loaded, file),
        *_placeholders(loaded, file),
    ]


def _unused(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    used = {arm for c in protocol.comparisons for arm in (c.treatment, c.baseline)}
    used |= {control.arm for control in protocol.controls if control.arm}
    for name in protocol.arms:
        if name not in used:
            yield f"arms.{name}", "is in no comparison", "compare it or remove it"
    models = {arm.model for arm in protocol.arms.values()}
    models |= {model.reference for model in protocol.models.values() if model.reference}
    for name in protocol.models:
        if name not in models:
            yield f"models.{name}", "is used by no arm", "use it or remove it"


def _pointless(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    for number, comparison in enumerate(protocol.comparisons, start=1):
        if not {comparison.treatment, comparison.baseline} <= set(protocol.arms):
            continue
        same = protocol.arm_sampling(comparison.treatment) == protocol.arm_sampling(comparison.baseline)
        if comparison.differs_because and same:
            yield f"comparisons[{number}].differs_because", "explains a difference that is not there", "remove it"
    for number, control in enumerate(protocol.controls, start=1):
        for key, kind in (("lag", "repeat"), ("path", "null")):
            default = ControlDef.model_fields[key].default
            if control.kind != kind and getattr(control, key) != default:
                yield f"controls[{number}].{key}", f"means nothing for the control {control.kind}", "remove it"


def _unreachable(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    checks = sum(control.items for control in protocol.controls if control.kind == "attention")
    if protocol.exits.failed_checks and checks < protocol.checks_to_fail:
        yield (
            "exits.failed_checks",
            f"is for people who miss {protocol.checks_to_fail} attention checks or more, and there are {checks}",
            f"add controls of kind attention, {protocol.checks_to_fail} items or more in all, or remove it",
        )


def _room_for_tokens(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    needed = round(protocol.normalise.words[1] * TOKENS_PER_WORD)
    for name in protocol.arms:
        limit = protocol.arm_sampling(name).max_tokens
        if limit < needed:
            yield (
                f"arms.{name}",
                f"has max_tokens = {limit}, which may cut a text of {protocol.normalise.words[1]} words",
                f"allow {needed} or more",
            )


def _weights(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    for name, model in protocol.models.items():
        at_hub = re.fullmatch(r"[\w.-]+/[\w.-]+", model.source) and not model.source.startswith(".")
        if model.engine in ("transformers", "vllm") and at_hub and not model.revision:
            yield (
                f"models.{name}.revision",
                "is not set, so that a later run may get other weights",
                "pin the commit of the weights if the source is a hub id",
            )


def _scores(protocol: Protocol) -> Iterator[tuple[str, str, str]]:
    """Probes are there to be scored by the models that people's shots condition."""
    if not protocol.elicitation.probes:
        return
    names = {arm.model for arm in protocol.arms.values() if arm.context in OWN_CONTEXTS} & set(protocol.models)
    for name in sorted(names):
        model = protocol.models[name]
        if protocol.base_model(name).options.get("lora"):
            yield (
                f"models.{name}",
                "scores no probes: vLLM has no log-probabilities of a prompt while it serves adapters",
                "merge the adapter into a model of its own, or expect no personalisation fidelity",
            )
        elif model.engine == "openai":
            yield (
                f"models.{name}.engine",
                "scores probes only where the server returns log-probabilities of a prompt, and repeats a text only "
                "where it honours seeds",
                "use a server of vLLM, or expect no personalisation fidelity and no replay",
            )


def _banks(loaded: Loaded, file: str) -> Iterator[Problem]:
    protocol = loaded.protocol
    judged = sum(row.use == "judge" for row in loaded.questions)
    if protocol and not protocol.demo and 0 < judged < FEW_QUESTIONS:
        what = f"has {judged} questions to judge; intervals over questions are wide under {FEW_QUESTIONS}"
        yield Problem("questions.jsonl", "", what, f"write {FEW_QUESTIONS} or more")
    controls = {control.kind for control in protocol.controls} if protocol else set()
    if loaded.attention and "attention" not in controls:
        yield Problem("attention.jsonl", "", "is not used", "add a control of kind attention or remove the file")
    for row in loaded.candidates:
        if re.search(r"^#", row.text, re.MULTILINE):
            what = "has a line that begins with #, which the prompt layout uses for its own headings"
            yield Problem("candidates.jsonl", row.id, what, "write plain paragraphs")


def _placeholders(loaded: Loaded, file: str) -> Iterator[Problem]:
    protocol = loaded.protocol
    if protocol is None:
        return
    texts = {f"exits.{way}": protocol.exits.value(way) for way in Exits.model_fields}
    texts |= {f"privacy.{key}": str(getattr(protocol.privacy, key)) for key in type(protocol.privacy).model_fields}
    texts |= {f"models.{name}.source": model.source for name, model in protocol.models.items()}
    for where, text in texts.items():
        if found := _PLACEHOLDER.search(text):
            yield Problem(file, where, f"still holds {as_toml(found[0])}", "fill it in before people come")
    for name, text in loaded.documents.items():
        if found := _PLACEHOLDER.search(text):
            line = text.count("\n", 0, found.start()) + 1
            what = f"still holds {as_toml(found[0])}"
            yield Problem(f"{name}.md", f"line {line}", what, "fill it in before people come")
