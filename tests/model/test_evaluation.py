"""From a table of predictions to figures: thresholds, splits, intervals, subgroups."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from model.evaluation import Certainty, certainty_of, measure, measure_subgroups, thresholds_of
from model.params import EvaluateParams
from model.subgroups import gaps

NAMES = ("A", "B", "C")
PARAMS = EvaluateParams(resamples=200)


def table(*, seed: int = 0, captures=("clean", "scan"), records: int = 240) -> pd.DataFrame:
    """Two records a patient; a third of the patients validate."""
    rng = np.random.default_rng(seed)
    parts = []
    patients = np.arange(records) // 2
    truth = rng.random((records, 3)) < (0.2, 0.4, 0.5)
    for noise, capture in enumerate(captures):
        scores = 1 / (1 + np.exp(1 - 2 * truth - (1 + noise) * rng.normal(size=truth.shape)))
        parts.append(pd.DataFrame({
            "record": np.arange(records), "patient": [f"P{p}" for p in patients], "capture": capture,
            "split": np.where(patients % 3 == 0, "validate", "test"), "sex": np.where(patients % 2, "F", "M"),
            "age": np.where(patients < 5, np.nan, 30.0 + patients % 50),
            **{f"p:{n}": scores[:, c].astype(np.float32) for c, n in enumerate(NAMES)},
            **{f"label:{n}": truth[:, c].astype(np.uint8) for c, n in enumerate(NAMES)}}))
    return pd.concat(parts, ignore_index=True)


def test_figures_are_those_of_the_split_and_capture():
    predictions = table()
    measured = measure(predictions, label_names=NAMES, params=PARAMS, seed=0)
    assert {split: list(blocks) for split, blocks in measured.items()} == {
        "validate": ["clean", "scan"], "test": ["clean", "scan"]}
    for split, blocks in measured.items():
        for capture, block in blocks.items():
            part = predictions[(predictions["split"] == split) & (predictions["capture"] == capture)]
            assert (block["records"], block["patients"]) == (len(part), part["patient"].nunique())
            by_class = []
            for name in NAMES:
                figures = block["classes"][name]
                by_class.append(roc_auc_score(part[f"label:{name}"], part[f"p:{name}"]))
                assert figures["auroc"]["value"] == pytest.approx(by_class[-1])
                called = part[f"p:{name}"] >= figures["threshold"]
                assert figures["f1"]["value"] == pytest.approx(f1_score(part[f"label:{name}"], called))
            assert block["macro"]["auroc"]["value"] == pytest.approx(np.mean(by_class))


def test_only_the_test_split_has_intervals_and_they_enclose_the_figure():
    measured = measure(table(), label_names=NAMES, params=PARAMS, seed=0)
    for figure in measured["validate"]["clean"]["macro"].values():
        assert figure["low"] is None and figure["high"] is None
    for name in ("auroc", "auprc", "f1", "specificity"):
        figure = measured["test"]["clean"]["macro"][name]
        assert figure["low"] < figure["value"] < figure["high"]


def test_thresholds_do_not_look_at_the_test_split():
    predictions = table()
    before = thresholds_of(predictions, label_names=NAMES, params=PARAMS)
    test = predictions["split"] == "test"
    predictions.loc[test, [f"label:{n}" for n in NAMES]] = 1 - predictions.loc[test, [f"label:{n}" for n in NAMES]]
    assert thresholds_of(predictions, label_names=NAMES, params=PARAMS) == before
    assert thresholds_of(table(seed=1), label_names=NAMES, params=PARAMS) != before


def test_without_a_validation_split_there_is_no_threshold():
    predictions = table()
    with pytest.raises(ValueError, match="no page of the validate split"):
        measure(predictions[predictions["split"] == "test"], label_names=NAMES, params=PARAMS, seed=0)


def test_a_class_that_cannot_be_measured_is_null_and_named():
    predictions = table()
    predictions["label:B"] = 0
    measured = measure(predictions, label_names=NAMES, params=PARAMS, seed=0)
    block = measured["test"]["clean"]
    assert block["undefined"] == measured["validate"]["clean"]["undefined"] == ["B"]
    assert block["classes"]["B"]["auroc"] == {"value": None, "low": None, "high": None}
    assert block["classes"]["B"]["threshold"] == 0.5
    others = [block["classes"][n]["auroc"]["value"] for n in "AC"]
    assert block["macro"]["auroc"]["value"] == pytest.approx(np.mean(others))


def test_calibration_and_sets_are_fitted_on_validation_and_hold_on_test():
    predictions = table(records=6000)
    for name in NAMES:
        predictions[f"p:{name}"] = predictions[f"p:{name}"] ** 3
    block = measure(predictions, label_names=NAMES, params=PARAMS, seed=0)["test"]
    for capture in block.values():
        figures = capture["macro"]
        assert figures["calibrated_ece"]["value"] < figures["ece"]["value"]
        assert figures["calibrated_brier"]["value"] < figures["brier"]["value"]
        assert figures["coverage"]["low"] < figures["coverage"]["value"] < figures["coverage"]["high"]
    both = np.mean([capture["macro"][key]["value"] for capture in block.values()
                    for key in ("coverage", "coverage_present", "coverage_absent")])
    assert both == pytest.approx(PARAMS.coverage, abs=0.02)

    certainty = certainty_of(predictions, label_names=NAMES, params=PARAMS)
    told = block["clean"]["classes"]["B"]["calibration"]
    findings = {name: figures["calibration"] for name, figures in block["clean"]["classes"].items()}
    again = Certainty.from_dict({"coverage": PARAMS.coverage, "findings": findings}, NAMES)
    assert again == certainty and told == certainty.as_dict(NAMES)["findings"]["B"]
    test = predictions["split"] == "test"
    predictions.loc[test, [f"label:{n}" for n in NAMES]] = 0
    assert certainty_of(predictions, label_names=NAMES, params=PARAMS) == certainty


def test_gaps_name_the_groups_that_lie_furthest_apart():
    predictions = table(records=1200, captures=("clean", "scan"))
    predictions["device"] = np.where(predictions["sex"] == "F", "cart A", "cart B")
    female = predictions["sex"] == "F"
    rng = np.random.default_rng(0)
    for name in NAMES:
        predictions.loc[female, f"p:{name}"] = rng.random(female.sum()).astype(np.float32)
    groups = measure_subgroups(predictions, label_names=NAMES, params=PARAMS, seed=0)
    assert [row["group"] for row in groups if row["by"] == "capture"] == ["clean", "scan"]
    found = {(row["by"], row["capture"]): row["auroc"] for row in gaps(groups, ("auroc",))}
    for by, lowest, highest in (("sex", "female", "male"), ("device", "cart A", "cart B")):
        gap = found[by, "clean"]
        assert (gap["lowest"], gap["highest"], gap["apart"]) == (lowest, highest, True) and gap["value"] > 0.2
    block = measure(predictions, label_names=NAMES, params=PARAMS, seed=0)["test"]["clean"]
    assert block["gap"]["sex"]["auroc"]["value"] == pytest.approx(found["sex", "clean"]["value"])


def test_records_are_divided_by_the_quality_of_their_signal():
    predictions = table(captures=("clean",))
    test = predictions["split"] == "test"
    predictions["signal_quality"] = np.resize([0.5, 0.8, 1.0, np.nan], len(predictions)).astype(np.float32)
    rows = measure_subgroups(predictions, label_names=NAMES, params=PARAMS, seed=0)
    found = {row["group"]: row["records"] for row in rows if row["by"] == "signal quality"}
    assert list(found) == ["below 0.7, not acceptable", "0.7-0.95", "0.95-1", "unknown"]
    assert list(found.values()) == [(predictions["signal_quality"][test].round(1) == value).sum()
                                    for value in (0.5, 0.8, 1.0)] + [predictions["signal_quality"][test].isna().sum()]


def test_subgroups_divide_the_records_and_small_ones_are_not_measured():
    predictions = table(captures=("clean",))
    rows = measure_subgroups(predictions, label_names=NAMES, params=PARAMS, seed=0)
    test = predictions[predictions["split"] == "test"]
    for by in ("sex", "age"):
        assert sum(row["records"] for row in rows if row["by"] == by) == len(test)
    unknown = next(row for row in rows if row["group"] == "unknown")
    assert unknown["patients"] < 20 and unknown["too_small"] and unknown["auroc"]["value"] is None
    female = next(row for row in rows if row["group"] == "female")
    part = test[test["sex"] == "F"]
    expected = np.mean([roc_auc_score(part[f"label:{n}"], part[f"p:{n}"]) for n in NAMES])
    assert female["auroc"]["value"] == pytest.approx(expected)
    assert female["auroc"]["low"] < expected < female["auroc"]["high"]
