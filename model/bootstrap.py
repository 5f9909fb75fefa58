"""How sure a figure is: resamples of patients, and the percentile interval of what they give."""

import warnings
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A figure with its interval; NaN where it cannot be measured."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def as_dict(self) -> dict[str, float | None]:
        """Plain values for JSON, null for NaN."""
        return {name: None if np.isnan(v) else float(v) for name, v in vars(self).items()}


def patient_weights(patients: np.ndarray, *, resamples: int, seed: int) -> np.ndarray:
    """Draw patients with replacement, all records of a patient together.

    Records of one patient resemble each other; drawing records instead would make the interval too narrow.

    Args:
        patients: the patient of each record, (N,), of any comparable type.
        resamples: R.
        seed: of the draws; the same seed and patients give the same weights on any machine.

    Returns:
        Float64 (N, R): how often each record was drawn in each resample.
    """
    _, of_record = np.unique(patients, return_inverse=True)
    count = int(of_record.max()) + 1
    rng = np.random.default_rng(seed)
    drawn = np.empty((count, resamples))
    for r in range(resamples):
        drawn[:, r] = np.bincount(rng.integers(count, size=count), minlength=count)
    return drawn[of_record]


def percentile_interval(value: np.ndarray, replicates: np.ndarray, *, level: float) -> np.ndarray:
    """Return value, low and high: the percentile interval (Efron & Tibshirani 1993, chapter 13).

    Resamples in which the figure could not be measured (NaN) are left out.

    Args:
        value: the figure on the records as they are, any shape S.
        replicates: the figure on each resample, shape (R, *S); R may be 0.
        level: the interval's coverage, such as 0.95.

    Returns:
        Shape (3, *S).
    """
    if not len(replicates):
        return np.stack([value, np.full_like(value, np.nan), np.full_like(value, np.nan)])
    tails = [(1 - level) / 2, (1 + level) / 2]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice", RuntimeWarning)
        low, high = np.nanquantile(replicates, tails, axis=0)
    unknown = np.isnan(value)
    return np.stack([value, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)])
