"""From a table of predictions to everything that is said about a model: one function, so that a gate can say it again.

A table of predictions has one row a page with the columns record, patient, split, capture, sex, age, and per
finding `p:<name>` (float32 probability) and `label:<name>` (0/1).
"""

import numpy as np
import pandas as pd

from model.bootstrap import Interval, patient_weights, percentile_interval
from model.calibration import expected_calibration_error
from model.metrics import METRICS, choose_threshold, class_metrics, macro
from model.params import EvaluateParams
from model.subgroups import LEAST_PATIENTS, subgroups

NO_THRESHOLD = 0.5
"""Used for a class that the validation split cannot give a threshold, and which is then named."""


def scores_of(table: pd.DataFrame, label_names: tuple[str, ...]) -> np.ndarray:
    """The probabilities, float32 (N, C), columns in the order of `label_names`."""
    return table[[f"p:{name}" for name in label_names]].to_numpy(np.float32)


def truth_of(table: pd.DataFrame, label_names: tuple[str, ...]) -> np.ndarray:
    """The findings, bool (N, C), columns in the order of `label_names`."""
    return table[[f"label:{name}" for name in label_names]].to_numpy(bool)


def thresholds_of(predictions: pd.DataFrame, *, label_names: tuple[str, ...],
                  params: EvaluateParams) -> dict[str, float]:
    """Choose each class's threshold on the validation split alone, on the pages of all captures together.

    Raises:
        ValueError: the table has no validation split.
    """
    validate = predictions[predictions["split"] == "validate"]
    if validate.empty:
        raise ValueError("pages: no page of the validate split, which thresholds are chosen on; "
                         "add it to render.splits in params.yaml and render again")
    columns = zip(label_names, scores_of(validate, label_names).T, truth_of(validate, label_names).T, strict=True)
    chosen = {name: choose_threshold(score, truth, rule=params.threshold) for name, score, truth in columns}
    return {name: NO_THRESHOLD if np.isnan(value) else value for name, value in chosen.items()}


def measure(predictions: pd.DataFrame, *, label_names: tuple[str, ...], params: EvaluateParams, seed: int) -> dict:
    """Measure every split and capture of a table of predictions.

    Args:
        predictions: as described above; any number of captures and splits, validate among them.
        label_names: the classes.
        params: resamples, level of the intervals, rule of the thresholds.
        seed: of the bootstrap.

    Returns:
        {split: {capture: {"macro", "classes", "records", "patients", "undefined"}}} of plain values, where a
        figure is {"value", "low", "high"} and null is what cannot be measured. The test split has intervals.
    """
    thresholds = thresholds_of(predictions, label_names=label_names, params=params)
    measured: dict = {}
    for (split, capture), table in predictions.groupby(["split", "capture"], sort=False):
        weights = _weights(table, resamples=params.resamples if split == "test" else 0, seed=seed)
        block = _block(table, weights, label_names=label_names, thresholds=thresholds, level=params.level)
        measured.setdefault(split, {})[capture] = block
    return measured


def measure_subgroups(predictions: pd.DataFrame, *, label_names: tuple[str, ...], params: EvaluateParams,
                      seed: int) -> list[dict]:
    """Measure the test split by sex and by age band.

    Returns:
        One row a capture and group: capture, by, group, records, patients, too_small, and macro figures as in
        `measure`, all null for a group of fewer than `LEAST_PATIENTS` patients.
    """
    thresholds = np.array(list(thresholds_of(predictions, label_names=label_names, params=params).values()))
    rows = []
    for capture, table in predictions[predictions["split"] == "test"].groupby("capture", sort=False):
        weights = _weights(table, resamples=params.resamples, seed=seed)
        scores, truth = scores_of(table, label_names), truth_of(table, label_names)
        for by, group, mask in subgroups(table):
            patients = table["patient"][mask].nunique()
            figures = np.full((3, len(METRICS)), np.nan)
            if patients >= LEAST_PATIENTS:
                figures, _ = _figures(scores[mask], truth[mask], weights[mask], thresholds, params.level)
            rows.append({"capture": capture, "by": by, "group": group, "records": int(mask.sum()),
                         "patients": int(patients), "too_small": bool(patients < LEAST_PATIENTS), **_named(figures)})
    return rows


def _weights(table: pd.DataFrame, *, resamples: int, seed: int) -> np.ndarray:
    """Weights of one for the plain figure in the first column, the resamples after it."""
    drawn = patient_weights(table["patient"].to_numpy(str), resamples=resamples, seed=seed)
    return np.column_stack([np.ones(len(table)), drawn])


def _figures(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, thresholds: np.ndarray,
             level: float) -> tuple[np.ndarray, np.ndarray]:
    """Value, low and high of the macro figures (3, 6) and of the classes' (3, C, 6)."""
    by_class = class_metrics(scores, truth, weights, thresholds=thresholds)
    by_macro = macro(by_class)
    return (percentile_interval(by_macro[0], by_macro[1:], level=level),
            percentile_interval(by_class[0], by_class[1:], level=level))


def _named(figures: np.ndarray) -> dict[str, dict]:
    return {name: Interval(*figures[:, m]).as_dict() for m, name in enumerate(METRICS)}


def _block(table: pd.DataFrame, weights: np.ndarray, *, label_names: tuple[str, ...], thresholds: dict[str, float],
           level: float) -> dict:
    scores, truth = scores_of(table, label_names), truth_of(table, label_names)
    by_macro, by_class = _figures(scores, truth, weights, np.array([thresholds[n] for n in label_names]), level)
    ece = [expected_calibration_error(scores[:, c], truth[:, c]) for c in range(len(label_names))]
    classes = {name: {**_named(by_class[:, c]), "ece": Interval(ece[c]).as_dict(), "threshold": thresholds[name],
                      "prevalence": float(truth[:, c].mean())} for c, name in enumerate(label_names)}
    return {"macro": {**_named(by_macro), "ece": Interval(float(np.mean(ece))).as_dict()}, "classes": classes,
            "records": len(table), "patients": int(table["patient"].nunique()),
            "undefined": [name for c, name in enumerate(label_names) if np.isnan(by_class[0, c, 0])]}
