"""Who is left out of an analysis set: settled when the study is unblinded, before anybody sees an arm."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from typing import Any

from django.db import transaction

from annotations.models import Comparison
from annotations.winrate.exclusions import COMPARED, Rule, applied
from studyapp.models import Event, Exclusion, Participant, Study
from studyapp.protocol import METRICS
from studyapp.protocol.metrics import RESERVED
from studyapp.services import standing
from studyapp.services.errors import StudyError
from studyapp.services.events import log
from studyapp.services.measured import measure

SETTLED, ADDED = "exclusions_settled", "exclusion_rule_added"
MAX_REASON = 500


def protocol_rules(study: Study) -> list[Rule]:
    """The rules that shape the per-protocol set: finished, attention checks passed (where there are any), and the
    protocol's own."""
    rules = [Rule("unfinished", "completed", "==", 0.0)]
    if any(control.kind == Comparison.Kind.ATTENTION for control in study.spec.controls):
        rules.append(Rule("attention", "attention_missed", ">=", 1.0))
    return rules + [Rule(rule.id, rule.metric, rule.op, rule.value) for rule in study.spec.exclusions]


def added_rules(study: Study) -> list[Rule]:
    """Rules that staff added after the study was opened, oldest first."""
    rows = Event.objects.filter(study=study, kind=ADDED).order_by("id")
    return [
        Rule(row.data["id"], row.data["metric"], row.data["op"], row.data["value"], row.data["post_hoc"])
        for row in rows
    ]


def settle(study: Study, actor: Any = None) -> int:
    """Measure everybody and write down who is left out by which rule; returns how many rows. Once a study."""
    settled = Event.objects.filter(study=study, kind=SETTLED)
    if settled.exists():
        return 0
    with transaction.atomic():
        Study.objects.select_for_update().get(pk=study.pk)
        if settled.exists():
            return 0
        rules = [*protocol_rules(study), *added_rules(study)]
        hits = _write(study, rules)
        counts = Counter(hit.rule for hit in hits)
        log(study, SETTLED, actor=actor, rules={rule.id: [str(rule), counts[rule.id]] for rule in rules})
    return len(hits)


def settled_late(study: Study) -> bool:
    """Whether the rules were applied only after the study had been unblinded."""
    settled = Event.objects.filter(study=study, kind=SETTLED).first()
    return bool(settled and study.unblinded_at and settled.at > study.unblinded_at)


def _write(study: Study, rules: Sequence[Rule]) -> list[Exclusion]:
    ids = dict(Participant.objects.filter(study=study).values_list("code", "id"))
    return Exclusion.objects.bulk_create(
        Exclusion(
            study=study,
            participant_id=ids[hit.participant],
            rule=hit.rule.id,
            metric=hit.rule.metric,
            op=hit.rule.op,
            threshold=hit.rule.value,
            measured=hit.measured,
            post_hoc=hit.rule.post_hoc,
        )
        for hit in applied(rules, measure(study))
    )


def add_rule(study: Study, rule: Rule, reason: str, actor: Any = None) -> int:
    """Add a rule to a study that was opened: never part of the per-protocol set, and post hoc once it is unblinded.

    Returns how many people it leaves out; None of them is known before unblinding, so it is 0 until then. Raises
    StudyError for a rule that means nothing or whose name is taken, and for a draft, whose protocol can be changed.
    """
    kept = " ".join(reason.split())
    with transaction.atomic():
        locked = Study.objects.select_for_update().get(pk=study.pk)
        _refuse(locked, rule, kept)
        placed = Rule(rule.id, rule.metric, rule.op, rule.value, post_hoc=locked.is_unblinded)
        hits = _write(locked, [placed]) if locked.is_unblinded else []
        log(
            locked, ADDED, actor=actor, id=placed.id, metric=placed.metric, op=placed.op, value=placed.value,
            post_hoc=placed.post_hoc, reason=kept,
        )  # fmt: skip
        standing.ask(locked)
    return len(hits)


def _refuse(study: Study, rule: Rule, reason: str) -> None:
    if not study.is_frozen:
        raise StudyError(f"{study} is a draft. Put the rule into its study.toml: [[exclusions]], and load it again.")
    if study.state == Study.State.ARCHIVED:
        raise StudyError(f"{study} is archived; nothing about it changes any more.")
    if not reason or len(reason) > MAX_REASON:
        raise StudyError(f'A rule needs a reason of 1 to {MAX_REASON} characters; it is logged: --reason "why".')
    if rule.metric not in METRICS:
        raise StudyError(f'"{rule.metric}" is no metric; use one of {", ".join(METRICS)}.')
    if rule.op not in COMPARED:
        raise StudyError(f'"{rule.op}" compares nothing; use one of {" ".join(COMPARED)}.')
    if not isfinite(rule.value):
        raise StudyError(f"{rule.value} is no threshold; give a number.")
    taken = {*RESERVED, *(known.id for known in [*protocol_rules(study), *added_rules(study)])}
    if rule.id in taken or not rule.id.replace("-", "").replace("_", "").isalnum() or len(rule.id) > 100:
        raise StudyError(f'"{rule.id}" is taken or no name: use other letters, digits, - and _.')
