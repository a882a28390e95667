"""How the shown texts came about, arm by arm: tries, rejections by rule, flags, pairs that came to nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from django.db import connection
from django.db.models import Count, Sum

from annotations.models import Comparison
from inference.models import Attempt, Generation
from studyapp.models import Study
from studyapp.services.studies import StudyError

# Attempts that say nothing about a text: it came, is being made, or was given back untried.
QUIET = (Attempt.Outcome.READY, Attempt.Outcome.RUNNING, Attempt.Outcome.RETURNED)
FLAGS_SQL = """
SELECT g.arm, flag, count(*) FROM inference_generation AS g CROSS JOIN jsonb_array_elements_text(g.flags) AS flag
WHERE g.study_id = %s AND g.state = 'ready' GROUP BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Making:
    """One arm's texts of one purpose. `rejected` counts attempts by outcome, `flags` ready texts, `void` pairs with
    this arm in them by reason.
    """

    arm: str
    purpose: str
    texts: int
    ready: int
    failed: int
    attempts: int
    words: float | None
    rejected: dict[str, int]
    flags: dict[str, int]
    void: dict[str, int]

    @property
    def tries(self) -> float | None:
        """Attempts a text that ended; None without any."""
        ended = self.ready + self.failed
        return self.attempts / ended if ended else None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {**asdict(self), "tries": self.tries}


def by_arm(study: Study) -> list[Making]:
    """Every arm and purpose of the study, by name. Raises StudyError before unblinding: tries differ between arms."""
    if not study.is_unblinded:
        raise StudyError(f"{study} is {study.state}: how texts came about is told by arm, so only after unblinding.")
    texts = Generation.objects.filter(study=study).order_by()
    states = _counted(texts.values_list("arm", "purpose", "state").annotate(n=Count("id")))
    tried = Attempt.objects.filter(generation__study=study).order_by()
    ended = tried.exclude(outcome=Attempt.Outcome.RUNNING).exclude(outcome=Attempt.Outcome.RETURNED)
    attempts = dict(_pairs(ended.values_list("generation__arm", "generation__purpose").annotate(n=Count("id"))))
    rejected = _counted(
        tried.exclude(outcome__in=QUIET)
        .values_list("generation__arm", "generation__purpose", "outcome")
        .annotate(n=Count("id"))
    )
    words = {
        (arm, purpose): total / number
        for arm, purpose, total, number in texts.filter(words__isnull=False)
        .values_list("arm", "purpose")
        .annotate(total=Sum("words"), number=Count("id"))
    }
    flags, void = _flags(study), _void(study)
    return [
        Making(
            arm=arm,
            purpose=purpose,
            texts=counts.total() - counts[Generation.State.DISCARDED],
            ready=counts[Generation.State.READY],
            failed=counts[Generation.State.FAILED],
            attempts=attempts.get((arm, purpose), 0),
            words=words.get((arm, purpose)),
            rejected=dict(sorted(rejected.get((arm, purpose), Counter()).items())),
            flags=flags.get(arm, {}) if purpose == Generation.Purpose.ANSWER else {},
            void=void.get(arm, {}) if purpose == Generation.Purpose.ANSWER else {},
        )
        for (arm, purpose), counts in sorted(states.items())
    ]


def render(rows: list[Making]) -> str:
    """The table for people."""
    lines = ["How the texts came about"]
    for row in rows:
        name = row.arm if row.purpose == Generation.Purpose.ANSWER else f"{row.arm} ({row.purpose})"
        tries = f"{row.tries:.2f} tries a text" if row.tries is not None else "none tried"
        words = f", {row.words:.0f} words on average" if row.words is not None else ""
        lines.append(f"  {name}: {row.ready} of {row.texts} ready, {row.failed} failed, {tries}{words}")
        for what, counts in (("rejected", row.rejected), ("flagged", row.flags), ("void pairs", row.void)):
            if counts:
                lines.append(f"    {what}: " + ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in counts.items()))
    return "\n".join(lines)


def _pairs(rows: Iterable[tuple[str, str, int]]) -> Iterable[tuple[tuple[str, str], int]]:
    return (((arm, purpose), number) for arm, purpose, number in rows)


def _counted(rows: Iterable[tuple[str, str, str, int]]) -> dict[tuple[str, str], Counter[str]]:
    found: dict[tuple[str, str], Counter[str]] = {}
    for arm, purpose, what, number in rows:
        found.setdefault((arm, purpose), Counter())[what] += number
    return found


def _flags(study: Study) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    with connection.cursor() as cursor:
        cursor.execute(FLAGS_SQL, [study.pk])
        for arm, flag, number in sorted(cursor.fetchall()):
            found.setdefault(arm, {})[flag] = number
    return found


def _void(study: Study) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    pairs = Comparison.objects.filter(participant__study=study, state=Comparison.State.VOID).order_by()
    for arm_a, arm_b, reason, number in pairs.values_list("arm_a", "arm_b", "void_reason").annotate(n=Count("id")):
        for arm in {arm_a, arm_b} - {"", None}:
            reasons = found.setdefault(arm, {})
            reasons[reason] = reasons.get(reason, 0) + number
    return {arm: dict(sorted(reasons.items())) for arm, reasons in found.items()}
