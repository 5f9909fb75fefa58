import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecg.resample import fit, resample, standardise

RATES = st.sampled_from([100.0, 125.0, 128.0, 240.0, 250.0, 257.0, 360.0, 400.0, 499.5, 500.0, 1000.0])


def sine(rate, *, frequency, phase, seconds=10.0):
    time = np.arange(round(rate * seconds)) / rate
    return np.sin(2 * np.pi * frequency * time + phase)


@given(rate=RATES, target=RATES, frequency=st.floats(0.5, 15.0), phase=st.floats(0.0, 6.28), offset=st.floats(-3, 3))
def test_amplitude_phase_and_offset_of_a_sine_stay(rate, target, frequency, phase, offset):
    found = resample(sine(rate, frequency=frequency, phase=phase) + offset, rate=rate, target=target)
    assert len(found) == math.ceil(round(rate * 10) * target / rate)
    expected = sine(target, frequency=frequency, phase=phase)[:len(found)] + offset
    middle = slice(round(0.5 * target), round(9.5 * target))
    np.testing.assert_allclose(found[middle], expected[middle], atol=0.02)


@given(rate=RATES, target=RATES, offset=st.floats(-5, 5), slope=st.floats(-1, 1))
def test_a_wandering_baseline_has_no_step_at_the_ends(rate, target, offset, slope):
    line = offset + slope * np.arange(round(rate * 5)) / rate
    found = resample(line, rate=rate, target=target)
    expected = offset + slope * np.arange(len(found)) / target
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_same_rate_changes_nothing():
    signal = sine(100.0, frequency=3, phase=1).astype(np.float32)
    assert resample(signal, rate=100.0, target=100.0) is signal


def test_what_lies_above_the_new_rate_is_filtered_out_not_folded():
    found = resample(sine(500.0, frequency=80, phase=0), rate=500.0, target=100.0)
    assert np.abs(found[50:-50]).max() < 0.02


@given(length=st.integers(1, 300), samples=st.integers(1, 300))
def test_fit_keeps_the_beginning_and_pads_with_the_baseline(length, samples):
    signal = np.random.default_rng(length).normal(size=(12, length)).astype(np.float32)
    found, note = fit(signal, samples)
    assert found.shape == (12, samples) and found.dtype == np.float32
    assert note == ("cropped" if length > samples else "padded" if length < samples else "")
    kept = min(length, samples)
    np.testing.assert_array_equal(found[:, :kept], signal[:, :kept])
    np.testing.assert_array_equal(found[:, kept:] - np.median(signal, axis=1, keepdims=True).astype(np.float32), 0)


@pytest.mark.parametrize(("rate", "seconds", "note"), [
    (500.0, 10.0, ""), (257.0, 10.0, ""), (500.0, 60.0, "cropped"), (250.0, 7.0, "padded"),
])
def test_standardise_gives_the_wanted_length_and_the_same_values_as_the_whole_record(rate, seconds, note):
    signal = np.tile(sine(rate, frequency=2, phase=0.5, seconds=seconds), (12, 1)).astype(np.float32)
    found, done = standardise(signal, rate=rate, target=100.0, duration=10.0)
    assert found.shape == (12, 1000) and done == note
    whole = resample(signal, rate=rate, target=100.0)[:, :1000]
    np.testing.assert_allclose(found[:, :whole.shape[1]], whole, atol=0.005)
