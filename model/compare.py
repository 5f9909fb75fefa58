"""Whether one model is better than another on the same pages: DeLong's test of AUROC, and the paired bootstrap.

Both see each page twice, once through either model, so that what makes a page hard for both cancels. DeLong's
test takes pages for independent; the bootstrap draws patients, and is the one to go by where patients have several.
"""

from dataclasses import dataclass
from math import erfc, sqrt

import numpy as np
import pandas as pd

from model.bootstrap import patient_weights, percentile_interval
from model.evaluation import scores_of, thresholds_of, truth_of
from model.metrics import METRICS, class_metrics, macro
from model.params import EvaluateParams


@dataclass(frozen=True)
class DeLong:
    """Two AUROCs on the same pages."""

    ours: float
    theirs: float
    error: float
    """Standard error of their difference."""
    p: float
    """Two-sided; 1 where the models rank alike, NaN where the class cannot be measured."""


def delong(truth: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> DeLong:
    """Test whether two AUROCs on the same pages differ (DeLong et al. 1988), in n log n (Sun & Xu 2014).

    Args:
        truth: 0/1 (N,).
        ours, theirs: scores (N,) of the two models.
    """
    truth = np.asarray(truth, bool)
    m, n = int(truth.sum()), int((~truth).sum())
    if m < 2 or n < 2:
        return DeLong(*[float("nan")] * 4)
    scores = np.stack([np.asarray(ours, np.float64), np.asarray(theirs, np.float64)])
    positives, negatives = scores[:, truth], scores[:, ~truth]
    both = np.stack([midranks(np.concatenate([a, b])) for a, b in zip(positives, negatives, strict=True)])
    # Of each positive the share of negatives below it, of each negative the share of positives above it.
    above = (both[:, :m] - np.stack([midranks(a) for a in positives])) / n
    below = 1 - (both[:, m:] - np.stack([midranks(a) for a in negatives])) / m
    areas = above.mean(axis=1)
    covariance = np.cov(above) / m + np.cov(below) / n
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    error = sqrt(max(variance, 0.0))
    difference = float(areas[0] - areas[1])
    p = erfc(abs(difference) / error / sqrt(2)) if error > 1e-12 else float(abs(difference) < 1e-12)
    return DeLong(float(areas[0]), float(areas[1]), error, p)


def midranks(values: np.ndarray) -> np.ndarray:
    """Return ranks from 1, ties sharing their mean: float64 (N,)."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]


def compare(ours: pd.DataFrame, theirs: pd.DataFrame, *, label_names: tuple[str, ...], params: EvaluateParams,
            seed: int) -> dict:
    """Compare two tables of predictions (`model.evaluation`) on the test pages that both have.

    Each model calls by its own thresholds, chosen on its own validation predictions.

    Args:
        ours, theirs: of any captures; those that both have are compared.
        label_names: the findings.
        params: resamples and level.
        seed: of the bootstrap.

    Returns:
        {capture: {"records", "patients", "macro": {metric: {"value", "low", "high", "p"}}, "classes": {finding:
        {metric: ..., "delong": {"ours", "theirs", "error", "p"}}}}}, where a value is ours less theirs.

    Raises:
        ValueError: the tables have no test page in common, or say other findings of one.
    """
    thresholds = [np.array(list(thresholds_of(table, label_names=label_names, params=params).values()))
                  for table in (ours, theirs)]
    captures = [name for name in ours["capture"].unique() if name in set(theirs["capture"])]
    result = {capture: _capture(*_matched(ours, theirs, capture, label_names), label_names=label_names,
                                thresholds=thresholds, params=params, seed=seed) for capture in captures}
    if not result:
        raise ValueError(f"predictions: no capture in common ({', '.join(ours['capture'].unique())}; "
                         f"{', '.join(theirs['capture'].unique())}); evaluate both on the same pages")
    return result


def _matched(ours: pd.DataFrame, theirs: pd.DataFrame, capture: str,
             label_names: tuple[str, ...]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The test pages of a capture that both tables have, in the same order."""
    a, b = (table[(table["split"] == "test") & (table["capture"] == capture)].set_index("record", drop=False)
            for table in (ours, theirs))
    common = a.index.intersection(b.index, sort=False)
    if not len(common):
        raise ValueError(f"predictions: no test page of capture {capture} in common; evaluate both on the same pages")
    a, b = a.loc[common], b.loc[common]
    if not np.array_equal(truth_of(a, label_names), truth_of(b, label_names)):
        raise ValueError("predictions: the two say other findings of the same records; evaluate both on the same pages")
    return a, b


def _capture(ours: pd.DataFrame, theirs: pd.DataFrame, *, label_names: tuple[str, ...], thresholds: list[np.ndarray],
             params: EvaluateParams, seed: int) -> dict:
    truth = truth_of(ours, label_names)
    drawn = patient_weights(ours["patient"].to_numpy(str), resamples=params.resamples, seed=seed)
    weights = np.column_stack([np.ones(len(ours)), drawn])
    scores = [scores_of(table, label_names) for table in (ours, theirs)]
    figures = [class_metrics(s, truth, weights, thresholds=t) for s, t in zip(scores, thresholds, strict=True)]
    by_class, by_macro = figures[0] - figures[1], macro(figures[0]) - macro(figures[1])
    classes = {}
    for c, name in enumerate(label_names):
        tested = delong(truth[:, c], scores[0][:, c], scores[1][:, c])
        classes[name] = {**_named(by_class[:, c], params.level),
                         "delong": {key: _plain(value) for key, value in vars(tested).items()}}
    return {"records": len(ours), "patients": int(ours["patient"].nunique()),
            "macro": _named(by_macro, params.level), "classes": classes}


def _named(differences: np.ndarray, level: float) -> dict:
    """Differences (1 + R, M), the first the plain one, as figures with their interval and p."""
    value, low, high = percentile_interval(differences[0], differences[1:], level=level)
    return {name: {"value": _plain(value[m]), "low": _plain(low[m]), "high": _plain(high[m]),
                   "p": _plain(bootstrap_p(differences[1:, m]))} for m, name in enumerate(METRICS)}


def bootstrap_p(differences: np.ndarray) -> float:
    """Return the two-sided p that a difference is 0, from its resamples (R,): twice the lesser share on one side."""
    known = differences[np.isfinite(differences)]
    if not len(known):
        return float("nan")
    least = min((known <= 0).sum(), (known >= 0).sum())
    return float(min(1.0, 2 * (least + 1) / (len(known) + 1)))


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
