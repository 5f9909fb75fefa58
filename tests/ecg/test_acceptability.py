"""Measures of a recording's leads, its score, and interchanged electrodes, on signals whose defects are known."""

import numpy as np
import pytest

from ecg.acceptability import ACCEPTABLE, interchanged, lead_scores, measure_leads, score
from ecg.leads import LEADS, limb_leads
from ecg.records import RecordStore

RATE = 100.0


def noise(std: float, shape=(4, 12, 1000), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, std, shape)


def store(values: np.ndarray) -> np.ndarray:
    return np.rint(values).astype(np.int16)


@pytest.fixture(scope="module")
def recorded(store_path):
    return np.asarray(RecordStore.open(store_path).signals)


def test_noise_and_wander_are_measured_in_their_own_unit():
    measured = measure_leads(store(noise(50)), rate=RATE)
    assert measured.noise_uv == pytest.approx(50, rel=0.15)
    assert measured.baseline_uv.max() < 40
    slow = 500 * np.sin(2 * np.pi * 0.1 * np.arange(1000) / RATE)
    measured = measure_leads(store(np.broadcast_to(slow, (1, 12, 1000))), rate=RATE)
    assert measured.baseline_uv == pytest.approx(1000, rel=0.1) and measured.noise_uv.max() < 1


def test_noise_is_told_from_beats(recorded):
    quiet = measure_leads(recorded, rate=RATE).noise_uv
    loud = measure_leads(store(recorded + noise(100, recorded.shape)), rate=RATE).noise_uv
    assert quiet.max() < 40 and loud.min() > 80


def test_stretches_without_change_are_timed():
    x = store(noise(100, (1, 12, 1000)))
    x[0, 3, 200:350] = 7
    x[0, 5, -80:] = 9
    measured = measure_leads(x, rate=RATE)
    assert measured.flat_s[0, [3, 5]] == pytest.approx([1.5, 0.8], abs=0.02)
    assert measured.flat_s[0, 0] < 0.1


DEFECTS = {"flat": lambda x: x.__setitem__((0, 7), 3), "noise_uv": lambda x: x.__iadd__(store(noise(200, x.shape))),
           "clipped": lambda x: np.clip(x[:, 8], -30, 30, out=x[:, 8]), "small": lambda x: x.__ifloordiv__(200),
           "large": lambda x: x.__setitem__((0, 2, 5), 20000),
           "baseline_uv": lambda x: x[:, 9].__iadd__(np.linspace(0, 4000, x.shape[-1]).astype(np.int16))}


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_lowers_its_own_score(recorded, name):
    x = recorded[:1].copy()
    assert score(lead_scores(measure_leads(x, rate=RATE)))[0] > 0.95
    DEFECTS[name](x)
    scores = lead_scores(measure_leads(x, rate=RATE))
    assert scores[name].min() < 0.5 and score(scores)[0] < 0.95


def test_a_recording_of_noise_alone_is_not_acceptable(recorded):
    assert score(lead_scores(measure_leads(store(noise(300)), rate=RATE))).max() < ACCEPTABLE
    assert score(lead_scores(measure_leads(recorded, rate=RATE))).min() >= ACCEPTABLE


def limbs(x: np.ndarray, one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """The recordings with other limb leads."""
    changed = x.copy()
    changed[:, :6] = store(limb_leads(one, two))
    return changed


def found(x: np.ndarray) -> dict[str, float]:
    return {name: float(signs.mean()) for name, signs in interchanged(x, measure_leads(x, rate=RATE)).items()}


def test_interchanged_electrodes_show_and_right_ones_do_not(recorded):
    assert max(found(recorded).values()) <= 0.05
    x = recorded.astype(np.float64)
    arms = limbs(recorded, -x[:, 0], x[:, 2])
    assert found(arms)["arms"] > 0.5
    ground = limbs(recorded, -x[:, 2], noise(4, x[:, 0].shape))
    assert found(ground)["leg"] > 0.8
    chest = recorded.copy()
    v2, v3 = LEADS.index("V2"), LEADS.index("V3")
    chest[:, [v2, v3]] = chest[:, [v3, v2]]
    assert found(chest)["chest"] > found(recorded)["chest"]


def test_a_store_of_very_short_records_is_no_error():
    measured = measure_leads(store(noise(10, (2, 12, 2))), rate=RATE)
    assert np.isfinite(score(lead_scores(measured))).all()
