"""Whether a probability of 0.8 is right in 80 % of cases: reliability bins and their mean error."""

import numpy as np

BINS = 10


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
