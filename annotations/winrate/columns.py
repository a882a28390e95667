"""Judgments and plans as columns: what a table of a million judgments is made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from annotations.winrate.records import Outcome, Planned
from annotations.winrate.sample import Codes, Floats, Mask, Sample, linked


@dataclass(frozen=True, slots=True)
class Labels:
    """N labels. codes (N,): places in `names`, -1 for a missing one; a name need not occur."""

    codes: Codes
    names: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str], *, missing: str | None = None) -> Labels:
        """Codes in order of first appearance; `missing` has the code -1."""
        seen: dict[str, int] = {}
        codes = [-1 if v == missing else seen.setdefault(v, len(seen)) for v in values]
        return cls(np.array(codes, dtype=np.int64), tuple(seen))

    def where(self, mask: Mask) -> Labels:
        """The labels for which the mask is true; all names stay."""
        return Labels(self.codes[mask], self.names)

    def code(self, name: str) -> int:
        """The code of a name; -2, which no label has, when it does not occur."""
        return self.names.index(name) if name in self.names else -2


@dataclass(frozen=True, slots=True)
class Judgments:
    """N judgments as columns of length N. Numbers that are not known are NaN; see `Outcome` for their meaning."""

    scores: Floats
    participants: Labels
    questions: Labels
    comparisons: Labels
    domains: Labels
    dyads: Labels
    first: Floats
    position: Floats
    strength: Floats
    treatment_words: Floats
    baseline_words: Floats
    wait_s: Floats
    shots: Floats
    identical: Floats

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Judgments:
        """The columns of the records, in their order."""

        def numbers(value: Callable[[Outcome], float | None]) -> Floats:
            return np.array([np.nan if (x := value(o)) is None else float(x) for o in outcomes], dtype=np.float64)

        return cls(
            scores=np.array([o.score for o in outcomes], dtype=np.float64),
            participants=Labels.of(o.participant for o in outcomes),
            questions=Labels.of(o.question for o in outcomes),
            comparisons=Labels.of(o.comparison for o in outcomes),
            domains=Labels.of(o.domain for o in outcomes),
            dyads=Labels.of((o.dyad for o in outcomes), missing=""),
            first=numbers(lambda o: o.focal_first),
            position=numbers(lambda o: o.position),
            strength=numbers(lambda o: o.strength),
            treatment_words=numbers(lambda o: o.treatment_words),
            baseline_words=numbers(lambda o: o.baseline_words),
            wait_s=numbers(lambda o: o.wait_s),
            shots=numbers(lambda o: o.shots),
            identical=numbers(lambda o: o.identical),
        )

    @property
    def size(self) -> int:
        """N."""
        return len(self.scores)

    def where(self, mask: Mask) -> Judgments:
        """The judgments for which the mask is true."""
        changed: dict[str, Any] = {}
        for field in fields(self):
            column: Labels | Floats = getattr(self, field.name)
            changed[field.name] = column.where(mask) if isinstance(column, Labels) else column[mask]
        return replace(self, **changed)

    def of_comparison(self, name: str) -> Judgments:
        """The judgments of one comparison."""
        return self.where(self.comparisons.codes == self.comparisons.code(name))

    def of_participants(self, keep: Callable[[str], bool]) -> Judgments:
        """The judgments of the participants whom `keep` wants."""
        wanted = np.array([keep(name) for name in self.participants.names], dtype=np.bool_)
        return self.where(wanted[self.participants.codes]) if self.size else self

    def sample(self) -> Sample:
        """What the estimators compute on; clusters are dyads where there are any, participants otherwise."""
        clusters = linked(self.participants.codes, self.dyads.codes) if (self.dyads.codes >= 0).any() else None
        return Sample(self.scores, self.participants.codes, self.questions.codes, self.first, clusters)


@dataclass(frozen=True, slots=True)
class Plan:
    """N planned comparisons as columns; void (N,) is true where one could not be judged."""

    questions: Labels
    comparisons: Labels
    domains: Labels
    void: NDArray[np.bool_]

    @classmethod
    def of(cls, planned: Sequence[Planned]) -> Plan:
        """The columns of the records."""
        return cls(
            Labels.of(p.question for p in planned),
            Labels.of(p.comparison for p in planned),
            Labels.of(p.domain for p in planned),
            np.array([p.void for p in planned], dtype=np.bool_),
        )

    def where(self, mask: Mask) -> Plan:
        """The planned comparisons for which the mask is true."""
        return Plan(
            self.questions.where(mask), self.comparisons.where(mask), self.domains.where(mask), self.void[mask]
        )

    def counts(self, comparison: str, labels: Labels | None) -> tuple[dict[str, int], dict[str, int]]:
        """(planned, void) comparisons by label; without labels under the empty name."""
        of_it = self.comparisons.codes == self.comparisons.code(comparison)
        if labels is None:
            return {"": int(of_it.sum())}, {"": int((of_it & self.void).sum())}
        return _tallied(labels, of_it), _tallied(labels, of_it & self.void)


def _tallied(labels: Labels, mask: Mask) -> dict[str, int]:
    counts = np.bincount(labels.codes[mask], minlength=len(labels.names))
    return {name: int(count) for name, count in zip(labels.names, counts, strict=True)}


def judgments_of(outcomes: Iterable[Outcome] | Judgments) -> Judgments:
    """Records or columns, as columns."""
    return outcomes if isinstance(outcomes, Judgments) else Judgments.of(list(outcomes))


def plan_of(planned: Iterable[Planned] | Plan | None) -> Plan | None:
    """Records or columns, as columns; None stays None."""
    return planned if planned is None or isinstance(planned, Plan) else Plan.of(list(planned))
