"""Every figure against scikit-learn, ties and weights included, and the properties that any figure must have."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score, roc_curve

from model.bootstrap import Interval, patient_weights, percentile_interval
from model.calibration import expected_calibration_error, reliability
from model.curves import pr_points, roc_points
from model.metrics import METRICS, auroc, choose_threshold, class_metrics, macro, micro, ranking

RNG = np.random.default_rng(0)


def sample(*, records: int, classes: int, levels: int | None = None, seed: int = 0):
    """Scores that know something, and findings; with few `levels` of the score there are many ties."""
    rng = np.random.default_rng(seed)
    truth = rng.random((records, classes)) < np.linspace(0.1, 0.6, classes)
    scores = 1 / (1 + np.exp(-(2 * truth - 1 + rng.normal(size=truth.shape))))
    return (np.round(scores * levels) / levels if levels else scores), truth


def by_sklearn(scores, truth, weight, thresholds) -> np.ndarray:
    """(C, 7) by the reference implementations."""
    rows = []
    for score, t, threshold in zip(scores.T, truth.T, thresholds, strict=True):
        called = score >= threshold
        precision, recall, f1, _ = precision_recall_fscore_support(t, called, sample_weight=weight, average="binary",
                                                                   zero_division=0)
        specificity = precision_recall_fscore_support(~t, ~called, sample_weight=weight, average="binary")[1]
        rows.append([roc_auc_score(t, score, sample_weight=weight),
                     average_precision_score(t, score, sample_weight=weight), f1, precision, recall, specificity,
                     np.average((score - t) ** 2, weights=weight)])
    return np.array(rows)


@pytest.mark.parametrize("levels", [None, 20, 2])
@pytest.mark.parametrize("kind", ["ones", "counts", "fractions"])
def test_all_figures_equal_those_of_scikit_learn(levels, kind):
    scores, truth = sample(records=300, classes=4, levels=levels)
    weights = {"ones": np.ones((300, 3)), "counts": RNG.poisson(1.0, (300, 3)).astype(float),
               "fractions": RNG.random((300, 3))}[kind]
    thresholds = np.array([0.2, 0.5, 0.7, 1.1])
    ours = class_metrics(scores, truth, weights, thresholds=thresholds)
    for r in range(3):
        np.testing.assert_allclose(ours[r], by_sklearn(scores, truth, weights[:, r], thresholds), atol=1e-12)


def test_macro_and_micro_equal_those_of_scikit_learn_and_torchmetrics():
    import torch
    from sklearn.metrics import brier_score_loss, f1_score, precision_score, recall_score
    from torchmetrics.functional.classification import multilabel_auroc, multilabel_average_precision
    from torchmetrics.functional.classification import multilabel_specificity as specificity

    scores, truth = sample(records=400, classes=5, levels=40)
    thresholds, ones = np.array([0.3, 0.5, 0.4, 0.6, 0.2]), np.ones((400, 1))
    called = scores >= thresholds
    figures = class_metrics(scores, truth, ones, thresholds=thresholds)
    p, t = torch.from_numpy(scores), torch.from_numpy(truth.astype(int))
    said = torch.from_numpy(called.astype(int))
    together = micro(scores, truth, ones, thresholds=thresholds)
    for average, ours in (("macro", macro(figures)[0]), ("micro", together[0])):
        how = dict(num_labels=5, average=average)
        theirs = [multilabel_auroc(p, t, **how), multilabel_average_precision(p, t, **how),
                  *(score(truth, called, average=average) for score in (f1_score, precision_score, recall_score)),
                  specificity(said, t, **how), brier_score_loss(truth.ravel(), scores.ravel())]
        np.testing.assert_allclose(ours, [float(value) for value in theirs], atol=1e-6)


def test_a_weighting_by_counts_equals_the_records_repeated():
    scores, truth = sample(records=200, classes=3, levels=15)
    thresholds = np.full(3, 0.5)
    weights = patient_weights(np.arange(200) // 2, resamples=300, seed=1)
    ours = class_metrics(scores, truth, weights, thresholds=thresholds)
    for r in (0, 131, 299):
        rows = np.repeat(np.arange(200), weights[:, r].astype(int))
        plain = class_metrics(scores[rows], truth[rows], np.ones((len(rows), 1)), thresholds=thresholds)[0]
        np.testing.assert_allclose(ours[r], plain, atol=1e-12)


def test_a_class_without_positives_or_negatives_is_nan_and_left_out_of_macro():
    scores, truth = sample(records=50, classes=3)
    truth[:, 0], truth[:, 2] = False, True
    figures = class_metrics(scores, truth, np.ones((50, 1)), thresholds=np.full(3, 0.5))
    assert np.isnan(figures[0, [0, 2]]).all() and np.isfinite(figures[0, 1]).all()
    np.testing.assert_array_equal(macro(figures), figures[:, 1])
    assert np.isnan(macro(figures[:, [0, 2]])).all()


scored = st.integers(2, 60).flatmap(lambda n: st.tuples(
    st.lists(st.integers(0, 12), min_size=n, max_size=n), st.lists(st.booleans(), min_size=n, max_size=n)))


@given(scored)
def test_auroc_counts_the_pairs_in_the_right_order(drawn):
    score, truth = (np.array(a) for a in drawn)
    pairs = [(p > q) + (p == q) / 2 for p in score[truth] for q in score[~truth]]
    assert auroc(truth, score / 12) == pytest.approx(np.mean(pairs)) if pairs else np.isnan(auroc(truth, score / 12))


@given(scored)
def test_ranking_depends_on_the_order_alone_and_auroc_is_symmetric(drawn):
    score, truth = np.array(drawn[0], float), np.array(drawn[1])
    ones = np.ones((len(score), 1))
    np.testing.assert_allclose(ranking(score, truth, ones), ranking(np.exp(score) - 3, truth, ones))
    np.testing.assert_allclose(ranking(score, truth, ones)[0], 1 - ranking(-score, truth, ones)[0])
    np.testing.assert_allclose(ranking(score, truth, ones)[0], ranking(-score, ~truth, ones)[0])


@given(scored, st.sampled_from(["f1", "youden"]))
def test_no_other_threshold_is_better_than_the_chosen_one(drawn, rule):
    score, truth = (np.array(drawn[0]) + 1) / 14, np.array(drawn[1])
    chosen = choose_threshold(score, truth, rule=rule)
    if truth.all() or not truth.any():
        assert np.isnan(chosen)
        return

    thresholds = np.array([chosen, chosen + 1e-9, chosen - 1e-9, *np.linspace(0, 1, 29)])
    figures = class_metrics(*(np.tile(a[:, None], len(thresholds)) for a in (score, truth)), np.ones((len(score), 1)),
                            thresholds=thresholds)[0]
    named = dict(zip(METRICS, figures.T, strict=True))
    worth = named["f1"] if rule == "f1" else named["recall"] + named["specificity"] - 1
    assert worth[0] == worth[1] == worth[2] == pytest.approx(worth.max())


def test_patients_are_drawn_whole_and_the_seed_decides():
    patients = np.array(["b", "a", "b", "c", "a", "a"])
    weights = patient_weights(patients, resamples=400, seed=5)
    for name in "abc":
        of_patient = weights[patients == name]
        assert (of_patient == of_patient[0]).all()
    first = [list(patients).index(name) for name in "abc"]
    assert (weights[first].sum(axis=0) == 3).all()
    assert weights[first].mean() == pytest.approx(1.0)
    assert weights[first].std() > 0.5
    np.testing.assert_array_equal(weights, patient_weights(patients, resamples=400, seed=5))
    assert (weights != patient_weights(patients, resamples=400, seed=6)).any()


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).normal(size=400)
    weights = patient_weights(np.arange(400), resamples=4000, seed=0)
    value, low, high = percentile_interval(values.mean(), (values @ weights) / 400, level=0.95)
    half = 1.96 * values.std() / 20
    assert value == values.mean()
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.1 * half)


def test_records_of_one_patient_widen_the_interval():
    scores, truth = sample(records=100, classes=1)
    scores, truth = np.repeat(scores, 5, axis=0), np.repeat(truth, 5, axis=0)

    def width(patients) -> float:
        figures = class_metrics(scores, truth, patient_weights(patients, resamples=500, seed=0), thresholds=np.ones(1))
        _, low, high = percentile_interval(figures[0, 0, 0], figures[:, 0, 0], level=0.95)
        return high - low

    assert width(np.arange(500) // 5) > 1.7 * width(np.arange(500))


def test_intervals_leave_out_nan_and_give_null():
    replicates = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, np.nan], [3.0, np.nan]])
    value, low, high = percentile_interval(np.array([2.0, np.nan]), replicates, level=0.5)
    assert (low[0], high[0]) == (1.5, 2.5)
    assert Interval(value[1], low[1], high[1]).as_dict() == {"value": None, "low": None, "high": None}
    assert np.isnan(percentile_interval(np.array(0.5), np.empty((0,)), level=0.95)[1:]).all()


def test_curves_begin_and_end_where_they_must_and_keep_the_area():
    scores, truth = sample(records=5000, classes=1, seed=3)
    roc, pr = roc_points(scores[:, 0], truth[:, 0]), pr_points(scores[:, 0], truth[:, 0])
    assert len(roc) <= 200 and len(pr) <= 200
    assert roc[0].tolist() == [0, 0] and roc[-1].tolist() == [1, 1]
    assert pr[0, 0] == 0 and pr[-1].tolist() == [1, truth.mean()]
    assert (np.diff(roc, axis=0) >= 0).all() and (np.diff(pr[:, 0]) >= 0).all()
    assert np.trapezoid(roc[:, 1], roc[:, 0]) == pytest.approx(auroc(truth[:, 0], scores[:, 0]), abs=2e-3)


def test_a_short_roc_curve_is_the_one_of_scikit_learn():
    scores, truth = sample(records=60, classes=1, levels=10)
    fpr, tpr, _ = roc_curve(truth[:, 0], scores[:, 0], drop_intermediate=False)
    ours = roc_points(scores[:, 0], truth[:, 0])
    assert {tuple(point) for point in ours.round(9)} <= set(zip(fpr.round(9), tpr.round(9), strict=True))
    assert np.trapezoid(ours[:, 1], ours[:, 0]) == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-12)


def test_curves_of_a_class_without_positives_are_empty():
    assert roc_points(np.array([0.1, 0.2]), np.array([0, 0])).shape == (0, 2)
    assert pr_points(np.array([0.1, 0.2]), np.array([1, 1])).shape == (0, 2)


def test_calibration_by_hand():
    score, truth = np.array([0.0, 0.1, 0.15, 0.95, 1.0]), np.array([0, 0, 1, 1, 1])
    np.testing.assert_allclose(reliability(score, truth), [[0.05, 0, 2], [0.15, 1, 1], [0.975, 1, 2]])
    assert expected_calibration_error(score, truth) == pytest.approx((0.05 * 2 + 0.85 + 0.025 * 2) / 5)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_probabilities_that_are_true_are_calibrated(seed):
    rng = np.random.default_rng(seed)
    score = rng.random(20_000)
    assert expected_calibration_error(score, rng.random(20_000) < score) < 0.02
    assert expected_calibration_error(score**3, rng.random(20_000) < score) > 0.1
