"""Whether a probability of 0.8 is right in 80 % of cases: reliability bins, their mean error, and how it is mended.

Probabilities are mended on the scale of log-odds, slope * logit + intercept for each finding (vector scaling), or with
one slope for all and no intercept (temperature scaling; Guo et al. 2017). The slope is positive, so that no two
pages change places.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

BINS = 10
LEAST = 1e-6
"""Probabilities are kept this far from 0 and 1: log-odds have no end there."""
_PRIOR = 1.0
"""Pages' worth of pull towards leaving a probability as it is, for findings that few pages have."""
_STEPS, _LEAST_SLOPE = 100, 0.05

Method = Literal["vector", "temperature", "none"]


@dataclass(frozen=True)
class Scaling:
    """What mends one finding's probability."""

    slope: float = 1.0
    intercept: float = 0.0


def fit_scaling(scores: np.ndarray, truth: np.ndarray, *, method: Method) -> list[Scaling]:
    """Fit on validation pages, by least cross-entropy.

    Args:
        scores: probabilities, float (N, C).
        truth: 0/1 (N, C).
        method: vector, temperature or none.

    Returns:
        One for each finding; one that the pages have always or never teaches nothing, and has by `vector` no
        scaling, by `temperature` the slope of the others.
    """
    classes = scores.shape[1]
    known = truth.any(axis=0) & ~truth.all(axis=0)
    if method == "none" or not known.any():
        return [Scaling()] * classes
    if method == "temperature":
        slope, _ = _newton(logit(scores[:, known]).ravel(), truth[:, known].ravel(), intercept=False)
        return [Scaling(slope)] * classes
    return [Scaling(*_newton(logit(scores[:, c]), truth[:, c], intercept=True)) if known[c] else Scaling()
            for c in range(classes)]


def rescale(scores: np.ndarray, slope: np.ndarray | float, intercept: np.ndarray | float) -> np.ndarray:
    """Mend probabilities, (..., C) with (C,) slopes and intercepts: float64."""
    return 1 / (1 + np.exp(-(slope * logit(scores) + intercept)))


def logit(scores: np.ndarray) -> np.ndarray:
    """Return log-odds, float64."""
    p = np.clip(np.asarray(scores, np.float64), LEAST, 1 - LEAST)
    return np.log(p) - np.log1p(-p)


def reliability(score: np.ndarray, truth: np.ndarray, *, bins: int = BINS) -> np.ndarray:
    """Return the filled bins of one class's reliability curve.

    Bins are of equal width over 0-1, closed above: ((k - 1) / bins, k / bins], the first one closed below too.

    Args:
        score: probabilities, float (N,).
        truth: 0/1 (N,).
        bins: how many.

    Returns:
        Float64 (B, 3), B <= bins: mean probability, observed share of positives, number of records.
    """
    score = np.asarray(score, np.float64)
    place = np.clip(np.ceil(score * bins).astype(int) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins)
    filled = count > 0
    sums = np.column_stack([np.bincount(place, values, minlength=bins) for values in (score, truth)])
    return np.column_stack([sums[filled] / count[filled, None], count[filled]])


def expected_calibration_error(score: np.ndarray, truth: np.ndarray, *, bins: int = BINS) -> float:
    """Return the mean distance between probability and observed share, weighted by records (Naeini et al. 2015)."""
    confidence, observed, count = reliability(score, truth, bins=bins).T
    return float(np.sum(np.abs(confidence - observed) * count) / np.sum(count))


def _newton(x: np.ndarray, truth: np.ndarray, *, intercept: bool) -> tuple[float, float]:
    """Logistic regression on one value with a weak pull to slope 1 and intercept 0; damped, the loss is convex."""
    design = np.column_stack([x, np.ones_like(x)])[:, :1 + intercept]
    y, at, rest = np.asarray(truth, np.float64), np.array([1.0, 0.0])[:1 + intercept], np.array([1.0, 0.0])

    def loss(at: np.ndarray) -> float:
        z = design @ at
        return float(np.sum(np.logaddexp(0, z) - y * z) + _PRIOR / 2 * np.sum((at - rest[:len(at)]) ** 2))

    for _ in range(_STEPS):
        p = 1 / (1 + np.exp(-design @ at))
        gradient = design.T @ (p - y) + _PRIOR * (at - rest[:len(at)])
        curvature = (design * (p * (1 - p))[:, None]).T @ design + _PRIOR * np.eye(len(at))
        step = np.linalg.solve(curvature, gradient)
        while loss(at - step) > loss(at) and np.abs(step).max() > 1e-12:
            step /= 2
        at = at - step
        if np.abs(step).max() < 1e-9:
            break
    return max(float(at[0]), _LEAST_SLOPE), float(at[1]) if intercept else 0.0
