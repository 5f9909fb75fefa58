"""From a table of predictions to everything that is said about a model: one function, so that a gate can say it again.

A table of predictions has one row a page with the columns record, patient, split, capture, sex, age, and per
finding `p:<name>` (float32 probability) and `label:<name>` (0/1).
"""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from model.bootstrap import Interval, patient_weights, percentile_interval
from model.calibration import Scaling, expected_calibration_error, fit_scaling, rescale
from model.conformal import Bounds, fit_bounds, plausible
from model.metrics import METRICS, choose_threshold, class_metrics, macro, micro, weighted_mean
from model.params import EvaluateParams
from model.subgroups import LEAST_PATIENTS, gaps, subgroups

if TYPE_CHECKING:
    # A server and a reader of pages use none of it, and importing it takes a second.
    import pandas as pd

NO_THRESHOLD = 0.5
"""Used for a class that the validation split cannot give a threshold, and which is then named."""


CONFORMAL = ("coverage", "coverage_present", "coverage_absent", "undecided")
"""Shares of pages: whose true answer is in the conformal set, the same of pages with and without the finding, and
whose set holds both answers or neither."""


@dataclass(frozen=True)
class Certainty:
    """What turns the network's probabilities of the findings into calibrated ones, and these into plausible answers.

    Args:
        scaling: one a finding.
        bounds: one a finding, of calibrated probabilities.
        coverage: what the bounds promise.
    """

    scaling: tuple[Scaling, ...]
    bounds: tuple[Bounds, ...]
    coverage: float

    def calibrated(self, scores: np.ndarray) -> np.ndarray:
        """Mend probabilities (..., C): float64."""
        return rescale(scores, *np.array([[s.slope, s.intercept] for s in self.scaling]).T)

    def plausible(self, calibrated: np.ndarray) -> np.ndarray:
        """Which answers are plausible, absent and present: bool (..., C, 2)."""
        return plausible(calibrated, *np.array([[b.least_present, b.most_absent] for b in self.bounds]).T)

    def as_dict(self, label_names: tuple[str, ...]) -> dict:
        """Plain values for JSON."""
        return {"coverage": self.coverage, "findings": {
            name: {**asdict(s), **asdict(b)}
            for name, s, b in zip(label_names, self.scaling, self.bounds, strict=True)}}

    @classmethod
    def from_dict(cls, known: dict, label_names: tuple[str, ...]) -> "Certainty":
        """Read what `as_dict` wrote."""
        rows = [known["findings"][name] for name in label_names]
        return cls(tuple(Scaling(row["slope"], row["intercept"]) for row in rows),
                   tuple(Bounds(row["least_present"], row["most_absent"]) for row in rows), known["coverage"])


def certainty_of(predictions: "pd.DataFrame", *, label_names: tuple[str, ...], params: EvaluateParams) -> Certainty:
    """Fit calibration and conformal bounds on the validation split alone, on the pages of all captures together."""
    validate = predictions[predictions["split"] == "validate"]
    scores, truth = scores_of(validate, label_names), truth_of(validate, label_names)
    scaling = tuple(fit_scaling(scores, truth, method=params.calibration))
    mended = rescale(scores, *np.array([[s.slope, s.intercept] for s in scaling]).T)
    bounds = tuple(fit_bounds(mended[:, c], truth[:, c], coverage=params.coverage) for c in range(len(label_names)))
    return Certainty(scaling, bounds, params.coverage)


def scores_of(table: "pd.DataFrame", label_names: tuple[str, ...]) -> np.ndarray:
    """The probabilities, float32 (N, C), columns in the order of `label_names`."""
    return table[[f"p:{name}" for name in label_names]].to_numpy(np.float32)


def truth_of(table: "pd.DataFrame", label_names: tuple[str, ...]) -> np.ndarray:
    """The findings, bool (N, C), columns in the order of `label_names`."""
    return table[[f"label:{name}" for name in label_names]].to_numpy(bool)


def thresholds_of(predictions: "pd.DataFrame", *, label_names: tuple[str, ...],
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


def measure(predictions: "pd.DataFrame", *, label_names: tuple[str, ...], params: EvaluateParams, seed: int) -> dict:
    """Measure every split and capture of a table of predictions.

    Args:
        predictions: as described above; any number of captures and splits, validate among them.
        label_names: the classes.
        params: resamples, level of the intervals, rule of the thresholds.
        seed: of the bootstrap.

    Returns:
        {split: {capture: {"macro", "micro", "classes", "records", "patients", "undefined"}}} of plain values, where
        a figure is {"value", "low", "high"} and null is what cannot be measured. The test split has intervals.
        Classes say their threshold and calibration too: whoever measures again checks those as well.
    """
    thresholds = thresholds_of(predictions, label_names=label_names, params=params)
    certainty = certainty_of(predictions, label_names=label_names, params=params)
    measured: dict = {}
    for (split, capture), table in predictions.groupby(["split", "capture"], sort=False):
        weights = _weights(table, resamples=params.resamples if split == "test" else 0, seed=seed)
        block = _block(table, weights, label_names=label_names, thresholds=thresholds, certainty=certainty,
                       level=params.level)
        if split == "test":
            block["gap"] = _gaps(table, label_names, np.array(list(thresholds.values())))
        measured.setdefault(split, {})[capture] = block
    return measured


def measure_subgroups(predictions: "pd.DataFrame", *, label_names: tuple[str, ...], params: EvaluateParams,
                      seed: int) -> list[dict]:
    """Measure the test split by sex, age band, device and quality; captures and layouts whole.

    Returns:
        One row a capture and group: capture, by, group, records, patients, too_small, and macro figures as in
        `measure`, all null for a group of fewer than `LEAST_PATIENTS` patients. Captures and layouts themselves are
        groups of the capture "all".
    """
    thresholds = np.array(list(thresholds_of(predictions, label_names=label_names, params=params).values()))
    rows, whole = [], []
    for capture, table in predictions[predictions["split"] == "test"].groupby("capture", sort=False):
        weights = _weights(table, resamples=params.resamples, seed=seed)
        everyone = np.ones(len(table), bool)
        rows += [_group(table, *group, weights, label_names, thresholds, params.level) | {"capture": capture}
                 for group in subgroups(table)]
        whole.append(_group(table, "capture", capture, everyone, weights, label_names, thresholds, params.level)
                     | {"capture": "all"})
    return (whole if len(whole) > 1 else []) + rows


def _group(table: "pd.DataFrame", by: str, group: str, mask: np.ndarray, weights: np.ndarray,
           label_names: tuple[str, ...], thresholds: np.ndarray, level: float) -> dict:
    patients = int(table["patient"][mask].nunique())
    figures = np.full((3, len(METRICS)), np.nan)
    if patients >= LEAST_PATIENTS:
        figures, _ = _figures(scores_of(table, label_names)[mask], truth_of(table, label_names)[mask], weights[mask],
                              thresholds, level)
    return {"by": by, "group": group, "records": int(mask.sum()), "patients": patients,
            "too_small": patients < LEAST_PATIENTS, **_named(figures)}


def _gaps(table: "pd.DataFrame", label_names: tuple[str, ...], thresholds: np.ndarray) -> dict:
    """How far the groups of each kind lie apart, {by: {metric: figure}}, for rules about it."""
    weights = np.ones((len(table), 1))
    rows = [_group(table, *group, weights, label_names, thresholds, 0.5) | {"capture": ""}
            for group in subgroups(table)]
    return {row["by"]: {name: Interval(row[name]["value"]).as_dict() for name in METRICS if row[name]}
            for row in gaps(rows, METRICS)}


def _weights(table: "pd.DataFrame", *, resamples: int, seed: int) -> np.ndarray:
    """Weights of one for the plain figure in the first column, the resamples after it."""
    drawn = patient_weights(table["patient"].to_numpy(str), resamples=resamples, seed=seed)
    return np.column_stack([np.ones(len(table)), drawn])


def _figures(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, thresholds: np.ndarray,
             level: float) -> tuple[np.ndarray, np.ndarray]:
    """Value, low and high of the macro figures (3, 7) and of the classes' (3, C, 7)."""
    by_class = class_metrics(scores, truth, weights, thresholds=thresholds)
    return _with_interval(macro(by_class), level), _with_interval(by_class, level)


def _with_interval(figures: np.ndarray, level: float) -> np.ndarray:
    """Value, low and high, (3, ...), of figures of which the first, (1 + R, ...), is the plain one."""
    return percentile_interval(figures[0], figures[1:], level=level)


def _named(figures: np.ndarray, names: tuple[str, ...] = METRICS) -> dict[str, dict]:
    return {name: Interval(*figures[:, m]).as_dict() for m, name in enumerate(names)}


def _block(table: "pd.DataFrame", weights: np.ndarray, *, label_names: tuple[str, ...], thresholds: dict[str, float],
           certainty: Certainty, level: float) -> dict:
    scores, truth = scores_of(table, label_names), truth_of(table, label_names)
    bounds = np.array([thresholds[n] for n in label_names])
    by_macro, by_class = _figures(scores, truth, weights, bounds, level)
    sure_macro, sure_class = _certainty_figures(scores, truth, weights, certainty, level)
    described = certainty.as_dict(label_names)["findings"]
    classes = {name: {**_named(by_class[:, c]), **sure_class[c], "threshold": thresholds[name],
                      "prevalence": float(truth[:, c].mean()), "calibration": described[name]}
               for c, name in enumerate(label_names)}
    together = _with_interval(micro(scores, truth, weights, thresholds=bounds), level)
    return {"macro": {**_named(by_macro), **sure_macro}, "micro": _named(together), "classes": classes,
            "records": len(table), "patients": int(table["patient"].nunique()),
            "undefined": [name for c, name in enumerate(label_names) if np.isnan(by_class[0, c, 0])]}


def _certainty_figures(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray, certainty: Certainty,
                       level: float) -> tuple[dict, list[dict]]:
    """Calibration error before and after, the Brier score after, and `CONFORMAL`: of all findings, and of each."""
    mended = certainty.calibrated(scores)
    sets = certainty.plausible(mended)
    held = np.where(truth, sets[..., 1], sets[..., 0])
    shares = [weighted_mean((mended - truth) ** 2, weights), weighted_mean(held, weights),
              *(np.stack([weighted_mean(held[mask[:, c], c:c + 1], weights[mask[:, c]])[:, 0]
                          for c in range(truth.shape[1])], axis=1) for mask in (truth, ~truth)),
              weighted_mean(sets[..., 0] == sets[..., 1], weights)]
    by_class = np.stack(shares, axis=-1)
    names = ("calibrated_brier", *CONFORMAL)
    errors = {name: [expected_calibration_error(values[:, c], truth[:, c]) for c in range(truth.shape[1])]
              for name, values in (("ece", scores), ("calibrated_ece", mended))}
    plain = [{name: Interval(values[c]).as_dict() for name, values in errors.items()} for c in range(truth.shape[1])]
    of_class = _with_interval(by_class, level)
    return ({**{name: Interval(float(np.mean(values))).as_dict() for name, values in errors.items()},
             **_named(_with_interval(macro(by_class), level), names)},
            [{**plain[c], **_named(of_class[:, c], names)} for c in range(truth.shape[1])])
