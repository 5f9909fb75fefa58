"""Which answers stay plausible about a finding at a stated coverage: split conformal sets, class by class.

A finding is present or absent. Either answer is plausible while the calibrated probability is no stranger to it than
to the given share of the validation pages of which it is true (Vovk et al. 2005; label-conditional, so that a rare
finding gets its coverage too). Both plausible, or neither, means that the page does not decide: the model abstains.
"""

from dataclasses import dataclass

import numpy as np

PRESENT, ABSENT = "present", "absent"


@dataclass(frozen=True)
class Bounds:
    """Of one finding's calibrated probability."""

    least_present: float
    """At or above it "present" is plausible."""
    most_absent: float
    """At or below it "absent" is plausible."""


def fit_bounds(probability: np.ndarray, truth: np.ndarray, *, coverage: float) -> Bounds:
    """Choose the bounds on validation pages.

    Args:
        probability: calibrated, float (N,).
        truth: 0/1 (N,).
        coverage: share of pages whose true answer is to be plausible, of those with the finding and of those without.

    Returns:
        Bounds that hold on exchangeable pages at least so often; 0 or 1, so that the answer is always plausible, where
        the pages are too few to promise it.
    """
    truth, probability = np.asarray(truth, bool), np.asarray(probability, np.float64)
    return Bounds(1 - _quantile(1 - probability[truth], coverage), _quantile(probability[~truth], coverage))


def plausible(probability: np.ndarray, least_present: np.ndarray, most_absent: np.ndarray) -> np.ndarray:
    """Return which answers are plausible: bool (..., 2), absent and present, for probabilities (...)."""
    return np.stack([probability <= most_absent, probability >= least_present], axis=-1)


def named(is_absent: bool, is_present: bool) -> list[str]:
    """Write a set in words."""
    return [PRESENT] * bool(is_present) + [ABSENT] * bool(is_absent)


def _quantile(strangeness: np.ndarray, coverage: float) -> float:
    """The finite-sample quantile: the ceil((n + 1) coverage)-th smallest; 1 where there is none."""
    rank = int(np.ceil((len(strangeness) + 1) * coverage - 1e-9))
    return float(np.sort(strangeness)[rank - 1]) if rank <= len(strangeness) else 1.0
