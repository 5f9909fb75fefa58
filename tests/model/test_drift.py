"""Drift: silent where nothing changed, and heard where something did."""

import numpy as np
import pytest
from scipy.stats import ks_2samp

from model.drift import BINS, Served, compare, stability_index
from model.params import MonitorParams

NAMES = ("NORM", "MI")
PARAMS = MonitorParams()


def sample(rng, pages, *, shift=0.0, confidence=0.9, quality=0.0, refused=0, doubtful=0.0) -> Served:
    logits = rng.normal(-1, 1.5, (pages, 2)) + shift
    scores = 1 / (1 + np.exp(-logits))
    return Served(NAMES, scores, scores > 0.5, np.clip(rng.normal(confidence, 0.05, pages), 0, 1),
                  rng.normal(quality, 1, pages), rng.random(pages) < doubtful, pages + refused)


def drifted(reference, now):
    return [check.name for check in compare(reference, now, PARAMS) if check.drifted]


def test_of_two_samples_of_one_distribution_few_are_called_drift():
    rng = np.random.default_rng(1)
    calls = sum(bool(drifted(sample(rng, 600), sample(rng, 200, doubtful=0.05))) for _ in range(200))
    assert calls <= 6  # alpha is 0.01 for each kind of check


@pytest.mark.parametrize("change, named", [
    ({"shift": 1.0}, "NORM: score, distribution"), ({"shift": -1.0}, "MI: called"),
    ({"confidence": 0.7}, "page confidence, distribution"), ({"confidence": 0.3}, "locate confidence, median"),
    ({"quality": -1.0}, "page quality, distribution"), ({"refused": 60}, "pages refused"),
    ({"doubtful": 0.5}, "pages doubtful"), ({"shift": 1.5}, "NORM: score, stability")])
def test_a_change_is_heard_and_named(change, named):
    rng = np.random.default_rng(2)
    assert any(name.startswith(named) for name in drifted(sample(rng, 600), sample(rng, 200, **change)))


def test_the_index_of_one_distribution_is_nought_on_average_whatever_the_size():
    rng = np.random.default_rng(3)
    for size in (100, 1000):
        values = [stability_index(rng.random(2000), rng.random(size)) for _ in range(200)]
        assert abs(np.mean(values)) < 0.3 * (BINS - 1) * (1 / 2000 + 1 / size)


def test_the_index_of_known_shares():
    # Halves that become 0.9 and 0.1: (0.4) ln(1.8) + (-0.4) ln(0.2).
    reference, now = np.repeat([0.25, 0.75], 5000), np.repeat([0.25, 0.75], [9000, 1000])
    assert stability_index(reference, now, bins=2) == pytest.approx(0.4 * np.log(1.8) - 0.4 * np.log(0.2), abs=2e-3)


def test_the_distance_is_that_of_scipy():
    rng = np.random.default_rng(4)
    reference, now = sample(rng, 300), sample(rng, 300, shift=0.5)
    found = {check.name: check for check in compare(reference, now, PARAMS)}
    assert found["MI: score, distribution"].value == pytest.approx(
        ks_2samp(reference.scores[:, 1], now.scores[:, 1]).statistic)
