"""ROC and precision-recall curves as short lists of points, ready for JSON and plots."""

import numpy as np

from model.metrics import cumulative

MOST_POINTS = 200


def roc_points(score: np.ndarray, truth: np.ndarray, *, most: int = MOST_POINTS, levels: bool = False) -> np.ndarray:
    """Return (false positive rate, true positive rate) from (0, 0) to (1, 1), at most `most` points of them.

    Args:
        score: float (N,).
        truth: 0/1 (N,).
        most: points kept; they are spread evenly along the curve.
        levels: say at which threshold each point lies, as a third column; that of (0, 0) is 1.

    Returns:
        Float64 (P, 2 or 3), without rows when the class has no positives or no negatives.
    """
    hit, called = _counts(score, truth)
    miss = called - hit
    if not hit[-1] or not miss[-1]:
        return np.empty((0, 2 + levels))
    at = np.append(1.0, np.unique(score)[::-1])
    points = np.column_stack([np.append(0.0, miss / miss[-1]), np.append(0.0, hit / hit[-1]), at])
    return _thin(_without_collinear(points), most)[:, :2 + levels]


def pr_points(score: np.ndarray, truth: np.ndarray, *, most: int = MOST_POINTS) -> np.ndarray:
    """Return (recall, precision) by rising recall, beginning at recall 0 with the first point's precision.

    Arguments and result as in `roc_points`.
    """
    hit, called = _counts(score, truth)
    if not hit[-1] or hit[-1] == called[-1]:
        return np.empty((0, 2))
    points = np.column_stack([hit / hit[-1], hit / called])
    return _thin(np.vstack([[0.0, points[0, 1]], points]), most)


def _counts(score: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    hit, called = cumulative(score, np.asarray(truth, bool), np.ones((len(score), 1)))
    return hit[:, 0], called[:, 0]


def _without_collinear(points: np.ndarray) -> np.ndarray:
    """Drop the points inside a straight run: a ROC curve of N records has few corners."""
    step = np.diff(points, axis=0)
    corner = step[:-1, 0] * step[1:, 1] != step[:-1, 1] * step[1:, 0]
    return points[np.concatenate([[True], corner, [True]])]


def _thin(points: np.ndarray, most: int) -> np.ndarray:
    """Keep the ends and, between them, the points nearest to even spacing along the curve."""
    if len(points) <= most:
        return points
    along = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(points[:, :2], axis=0)).sum(axis=1))])
    keep = np.searchsorted(along, np.linspace(0, along[-1], most))
    return points[np.unique(np.concatenate([[0], keep[1:-1], [len(points) - 1]]))]
