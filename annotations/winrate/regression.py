"""Linear models with clusters: CR2 variance and Satterthwaite degrees of freedom of any contrast of coefficients.

Bell and McCaffrey (2002) with an independent working model, as Pustejovsky and Tipton (2018) write it out. With
M = (X'X)^-1 = RR' and B_g = R'X_g', (I - H_gg)^(-1/2) X_g is X_g R (I - B_g B_g')^(-1/2) R^-1, so that matrices of
K x K do for clusters of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from annotations.winrate.sample import Codes, Floats

Matrix = NDArray[np.float64]
SINGULAR = 1e-10


@dataclass(frozen=True, slots=True)
class Fit:
    """A least-squares fit of N rows on K columns. coefficients (K,); residuals (N,); design (N, K); root (K, K): R."""

    coefficients: Floats
    residuals: Floats
    design: Matrix
    root: Matrix


@dataclass(frozen=True, slots=True)
class Effect:
    """A contrast with its uncertainty, on the scale of the outcome; `p` tests zero, two-sided. None: not available."""

    estimate: float
    se: float | None
    df: float | None
    low: float | None
    high: float | None
    p: float | None


def least_squares(outcome: Floats, design: Matrix) -> Fit | None:
    """The fit of outcome (N,) on design (N, K); None when the columns are not independent."""
    if len(outcome) < design.shape[1] or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    _, upper = np.linalg.qr(design)
    root = np.linalg.inv(upper)
    coefficients = root @ (root.T @ (design.T @ outcome))
    return Fit(coefficients, outcome - design @ coefficients, design, root)


def cr2_contrast(fit: Fit, weights: Floats, clusters: Codes) -> tuple[float, float] | None:
    """(variance, df) of weights'coefficients, clustered (N,); None for one cluster or without degrees of freedom."""
    _, codes = np.unique(clusters, return_inverse=True)
    count = int(codes.max()) + 1 if len(codes) else 0
    if count < 2:
        return None
    grams, moments = _summed(fit, codes, count)
    values, vectors = np.linalg.eigh(fit.root.T @ grams @ fit.root)
    left = np.clip(1 - values, 0, None)
    usable = left > SINGULAR
    inverse_root = np.where(usable, 1 / np.sqrt(np.where(usable, left, 1)), 0)
    along = np.einsum("gki,k->gi", vectors, fit.root.T @ weights)
    variance = ((along * inverse_root * np.einsum("gki,gk->gi", vectors, moments @ fit.root)).sum(axis=1) ** 2).sum()
    spread = np.einsum("gki,gi->gk", vectors, values * inverse_root * along)
    own = (np.where(usable, values, 0) * along**2).sum(axis=1)
    squares = (spread**2).sum(axis=1)
    # P_gg = own_g and P_gh = -spread_g'spread_h; nu = tr(P)^2 / tr(P^2)
    total = ((spread.T @ spread) ** 2).sum() - (squares**2).sum() + (own**2).sum()
    return (float(variance), float(own.sum() ** 2 / total)) if total > 0 else None


def _summed(fit: Fit, codes: Codes, count: int) -> tuple[Matrix, Matrix]:
    """X_g'X_g (G, K, K) and X_g'e_g (G, K) of every cluster."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(count))
    rows, residuals = fit.design[order], fit.residuals[order]
    grams = np.stack([np.add.reduceat(rows * rows[:, [k]], starts, axis=0) for k in range(rows.shape[1])], axis=1)
    moments = np.add.reduceat(rows * residuals[:, np.newaxis], starts, axis=0)
    return grams, moments


def cell_variance(fit: Fit, weights: Floats, cells: Codes) -> float:
    """Nc/(Nc-1) sum over cells of (weights' M X_c'e_c)^2: the part that both ways of clustering count. Needs two."""
    _, codes = np.unique(cells, return_inverse=True)
    sums = np.bincount(codes, weights=fit.residuals * (fit.design @ (fit.root @ (fit.root.T @ weights))))
    return float((sums**2).sum() * len(sums) / (len(sums) - 1))


def effect(
    fit: Fit, weights: Floats, clusters: Codes, level: float, questions: Codes | None = None
) -> Effect:
    """The contrast weights'coefficients with Student's t.

    questions (N,): a second way of clustering; V = max(V_u + V_q - V_e, V_u, V_q), df the smaller.
    """
    estimate = float(weights @ fit.coefficients)
    one = cr2_contrast(fit, weights, clusters)
    if one is None or one[0] <= 0:
        return Effect(estimate, None, None, None, None, None)
    variance, df = one
    other = None if questions is None else cr2_contrast(fit, weights, questions)
    if questions is not None and other is not None:
        cells = clusters * (int(questions.max()) + 1) + questions
        variance = max(variance + other[0] - cell_variance(fit, weights, cells), variance, other[0])
        df = min(df, other[1])
    error = sqrt(variance)
    reach = float(stdtrit(df, (1 + level) / 2)) * error
    p = float(2 * stdtr(df, -abs(estimate) / error))
    return Effect(estimate, error, df, estimate - reach, estimate + reach, p)
