"""Calibration and conformal bounds: that they mend, that they keep order, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration import expected_calibration_error, fit_scaling, logit, rescale
from model.conformal import fit_bounds, plausible


def overconfident(records: int, *, seed: int, sharp: float = 3.0, shift: float = 1.0):
    """Scores whose log-odds are `sharp` times the true ones and `shift` too high, and findings drawn from the truth."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-0.5, 1.2, (records, 2))
    truth = rng.random((records, 2)) < 1 / (1 + np.exp(-odds))
    return 1 / (1 + np.exp(-(sharp * odds + shift))), truth


def test_vector_scaling_finds_what_spoilt_the_scores():
    scores, truth = overconfident(20_000, seed=0)
    for scaling in fit_scaling(scores, truth, method="vector"):
        assert scaling.slope == pytest.approx(1 / 3, abs=0.02) and scaling.intercept == pytest.approx(-1 / 3, abs=0.05)


def test_scaling_lowers_the_calibration_error_of_other_records():
    scaling = fit_scaling(*overconfident(2000, seed=1), method="vector")
    scores, truth = overconfident(4000, seed=2)
    mended = rescale(scores, *np.array([[s.slope, s.intercept] for s in scaling]).T)
    for c in range(2):
        before, after = (expected_calibration_error(p[:, c], truth[:, c]) for p in (scores, mended))
        assert after < 0.03 < before


def test_a_temperature_is_one_slope_without_an_intercept():
    scores, truth = overconfident(5000, seed=3, shift=0.0)
    first, second = fit_scaling(scores, truth, method="temperature")
    assert first == second and first.intercept == 0 and first.slope == pytest.approx(1 / 3, abs=0.03)


def test_what_cannot_be_fitted_is_left_as_it_is():
    scores, truth = overconfident(50, seed=4)
    truth[:, 0] = True
    scaling = fit_scaling(scores, truth, method="vector")
    assert (scaling[0].slope, scaling[0].intercept) == (1.0, 0.0)
    np.testing.assert_allclose(rescale(scores, 1.0, 0.0), scores, atol=1e-9)
    assert fit_scaling(scores, truth, method="none")[1].slope == 1.0


def test_separable_pages_do_not_send_the_slope_to_infinity():
    scores = np.array([0.1] * 20 + [0.9] * 20)[:, None]
    scaling, = fit_scaling(scores, scores > 0.5, method="vector")
    assert 1 < scaling.slope < 20


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40, unique=True), st.floats(0.05, 20), st.floats(-5, 5))
def test_no_two_pages_change_places(scores, slope, intercept):
    scores = np.sort(scores)
    assert (np.diff(rescale(scores, slope, intercept)) >= 0).all() and np.isfinite(logit(scores)).all()


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_sets_hold_the_truth_as_often_as_stated_with_and_without_the_finding(coverage):
    rng = np.random.default_rng(int(coverage * 100))
    held = {True: [], False: []}
    for _ in range(60):
        truth = rng.random(1200) < 0.2
        p = 1 / (1 + np.exp(-(2.5 * truth - 1.5 + rng.normal(size=1200))))
        bounds = fit_bounds(p[:600], truth[:600], coverage=coverage)
        sets = plausible(p[600:], bounds.least_present, bounds.most_absent)
        for value in (True, False):
            held[value].append(sets[truth[600:] == value, int(value)].mean())
    for value in (True, False):
        assert np.mean(held[value]) == pytest.approx(coverage, abs=0.015)


def test_too_few_pages_promise_nothing():
    bounds = fit_bounds(np.array([0.9, 0.2, 0.1]), np.array([True, False, False]), coverage=0.9)
    assert (bounds.least_present, bounds.most_absent) == (0.0, 1.0)
    assert plausible(np.array([0.0, 1.0]), 0.0, 1.0).all()
