"""What must hold between the keys of a protocol. Each rule says which tables it reads: broken ones are not judged."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit

from studyapp.protocol.asking import ControlDef
from studyapp.protocol.draft import Draft
from studyapp.protocol.making import OWN_CONTEXTS, ArmDef, ModelDef
from studyapp.protocol.model import Protocol
from studyapp.protocol.problem import Problem
from studyapp.protocol.rules_analysis import analysis, exclusions
from studyapp.protocol.running import Exits

Fault = tuple[str, str, str]
Rule = Callable[[Protocol], Iterator[Fault]]
TAKES_ADAPTERS = ("vllm", "openai")
NEEDS_SOURCE = ("transformers", "vllm", "openai")
_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_PLACEHOLDER = re.compile(r"\{[^{}]*\}|[{}]")
_BUNDLED = re.compile(r"bundled:[a-z0-9][a-z0-9._-]*")


def wrong_with_protocol(draft: Draft, file: str, files: frozenset[str]) -> list[Problem]:
    """Every fault between sound tables of study.toml; `files` are the folder's known files."""
    found = [
        Problem(file, where, what, remedy)
        for tables, rule in RULES
        if draft.has(*tables)
        for where, what, remedy in rule(draft.protocol)
    ]
    if draft.has("forms"):
        found.extend(_form_files(draft.protocol, file, files))
    return found


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f'did you mean "{close[0]}"?' if close else f"use one of {', '.join(names)}, or declare {name}"


def _twice(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _places(protocol: Protocol) -> Iterator[Fault]:
    if protocol.max_enrolled is not None and protocol.max_enrolled < protocol.target_participants:
        yield (
            "max_enrolled",
            f"is {protocol.max_enrolled}, fewer than the {protocol.target_participants} people wanted",
            f"raise it to {protocol.target_participants} or more, or lower target_participants",
        )


def _elicitation(protocol: Protocol) -> Iterator[Fault]:
    asked = protocol.elicitation
    if asked.repeats > asked.shots:
        yield "elicitation.repeats", f"is {asked.repeats}, but only {asked.shots} shots can be repeated", "lower it"


def _models(protocol: Protocol) -> Iterator[Fault]:
    for name, model in protocol.models.items():
        yield from _source(f"models.{name}", model)
        if model.adapter is not None and model.engine not in TAKES_ADAPTERS:
            yield (
                f"models.{name}.adapter",
                f"cannot be used with the engine {model.engine}",
                f"use one of {', '.join(TAKES_ADAPTERS)}, or merge the adapter into the model",
            )
        if model.reference is not None and model.reference not in protocol.models:
            yield (
                f"models.{name}.reference",
                f'names the missing model "{model.reference}"',
                _did_you_mean(model.reference, protocol.models),
            )


def _source(where: str, model: ModelDef) -> Iterator[Fault]:
    if model.engine in NEEDS_SOURCE and not model.source.strip():
        yield f"{where}.source", f"is missing for the engine {model.engine}", 'give a path, a hub id or "bundled:NAME"'
    if "://" in model.source:
        yield (
            f"{where}.source",
            "is an address",
            "give a path, a hub id or \"bundled:NAME\"; base URLs come from the environment",
        )
    elif model.source.startswith("bundled:") and not _BUNDLED.fullmatch(model.source):
        yield f"{where}.source", "does not name a bundled model", 'write it like "bundled:palate-1"'


def _arms(protocol: Protocol) -> Iterator[Fault]:
    for name, arm in protocol.arms.items():
        where = f"arms.{name}"
        yield from _arm_model(where, arm, protocol)
        yield from _arm_context(where, arm)
        if arm.rationale and arm.context != "own_shots":
            yield (
                f"{where}.rationale",
                "describes a participant by their shots",
                'write context = "own_shots", or remove it',
            )
        if arm.context in OWN_CONTEXTS and arm.samples == "shared":
            yield (
                f"{where}.samples",
                f'"shared" texts cannot be made from {arm.context}',
                'write samples = "per_seat": such a text belongs to one person',
            )


def _arm_model(where: str, arm: ArmDef, protocol: Protocol) -> Iterator[Fault]:
    model = protocol.models.get(arm.model)
    if model is None:
        yield f"{where}.model", f'names the missing model "{arm.model}"', _did_you_mean(arm.model, protocol.models)
    elif arm.instruction is not None and model.layout != "chat":
        yield (
            f"{where}.instruction",
            f'has no place in the layout "{model.layout}" of model {arm.model}',
            'remove it, or give the model layout = "chat"',
        )


def _arm_context(where: str, arm: ArmDef) -> Iterator[Fault]:
    if arm.context == "own_shots" and arm.shots == 0:
        yield f"{where}.shots", 'is 0, but the context is "own_shots"', 'raise it, or write context = "none"'
    if arm.context == "none" and arm.shots:
        what = f'is {arm.shots}, but the context is "none"'
        yield f"{where}.shots", what, 'remove it, or write context = "own_shots"'


def _arm_shots(protocol: Protocol) -> Iterator[Fault]:
    for name, arm in protocol.arms.items():
        if arm.shots is not None and arm.shots > protocol.elicitation.shots:
            yield (
                f"arms.{name}.shots",
                f"is {arm.shots}, but a participant gives {protocol.elicitation.shots}",
                "lower it, or raise elicitation.shots",
            )


def _comparisons(protocol: Protocol) -> Iterator[Fault]:
    for number, comparison in enumerate(protocol.comparisons, start=1):
        if comparison.treatment == comparison.baseline:
            yield (
                f"comparisons[{number}].baseline",
                f'compares the arm "{comparison.treatment}" with itself',
                "name another arm as the baseline",
            )
    for name in _twice(comparison.name for comparison in protocol.comparisons):
        yield "comparisons", f"{name} stands there twice", "write one of them, with the sum of the items"


def _compared_arms(protocol: Protocol) -> Iterator[Fault]:
    for number, comparison in enumerate(protocol.comparisons, start=1):
        for role, arm in (("treatment", comparison.treatment), ("baseline", comparison.baseline)):
            if arm not in protocol.arms:
                what = f'names the unknown arm "{arm}"'
                yield f"comparisons[{number}].{role}", what, _did_you_mean(arm, protocol.arms)


def _matched(protocol: Protocol) -> Iterator[Fault]:
    for number, comparison in enumerate(protocol.comparisons, start=1):
        if not {comparison.treatment, comparison.baseline} <= set(protocol.arms) or comparison.differs_because:
            continue
        one, two = protocol.arm_sampling(comparison.treatment), protocol.arm_sampling(comparison.baseline)
        unlike = [key for key in ("temperature", "top_p", "max_tokens") if getattr(one, key) != getattr(two, key)]
        if unlike:
            yield (
                f"comparisons[{number}]",
                f"samples {comparison.treatment} and {comparison.baseline} differently ({', '.join(unlike)})",
                'give both arms the same sampling, or say why with differs_because = "..."',
            )


def _controls(protocol: Protocol) -> Iterator[Fault]:
    for number, control in enumerate(protocol.controls, start=1):
        yield from _control_arm(f"controls[{number}]", control, protocol)
    kinds = [(c.kind, c.arm, c.lag if c.kind == "repeat" else None) for c in protocol.controls]
    for kind, times in Counter(kinds).items():
        if times > 1:
            yield "controls", f"{kind[0]} stands there {times} times", "write one of them, with the sum of the items"


def _control_arm(where: str, control: ControlDef, protocol: Protocol) -> Iterator[Fault]:
    if control.kind not in ("null", "identical"):
        if control.arm is not None:
            yield f"{where}.arm", f"means nothing for the control {control.kind}", "remove it"
        return
    if control.arm is None:
        yield f"{where}.arm", f"is missing for the control {control.kind}", "name an arm without context"
        return
    arm = protocol.arms.get(control.arm)
    if arm is None:
        yield f"{where}.arm", f'names the unknown arm "{control.arm}"', _did_you_mean(control.arm, protocol.arms)
    elif control.kind == "null" and arm.context != "none":
        yield (
            f"{where}.arm",
            f'names "{control.arm}", whose context is "{arm.context}"',
            'name an arm with context = "none": one text of a null pair is made before people come',
        )


def _repeats(protocol: Protocol) -> Iterator[Fault]:
    repeats = [(n, c) for n, c in enumerate(protocol.controls, start=1) if c.kind == "repeat"]
    shown = sum(control.items for _, control in repeats)
    others = protocol.main_items + protocol.control_items - shown
    for number, control in repeats:
        if shown > protocol.main_items:
            yield (
                f"controls[{number}].items",
                f"repeats {shown} pairs, but a participant judges only {protocol.main_items}",
                f"lower it to {protocol.main_items} or less",
            )
        if control.lag > others:
            yield (
                f"controls[{number}].lag",
                f"is {control.lag}, but a seat has only {others} other pairs",
                f"lower it to {others} or less",
            )


def _also(protocol: Protocol) -> Iterator[Fault]:
    for name in _twice(also.id for also in protocol.judging.also):
        yield "judging.also", f'has the id "{name}" twice', "give each rating an id of its own"


def _exits(protocol: Protocol) -> Iterator[Fault]:
    for way in Exits.model_fields:
        value = protocol.exits.value(way)
        if value and (fault := _exit_fault(value)):
            yield f"exits.{way}", *fault


def _exit_fault(value: str) -> tuple[str, str] | None:
    if not any(character in value for character in ":/.?"):
        if _CODE.fullmatch(value):
            return None
        return "is not a completion code", "use letters, digits, - and _, at most 64, or an https address"
    try:
        parts = urlsplit(value)
        sound = parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        sound = False
    if not sound or re.search(r"[\s<>\"'\\^`|]", value):
        return "is not an https address", 'write it like "https://app.prolific.com/submissions/complete?cc=CODE"'
    unknown = [p for p in _PLACEHOLDER.findall(value) if p not in ("{participant}", "{session}")]
    if unknown:
        return f"holds {unknown[0]}", "only {participant} and {session} are filled in"
    return None


def _pay(protocol: Protocol) -> Iterator[Fault]:
    pay = protocol.pay
    if not pay.currency and any(v is not None for v in (pay.amount, pay.floor_per_hour, pay.ceiling)):
        yield "pay.currency", "is missing", 'add currency = "GBP" or another code of three letters'
    if pay.currency and pay.amount is None:
        yield "pay.amount", "is missing", "add the pay for a completed study"


def _named_twice(protocol: Protocol) -> Iterator[Fault]:
    for where, ids in (("forms", [f.id for f in protocol.forms]), ("exclusions", [e.id for e in protocol.exclusions])):
        for name in _twice(ids):
            yield where, f'has the id "{name}" twice', "give each an id of its own"


def _eligibility(protocol: Protocol) -> Iterator[Fault]:
    for slug in sorted(set(protocol.eligibility.not_in) & set(protocol.eligibility.only_in)):
        yield "eligibility.only_in", f'names "{slug}", which not_in names too', "keep it in one of the two"


def _form_files(protocol: Protocol, file: str, files: frozenset[str]) -> list[Problem]:
    found = []
    for number, form in enumerate(protocol.forms, start=1):
        if form.file not in files:
            what = f'names the missing file "{form.file}"'
            found.append(Problem(file, f"forms[{number}].file", what, "put it into the folder forms/"))
    return found


RULES: tuple[tuple[tuple[str, ...], Rule], ...] = (
    (("target_participants", "max_enrolled"), _places),
    (("elicitation",), _elicitation),
    (("models",), _models),
    (("arms", "models"), _arms),
    (("arms", "elicitation"), _arm_shots),
    (("comparisons",), _comparisons),
    (("comparisons", "arms"), _compared_arms),
    (("comparisons", "arms", "sampling"), _matched),
    (("controls", "arms"), _controls),
    (("controls", "comparisons"), _repeats),
    (("judging",), _also),
    (("analysis", "comparisons"), analysis),
    (("exits",), _exits),
    (("pay",), _pay),
    (("forms", "exclusions"), _named_twice),
    (("exclusions",), exclusions),
    (("eligibility",), _eligibility),
)
