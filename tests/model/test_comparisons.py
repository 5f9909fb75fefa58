"""A model against the champion, and a model's subgroups against each other."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from model.comparisons import Measured, gap, lead
from model.params import EvaluateParams

NAMES = ("NORM", "MI")
AUROC = "test.clean.macro.auroc"


def measured(noise: float, *, records: int = 300, old_noise: float | None = None) -> Measured:
    """Predictions of the same records whatever the noise; of men with `old_noise`."""
    rng = np.random.default_rng(5)
    truth = rng.random((records, 2)) < 0.4
    table = pd.DataFrame({"record": [f"r{i}" for i in range(records)],
                          "patient": [f"p{i // 2}" for i in range(records)],
                          "split": np.where(np.arange(records) < records // 3, "validate", "test"), "capture": "clean",
                          "sex": np.where(rng.random(records) < 0.5, "F", "M"), "age": 50.0})
    strength = np.where(table["sex"] == "M", noise if old_noise is None else old_noise, noise)[:, None]
    logits = truth * 2.0 - 1 + strength * rng.normal(size=truth.shape)
    for c, name in enumerate(NAMES):
        table[f"label:{name}"] = truth[:, c].astype(np.uint8)
        table[f"p:{name}"] = (1 / (1 + np.exp(-logits[:, c]))).astype(np.float32)
    return Measured(table, NAMES, EvaluateParams(resamples=200), 1)


def auroc(of: Measured, name: str, mask=slice(None)) -> float:
    table = of.predictions[of.predictions["split"] == "test"]
    table = table[mask] if not isinstance(mask, slice) else table
    return roc_auc_score(table[f"label:{name}"], table[f"p:{name}"])


def test_a_model_is_level_with_itself_in_every_resample():
    found = lead(AUROC, measured(1.0), measured(1.0))
    assert (found.value, found.low, found.high) == (0, 0, 0)


def test_the_lead_is_the_difference_that_scikit_learn_gives_and_its_interval_holds_it():
    better, worse = measured(0.8), measured(1.6)
    found = lead(AUROC, better, worse)
    assert found.value == pytest.approx(np.mean([auroc(better, n) - auroc(worse, n) for n in NAMES]), abs=1e-9)
    assert 0 < found.low < found.value < found.high
    of_class = lead("test.clean.classes.MI.auroc", better, worse)
    assert of_class.value == pytest.approx(auroc(better, "MI") - auroc(worse, "MI"), abs=1e-9)
    back = lead(AUROC, worse, better)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_the_order_of_the_rows_does_not_matter_and_other_pages_are_refused():
    ours, theirs = measured(0.8), measured(1.6)
    shuffled = replace(theirs, predictions=theirs.predictions.sample(frac=1, random_state=1))
    assert lead(AUROC, ours, shuffled) == lead(AUROC, ours, theirs)
    fewer = replace(theirs, predictions=theirs.predictions.iloc[:-1])
    with pytest.raises(ValueError, match="measured on other pages"):
        lead(AUROC, ours, fewer)


def test_the_gap_is_between_the_best_and_the_worst_group():
    uneven = measured(0.5, old_noise=2.0)
    table = uneven.predictions[uneven.predictions["split"] == "test"]
    by_sex = {sex: np.mean([auroc(uneven, n, (table["sex"] == sex).to_numpy()) for n in NAMES]) for sex in "FM"}
    found = gap(AUROC, "sex", uneven)
    assert found.value == pytest.approx(by_sex["F"] - by_sex["M"], abs=1e-9) and found.low > 0
    assert found.detail == f"female {by_sex['F']:.3f}, male {by_sex['M']:.3f}"
    assert gap(AUROC, "sex", measured(0.5)).value < found.value


def test_a_gap_of_groups_too_small_cannot_be_measured():
    found = gap(AUROC, "sex", measured(1.0, records=60))
    assert found.value is None and found.detail == "fewer than two groups of 20 patients"


@pytest.mark.parametrize("metric", ["test.photo.macro.auroc", "test.clean.macro.ece", "test.clean.classes.XX.f1",
                                    "test"])
def test_a_figure_that_cannot_be_compared_is_refused(metric):
    with pytest.raises(ValueError, match="cannot be compared; name <split>"):
        lead(metric, measured(1.0), measured(1.0))


def test_an_unknown_division_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="no subgroups by 'shoe size'; there are age, sex"):
        gap(AUROC, "shoe size", measured(1.0))
