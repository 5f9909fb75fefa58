import numpy as np
import pytest

from ecg.quality import REASONS, fault, notes
from tests.ecg.archives import beats


def spoiled(change):
    signal = beats(0).astype(np.float32)
    change(signal)
    return signal


def set_to(where, value):
    return lambda signal: signal.__setitem__(where, value)


@pytest.mark.parametrize(("change", "reason"), [
    (set_to((3, 7), np.nan), "missing_samples"),
    (set_to((3, 7), np.inf), "missing_samples"),
    (set_to(slice(None), 0.0), "flat"),
    (set_to(slice(None), 5.0), "flat"),
    (lambda signal: signal.__imul__(1000.0), "overflow"),
])
def test_an_unusable_signal_has_its_reason(change, reason):
    word, detail = fault(spoiled(change), 100.0)
    assert word == reason and reason in REASONS and detail


def test_missing_samples_are_named_by_lead():
    detail = fault(spoiled(set_to((3, slice(7, 9)), np.nan)), 100.0)[1]
    assert detail == "2 samples are missing or not finite, in aVR"


def test_a_good_signal_has_neither_fault_nor_notes():
    assert fault(beats(0), 100.0) is None and notes(beats(0)) == ()


def test_flat_leads_and_spikes_are_noted_only():
    signal = spoiled(set_to(11, 0.0))
    signal[6] = 1.0
    signal[0, 3] = 40.0
    assert fault(signal, 100.0) is None
    assert notes(signal) == ("flat:V1", "flat:V6", "clipped")


def test_less_than_a_second_is_too_short():
    assert fault(beats(0)[:, :99], 100.0)[0] == "too_short"
    assert fault(beats(0)[:, :100], 100.0) is None
