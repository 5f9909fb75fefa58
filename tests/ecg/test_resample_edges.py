"""What resampling does at a record's two ends, where a filter has to invent what it cannot see."""

import numpy as np
import pytest

from ecg.resample import fit, resample, standardise


@pytest.mark.parametrize(("rate", "target"), [(500.0, 100.0), (257.0, 100.0), (1000.0, 500.0), (100.0, 250.0)])
def test_the_ends_of_an_ecg_are_no_worse_than_a_few_microvolt(rate, target):
    """Against the same filter on a record that goes on at both ends; the plain filter errs by its whole offset."""
    def wave(start, seconds):
        time = start + np.arange(round(seconds * rate)) / rate
        return 1.5 + 0.4 * np.sin(2 * np.pi * 0.3 * time) + 0.1 * np.sin(2 * np.pi * 4 * time + 1)

    ours = resample(wave(0, 10), rate=rate, target=target)
    longer = resample(wave(-5, 20), rate=rate, target=target)
    first = round(5 * target)
    error = np.abs(ours - longer[first:first + len(ours)])
    assert error[round(target):-round(target)].max() < 1e-3
    assert error.max() < 0.02


def test_cropping_and_padding_are_both_told():
    signal = np.ones((12, 1500), np.float32)
    assert standardise(signal, rate=100.0, target=100.0, duration=10.0)[1] == "cropped"
    assert standardise(signal[:, :900], rate=100.0, target=100.0, duration=10.0)[1] == "padded"
    assert fit(signal, 1500)[1] == ""
