"""Analysis sets: whose judgments count. Everybody's; without those whom the protocol leaves out; one rule at a time."""

from __future__ import annotations

from dataclasses import dataclass

from studyapp.models import Exclusion, Participant, Study
from studyapp.services import exclusions
from studyapp.services.errors import StudyError

SIMULATED_MARK = "_simulated"
ITT, PER_PROTOCOL = "itt", "per_protocol"


@dataclass(frozen=True, slots=True)
class AnalysisSet:
    """A set by name, and the participants (code -> id) whom it leaves out. flags go into every row of it."""

    name: str
    without: dict[str, int]
    flags: tuple[str, ...] = ()


def require_unblinded(study: Study) -> None:
    """Raise StudyError unless arms may be seen beside outcomes."""
    if not study.is_unblinded:
        raise StudyError(
            f"{study} is {study.state}: win rates are for an unblinded study. Close it, then: "
            f'manage.py study unblind {study} --reason "why now"'
        )


def groups(study: Study) -> list[bool]:
    """Whether people are simulated: the groups that a study has, real people first; real ones where nobody came."""
    found = Participant.objects.filter(study=study, consented_at__isnull=False).values_list("simulated", flat=True)
    return sorted(set(found)) or [False]


def analysis_sets(study: Study) -> list[AnalysisSet]:
    """itt, per_protocol, then one rule at a time, where that is not the per-protocol set again.

    A study that was unblinded before there were rules has them settled now, which its sets say.
    """
    exclusions.settle(study)
    late = ("settled_after_unblinding",) if exclusions.settled_late(study) else ()
    left_out: dict[str, dict[str, int]] = {}
    rows = Exclusion.objects.filter(study=study).values_list("rule", "participant__code", "participant_id")
    for name, code, key in rows:
        left_out.setdefault(name, {})[code] = key
    declared, added = exclusions.protocol_rules(study), exclusions.added_rules(study)
    per_protocol = {code: key for rule in declared for code, key in left_out.get(rule.id, {}).items()}
    sets = [AnalysisSet(ITT, {}), AnalysisSet(PER_PROTOCOL, per_protocol, late)]
    if len(declared) > 1:
        sets += [AnalysisSet(rule.id, left_out.get(rule.id, {}), late) for rule in declared]
    for rule in added:
        flag = "post_hoc" if rule.post_hoc else "added_after_opening"
        sets.append(AnalysisSet(rule.id, left_out.get(rule.id, {}), (flag,)))
    return sets
