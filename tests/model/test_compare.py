"""Paired tests of two models: DeLong against its definition, the bootstrap against theory, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from model.compare import bootstrap_p, compare, delong, midranks
from model.params import EvaluateParams
from tests.model.test_evaluation import NAMES, table

PARAMS = EvaluateParams(resamples=200)


def by_definition(truth, ours, theirs) -> tuple[float, float]:
    """Difference and its standard error from all pairs (DeLong et al. 1988, equations 4 to 6)."""
    components = []
    for score in (ours, theirs):
        a, b = score[truth][:, None], score[~truth][None]
        pairs = (a > b) + 0.5 * (a == b)
        components.append((pairs.mean(axis=1), pairs.mean(axis=0)))
    m, n = truth.sum(), (~truth).sum()
    covariance = np.cov([c[0] for c in components]) / m + np.cov([c[1] for c in components]) / n
    return (components[0][0].mean() - components[1][0].mean(),
            np.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]))


@pytest.mark.parametrize("levels", [1000, 12])
def test_delong_is_what_its_authors_define(levels):
    rng = np.random.default_rng(levels)
    truth = rng.random(300) < 0.3
    ours, theirs = (np.round((truth + rng.normal(0, sd, 300)) * levels) / levels for sd in (1.0, 2.5))
    tested = delong(truth, ours, theirs)
    assert (tested.ours, tested.theirs) == pytest.approx((roc_auc_score(truth, ours), roc_auc_score(truth, theirs)))
    difference, error = by_definition(truth, ours, theirs)
    assert (tested.ours - tested.theirs, tested.error) == pytest.approx((difference, error))
    assert tested.p < 0.05 and delong(truth, ours, ours).p == 1.0
    assert delong(truth, ours, theirs).p == pytest.approx(delong(truth, theirs, ours).p)


def test_delong_keeps_its_level_where_the_models_are_equally_good():
    rng = np.random.default_rng(3)
    p = []
    for _ in range(400):
        truth = rng.random(120) < 0.4
        shared = rng.normal(size=120)
        p.append(delong(truth, *(truth + shared + rng.normal(0, 0.7, 120) for _ in range(2))).p)
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09


def test_delong_says_when_nothing_can_be_measured():
    assert np.isnan(delong(np.zeros(5, bool), np.arange(5.0), np.arange(5.0)).p)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60))
def test_midranks_are_those_of_scipy(values):
    from scipy.stats import rankdata

    np.testing.assert_array_equal(midranks(np.array(values)), rankdata(values))


def test_a_better_model_is_found_better_and_itself_is_not():
    good, poor = table(records=600), table(records=600)
    rng = np.random.default_rng(1)
    for name in NAMES:
        poor[f"p:{name}"] = (0.3 * poor[f"p:{name}"] + 0.7 * rng.random(len(poor))).astype(np.float32)
    result = compare(good, poor.sample(frac=1, random_state=0), label_names=NAMES, params=PARAMS, seed=0)
    assert list(result) == ["clean", "scan"]
    auroc = result["clean"]["macro"]["auroc"]
    assert 0 < auroc["low"] < auroc["value"] < auroc["high"] and auroc["p"] < 0.05
    tested = result["clean"]["classes"]["A"]
    assert tested["auroc"]["value"] == pytest.approx(tested["delong"]["ours"] - tested["delong"]["theirs"])
    same = compare(good, good, label_names=NAMES, params=PARAMS, seed=0)["clean"]["macro"]["auroc"]
    assert same == {"value": 0.0, "low": 0.0, "high": 0.0, "p": 1.0}


def test_the_p_of_the_bootstrap_is_two_sided():
    assert bootstrap_p(np.array([1.0] * 97 + [-1.0] * 3)) == pytest.approx(8 / 101)
    assert bootstrap_p(np.array([np.nan])) != bootstrap_p(np.array([np.nan]))


def test_other_pages_or_other_truths_are_not_compared():
    ours, theirs = table(), table()
    theirs.loc[0:60, "label:A"] = 1 - theirs.loc[0:60, "label:A"]
    with pytest.raises(ValueError, match="other findings of the same records"):
        compare(ours, theirs, label_names=NAMES, params=PARAMS, seed=0)
    with pytest.raises(ValueError, match="no capture in common"):
        compare(ours, table(captures=("photo",)), label_names=NAMES, params=PARAMS, seed=0)
