"""Everything that the analysis says of one set of judgments beside the win-rate table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from annotations.winrate.columns import Judgments
from annotations.winrate.contrasts import Contrast, contrasts
from annotations.winrate.estimates import Rules, headline_interval
from annotations.winrate.holm import fixed_sequence, holm
from annotations.winrate.length import length_adjusted
from annotations.winrate.margins import MarginTest, margin_tests
from annotations.winrate.measures import Measure
from annotations.winrate.people import Person, above_half, own_rates, permuted
from annotations.winrate.rows import Headline, Row
from annotations.winrate.sample import cluster
from annotations.winrate.sides import side_effects
from annotations.winrate.strength import signed_strength
from annotations.winrate.systems import Ability, abilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """One primary comparison in the order of the protocol, with both ways to test several."""

    comparison: str
    n_participants: int
    n_judgments: int
    p: float | None
    p_holm: float | None
    p_fixed_sequence: float | None

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return asdict(self)


PRIMARY_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Primary))


@dataclass(frozen=True, slots=True)
class Beside:
    """The tables beside the win rates, of one analysis set."""

    primary: list[Primary]
    contrasts: list[Contrast]
    margins: list[MarginTest]
    measures: list[Measure]
    abilities: list[Ability]
    people: list[Person]


def beside(
    judged: Judgments,
    rows: Sequence[Row],
    comparisons: Sequence[str],
    primary: Sequence[str],
    *,
    alpha: float = 0.05,
    interval: Headline = "two_way",
    margin: float | None = None,
    sesoi: float | None = None,
) -> Beside:
    """rows: the win-rate table of the same judgments, for the primary p-values. margin, sesoi: see `margin_tests`,
    given for the primary comparisons."""
    level = 1 - alpha
    rules = Rules(level, interval, None)
    parts = {name: judged.of_comparison(name) for name in comparisons}
    tests: list[MarginTest] = []
    for name in primary:
        sample = parts[name].sample()
        headline = headline_interval(sample, rules)
        tests += margin_tests(name, sample, headline, alpha=alpha, margin=margin, sesoi=sesoi)
    measures = [row for name, part in parts.items() if part.size for row in measures_of(part, name, level)]
    return Beside(
        primary_tests(rows, primary),
        contrasts(judged, [name for name in comparisons if parts[name].size], alpha=alpha),
        tests,
        measures,
        abilities(judged, comparisons, alpha=alpha),
        [person for name, part in parts.items() for person in own_rates(part, name)],
    )


def measures_of(part: Judgments, name: str, level: float) -> list[Measure]:
    """Side, length, strength, people and permutation of one comparison's judgments."""
    sample = part.sample()
    units = cluster(sample.scores, sample.units)
    return [
        *side_effects(sample, name, level),
        *length_adjusted(part, name, level),
        signed_strength(part, name, level),
        *above_half(units, name, level),
        permuted(units, name),
    ]


def primary_tests(rows: Sequence[Row], primary: Sequence[str]) -> list[Primary]:
    """Holm and the fixed sequence over the headline p-values of the primary comparisons, in their order."""
    whole = {f"{row.focal}>{row.baseline}": row for row in rows if row.scope == "all"}
    found = [whole[name] for name in primary]
    ps = [row.headline_p for row in found]
    return [
        Primary(
            comparison=name,
            n_participants=row.n_participants,
            n_judgments=row.n_judgments,
            p=p,
            p_holm=by_holm,
            p_fixed_sequence=in_order,
        )
        for name, row, p, by_holm, in_order in zip(primary, found, ps, holm(ps), fixed_sequence(ps), strict=True)
    ]
