"""More than two systems, compared with each other: Bradley and Terry's abilities, with ties Davidson's (1970).

P(tie) = nu sqrt(a_i a_j) / D, P(i) = a_i / D, D = a_i + a_j + nu sqrt(a_i a_j). evalica's Newman iteration finds the
maximum (its tie parameter is nu / 2); the intervals are a sandwich over participants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import evalica
import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.stats import norm

from annotations.winrate.columns import Judgments
from annotations.winrate.records import split_comparison
from annotations.winrate.sample import Codes, Floats

ITERATIONS, TOLERANCE = 100_000, 1e-12
NOT_CONNECTED, STAR = "not_strongly_connected", "star_design"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ability:
    """One system: its log-ability (they sum to zero), clustered by participant. None where none exists."""

    system: str
    n_participants: int
    n_judgments: int
    ability: float | None = None
    se: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    tie_parameter: float | None = None
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The row as a JSON-ready dict in column order."""
        return {**asdict(self), "flags": list(self.flags)}


ABILITY_COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(Ability))


@dataclass(frozen=True, slots=True)
class Pairs:
    """N paired outcomes: systems one and two (codes), score of one (0, .5, 1), cluster."""

    one: Codes
    two: Codes
    scores: Floats
    clusters: Codes


def is_star(comparisons: Sequence[str]) -> bool:
    """Whether one system takes part in every comparison: then abilities say no more than the win rates."""
    pairs = [set(split_comparison(name)) for name in comparisons]
    return not pairs or bool(set.intersection(*pairs))


def abilities(judged: Judgments, comparisons: Sequence[str], *, alpha: float = 0.05) -> list[Ability]:
    """One row a system in order of appearance; empty for a star design, which is not offered.

    Without a way from every system to every other through wins and ties there is no maximum: null with a flag.
    """
    if is_star(comparisons):
        return []
    names = list(dict.fromkeys(arm for comparison in comparisons for arm in split_comparison(comparison)))
    pairs = _pairs(judged, names)
    blank = [_row(judged, name, pairs, place) for place, name in enumerate(names)]
    if not connected(pairs, len(names)):
        return [Ability(**{**asdict(row), "flags": (NOT_CONNECTED,)}) for row in blank]
    theta, nu = fitted(pairs, len(names))
    errors = np.sqrt(np.diag(sandwich(pairs, theta, nu))[: len(names)])
    reach = float(norm.ppf(1 - alpha / 2))
    return [
        Ability(
            **{
                **asdict(row),
                "ability": float(theta[place]),
                "se": float(errors[place]),
                "ci_low": float(theta[place] - reach * errors[place]),
                "ci_high": float(theta[place] + reach * errors[place]),
                "tie_parameter": nu,
            }
        )
        for place, row in enumerate(blank)
    ]


def _pairs(judged: Judgments, names: Sequence[str]) -> Pairs:
    arms = [split_comparison(name) for name in judged.comparisons.names]
    one = np.array([names.index(focal) if focal in names else -1 for focal, _ in arms], dtype=np.int64)
    two = np.array([names.index(base) if base in names else -1 for _, base in arms], dtype=np.int64)
    codes = judged.comparisons.codes
    if not judged.size:
        return Pairs(codes, codes, judged.scores, codes)
    return Pairs(one[codes], two[codes], judged.scores, judged.sample().units)


def _row(judged: Judgments, name: str, pairs: Pairs, place: int) -> Ability:
    taking_part = (pairs.one == place) | (pairs.two == place)
    people = len(np.unique(judged.participants.codes[taking_part]))
    return Ability(system=name, n_participants=people, n_judgments=int(taking_part.sum()))


def connected(pairs: Pairs, count: int) -> bool:
    """Whether wins and ties lead from every system to every other."""
    won, lost = pairs.scores > 0, pairs.scores < 1
    rows = np.concatenate([pairs.one[won], pairs.two[lost]])
    columns = np.concatenate([pairs.two[won], pairs.one[lost]])
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    return bool(connected_components(graph, directed=True, connection="strong")[0] == 1)


def fitted(pairs: Pairs, count: int) -> tuple[Floats, float]:
    """(log-abilities (count,) that sum to zero, nu); nu is 0 without ties (Bradley and Terry)."""
    triples, weights = np.unique(np.column_stack([pairs.one, pairs.two, pairs.scores]), axis=0, return_counts=True)
    kinds = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    result = evalica.newman(
        triples[:, 0].astype(int).tolist(),
        triples[:, 1].astype(int).tolist(),
        [kinds[float(score)] for score in triples[:, 2]],
        v_init=0.5 if (pairs.scores == 0.5).any() else 0.0,
        weights=weights.astype(float).tolist(),
        tolerance=TOLERANCE,
        limit=ITERATIONS,
    )
    theta: Floats = np.log(result.scores.loc[list(range(count))].to_numpy(dtype=np.float64))
    return theta - theta.mean(), 2 * float(result.v)


def _chances(pairs: Pairs, theta: Floats, nu: float) -> tuple[Floats, Floats]:
    """P(one wins), P(tie) of every pair (N,)."""
    half = (theta[pairs.one] - theta[pairs.two]) / 2
    below = np.exp(half) + np.exp(-half) + nu
    return np.exp(half) / below, nu / below


def sandwich(pairs: Pairs, theta: Floats, nu: float) -> Floats:
    """H^-1 (sum g_i g_i') H^-1 over clusters, of (log-abilities, log nu); without ties of the abilities alone.

    The abilities sum to zero, so that H is inverted on that plane.
    """
    count, ties = len(theta), nu > 0
    win, tie = _chances(pairs, theta, nu)
    expected = win + tie / 2
    design = np.zeros((len(win), count + ties))
    rows = np.arange(len(win))
    design[rows, pairs.one], design[rows, pairs.two] = 1, -1
    scores = design * (pairs.scores - expected)[:, np.newaxis]
    # the variance of (score, tie) of one judgment is the information of (theta_one - theta_two, log nu)
    of_score = win + tie / 4 - expected**2
    information = (design * of_score[:, np.newaxis]).T @ design
    if ties:
        scores[:, count] = (pairs.scores == 0.5) - tie
        crossed = design[:, :count].T @ (tie / 2 - expected * tie)
        information[:count, count] = information[count, :count] = crossed
        information[count, count] = (tie - tie**2).sum()
    _, codes = np.unique(pairs.clusters, return_inverse=True)
    sums = np.zeros((int(codes.max()) + 1, count + ties))
    np.add.at(sums, codes, scores)
    inverse = np.linalg.pinv(information, hermitian=True)
    covariance: Floats = inverse @ (sums.T @ sums) @ inverse
    return covariance
