"""How well probabilities tell records apart: seven figures per class, computed for many weightings at once.

Every function takes a matrix of record weights, shape (N, R): R is 1 with weights of one for the plain
figure, or the number of bootstrap resamples, each column counting how often a record was drawn. A
weighted figure equals the figure of the records repeated that often, ties included.

A class that has no weight on its positives, or none on its negatives, cannot be measured: all its
figures are NaN in that column, and the macro average is taken over the other classes.
"""

import warnings
from typing import Literal

import numpy as np

METRICS = ("auroc", "auprc", "f1", "precision", "recall", "specificity", "brier")
BLOCK = 128
"""Resamples worked on at once: the cumulative sums of a few thousand records then stay in the cache."""


def class_metrics(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, *, thresholds: np.ndarray) -> np.ndarray:
    """Return all figures of all classes under each weighting.

    Args:
        scores: probabilities, float (N, C).
        truth: findings, 0/1 (N, C).
        weights: non-negative, float (N, R).
        thresholds: (C,); a record is called positive when its score is at or above it.

    Returns:
        Float64 (R, C, 7), the last axis in the order of `METRICS`; NaN where a class cannot be measured.
    """
    truth = np.asarray(truth, bool)
    assert scores.shape == truth.shape and len(weights) == len(scores) and len(thresholds) == scores.shape[1]
    figures = np.empty((weights.shape[1], scores.shape[1], len(METRICS)))
    for start in range(0, weights.shape[1], BLOCK):
        block = slice(start, start + BLOCK)
        w = np.ascontiguousarray(weights[:, block], dtype=np.float64)
        for c in range(scores.shape[1]):
            figures[block, c, :2] = np.stack(ranking(scores[:, c], truth[:, c], w), axis=-1)
        figures[block, :, 2:6] = np.stack(decisions(scores >= thresholds, truth, w), axis=-1)
        figures[block, :, 6] = weighted_mean((np.asarray(scores, np.float64) - truth) ** 2, w)
    figures[..., 6][np.isnan(figures[..., 0])] = np.nan
    return figures


def micro(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, *, thresholds: np.ndarray) -> np.ndarray:
    """Return the figures of all (record, class) pairs taken together, as if of one class; arguments as above.

    Returns:
        Float64 (R, 7).
    """
    pairs = np.repeat(weights, scores.shape[1], axis=0)
    # A call is what its own class's threshold makes it.
    called = (scores >= thresholds).reshape(-1, 1)
    figures = class_metrics(scores.reshape(-1, 1), np.asarray(truth, bool).reshape(-1, 1), pairs,
                            thresholds=np.array([0.5]))[:, 0]
    figures[:, 2:6] = np.stack(decisions(called, np.asarray(truth, bool).reshape(-1, 1), pairs), axis=-1)[:, 0]
    return figures


def weighted_mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the mean of values (N, K) under each weighting (N, R): (R, K), NaN where nothing has weight."""
    total = weights.sum(axis=0)[:, None]
    return _divide(weights.T @ np.asarray(values, np.float64), np.broadcast_to(total, (len(total), values.shape[1])),
                   total > 0)


def macro(figures: np.ndarray) -> np.ndarray:
    """Average over the classes that can be measured: (..., C, 7) to (..., 7), NaN when none can."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mean of empty slice", RuntimeWarning)
        return np.nanmean(figures, axis=-2)


def ranking(score: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return AUROC and AUPRC of one class under each weighting.

    AUROC is the share of (positive, negative) pairs in the right order, a tie counting one half, that is
    the trapezoidal area (Hanley & McNeil 1982). AUPRC is the average precision, the sum of precision times
    the gain in recall over the distinct scores, without interpolation (Davis & Goadrich 2006).

    Args:
        score: float (N,).
        truth: bool (N,).
        weights: float (N, R).

    Returns:
        Two float64 arrays of shape (R,), NaN where the class has no positives or no negatives.
    """
    true_positive, called = cumulative(score, truth, weights)
    false_positive = called - true_positive
    positives, negatives = true_positive[-1], false_positive[-1]
    gain = np.diff(true_positive, axis=0, prepend=0.0)
    # Each positive stands above the negatives that are not yet called, and level with those of its own score.
    beaten = negatives - false_positive + np.diff(false_positive, axis=0, prepend=0.0) / 2
    precision = np.divide(true_positive, called, out=np.zeros_like(called), where=called > 0)
    known = (positives > 0) & (negatives > 0)
    auroc = _divide(np.einsum("gr,gr->r", gain, beaten), positives * negatives, known)
    return auroc, _divide(np.einsum("gr,gr->r", gain, precision), positives, known)


def auroc(truth: np.ndarray, score: np.ndarray) -> float:
    """Return the plain AUROC of one class, NaN when it has no positives or no negatives; both arrays (N,)."""
    return float(ranking(score, np.asarray(truth) > 0, np.ones((len(score), 1)))[0][0])


def cumulative(score: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight of true positives and of all called, with the threshold at each distinct score, descending.

    Returns:
        Two float64 arrays (G, R) for G distinct scores.
    """
    order = np.argsort(-score, kind="stable")
    last_of_ties = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    weights = weights[order]
    called = np.cumsum(weights, axis=0)
    weights *= truth[order, None]
    return np.cumsum(weights, axis=0)[last_of_ties], called[last_of_ties]


def decisions(called: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return F1, precision, recall and specificity of yes/no calls.

    Precision is 0 when nothing is called positive, as in scikit-learn's zero_division=0.

    Args:
        called: bool (N, C).
        truth: bool (N, C).
        weights: float (N, R).

    Returns:
        Four float64 arrays (R, C), NaN where a class has no positives or no negatives.
    """
    hit, positives, all_called = (weights.T @ m.astype(np.float64) for m in (called & truth, truth, called))
    negatives = weights.sum(axis=0)[:, None] - positives
    known = (positives > 0) & (negatives > 0)
    precision = np.divide(hit, all_called, out=np.zeros_like(hit), where=all_called > 0)
    return (_divide(2 * hit, positives + all_called, known), np.where(known, precision, np.nan),
            _divide(hit, positives, known), _divide(negatives - (all_called - hit), negatives, known))


def choose_threshold(score: np.ndarray, truth: np.ndarray, *, rule: Literal["f1", "youden"]) -> float:
    """Return the threshold of one class that maximises F1, or sensitivity + specificity - 1 (Youden 1950).

    It lies half-way between two neighbouring scores, so that a difference in the last bit, between the
    packaged and the eager model for example, calls no record otherwise. Of equals the highest is taken.

    Returns:
        A probability; NaN when the class has no positives or no negatives to choose by.
    """
    truth = np.asarray(truth, bool)
    hit, called = (a[:, 0] for a in cumulative(score, truth, np.ones((len(score), 1))))
    positives, negatives = truth.sum(), (~truth).sum()
    if not positives or not negatives:
        return float("nan")
    gain = 2 * hit / (positives + called) if rule == "f1" else hit / positives - (called - hit) / negatives
    levels = np.append(np.unique(score)[::-1].astype(np.float64), 0.0)
    best = int(np.argmax(gain))
    return float((levels[best] + levels[best + 1]) / 2)


def _divide(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> np.ndarray:
    return np.divide(a, b, out=np.full(np.broadcast(a, b).shape, np.nan), where=np.broadcast_to(where, a.shape))
