"""Figures against figures: a model and the champion on the same pages, and the subgroups of one model.

Both draw patients, never records, and the same patients for all that is compared: what two models or two groups
owe to an easy or a hard draw then cancels out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from model.bootstrap import patient_weights, percentile_interval
from model.evaluation import scores_of, thresholds_of, truth_of
from model.metrics import METRICS, class_metrics, macro
from model.params import EvaluateParams
from model.subgroups import LEAST_PATIENTS, subgroups

KEYS = ["split", "capture", "record"]
"""What one row of a table of predictions is about."""
Take = Callable[[np.ndarray], np.ndarray]
"""Class figures (R, C, M), M as in `METRICS`, to the one that is meant (R,)."""


@dataclass(frozen=True)
class Measured:
    """Predictions, and how they are measured."""

    predictions: pd.DataFrame
    label_names: tuple[str, ...]
    params: EvaluateParams
    seed: int


@dataclass(frozen=True)
class Compared:
    """A figure with the ends of its interval, null where it cannot be measured, and what stands behind it."""

    value: float | None
    low: float | None = None
    high: float | None = None
    detail: str = ""


def lead(metric: str, ours: Measured, theirs: Measured) -> Compared:
    """Return how far a figure lies above the champion's, with the paired interval.

    Args:
        metric: `<split>.<capture>.macro.<figure>` or `<split>.<capture>.classes.<finding>.<figure>`.
        ours, theirs: predictions of the same pages.

    Raises:
        ValueError: no such figure; the pages differ.
    """
    pages, take = _chosen(metric, ours)
    others, take_theirs = _chosen(metric, theirs)
    if not pages[KEYS].equals(others[KEYS]):
        raise ValueError(f"predictions.parquet: the champion was measured on other pages ({metric}); evaluate it on "
                         "these")
    weights = _weights(pages, ours)
    difference = _figure(pages, weights, take, ours) - _figure(others, weights, take_theirs, theirs)
    return _compared(difference, ours.params.level)


def gap(metric: str, by: str, measured: Measured) -> Compared:
    """Return the largest less the smallest figure over the subgroups that have enough patients.

    Raises:
        ValueError: no such figure, or nothing divides the pages so.
    """
    pages, take = _chosen(metric, measured)
    divided = subgroups(pages)
    groups = [(name, mask) for kind, name, mask in divided if kind == by and name != "unknown"]
    if not groups:
        raise ValueError(f"gate.rules.by: no subgroups by {by!r}; there are "
                         f"{', '.join(sorted({kind for kind, _, _ in divided}))}")
    weights = _weights(pages, measured)
    found = {name: _figure(pages[mask], weights[mask], take, measured) for name, mask in groups
             if pages["patient"][mask].nunique() >= LEAST_PATIENTS}
    found = {name: row for name, row in found.items() if not np.isnan(row[0])}
    if len(found) < 2:
        return Compared(None, detail=f"fewer than two groups of {LEAST_PATIENTS} patients")
    rows = np.stack(list(found.values()))
    return _compared(rows.max(axis=0) - rows.min(axis=0), measured.params.level,
                     ", ".join(f"{name} {row[0]:.3f}" for name, row in found.items()))


def _chosen(metric: str, measured: Measured) -> tuple[pd.DataFrame, Take]:
    """The pages that a figure is about, in one order, and how it is taken."""
    split, _, path = metric.partition(".")
    capture, _, path = path.partition(".")
    rest = path.split(".")
    table = measured.predictions
    pages = table[(table["split"] == split) & (table["capture"] == capture)].sort_values(KEYS, ignore_index=True)
    of_class = len(rest) == 3 and rest[0] == "classes" and rest[1] in measured.label_names
    if pages.empty or rest[-1] not in METRICS or not (of_class or (len(rest) == 2 and rest[0] == "macro")):
        raise ValueError(f"gate.rules.metric: {metric!r} cannot be compared; name <split>.<capture>.macro.<figure> or "
                         f"<split>.<capture>.classes.<finding>.<figure> with one of {', '.join(METRICS)}")
    place = METRICS.index(rest[-1])
    if not of_class:
        return pages, lambda by_class: macro(by_class)[:, place]
    return pages, lambda by_class: by_class[:, measured.label_names.index(rest[1]), place]


def _weights(pages: pd.DataFrame, measured: Measured) -> np.ndarray:
    """Weights of one in the first column, the resamples after it: (N, 1 + R)."""
    drawn = patient_weights(pages["patient"].to_numpy(str), resamples=measured.params.resamples, seed=measured.seed)
    return np.column_stack([np.ones(len(pages)), drawn])


def _figure(pages: pd.DataFrame, weights: np.ndarray, take: Take, measured: Measured) -> np.ndarray:
    names = measured.label_names
    chosen = thresholds_of(measured.predictions, label_names=names, params=measured.params)
    return take(class_metrics(scores_of(pages, names), truth_of(pages, names), weights,
                              thresholds=np.array([chosen[name] for name in names])))


def _compared(figure: np.ndarray, level: float, detail: str = "") -> Compared:
    ends = percentile_interval(figure[0], figure[1:], level=level)
    return Compared(*(None if np.isnan(end) else float(end) for end in ends), detail)
