"""What makes a record unusable, and what is only noted on it."""

import numpy as np

from ecg.leads import LEADS

REASONS = {
    "missing_file": "the header or the signal file is not there",
    "outside_folder": "the record's path leads out of the data folder",
    "unreadable_header": "the header is not a WFDB header of one segment",
    "unreadable_signal": "the signal file cannot be decoded",
    "unreadable_row": "a cell of the source's table holds no value of its kind",
    "no_patient": "the source's table names no patient",
    "truncated": "the signal file is shorter than the header says",
    "checksum": "the samples do not add up to the header's checksum",
    "wrong_leads": "the leads are not the twelve standard ones",
    "unit": "the signal's unit is no voltage",
    "sampling_rate": "the sampling rate is not one of a diagnostic ECG",
    "too_short": "the record lasts less than a second",
    "missing_samples": "a sample is missing or not finite",
    "flat": "no lead carries a signal",
    "unreadable_picture": "the picture of the page cannot be decoded, or is too large",
    "overflow": "the signal leaves the range of 16 bits at 1 µV",
}
"""The words of `BadRecord.reason`, and what each means."""

NO_SIGNAL = "no_signal"
"""Flag of a record that has a picture of its page alone: its signal is zero and stands for none."""

FLAT_MV = 0.002
"""A lead whose values span no more than this, two steps of the store, carries no signal."""
LIMIT_MV = 32.767
"""The largest amplitude that the store's int16 µV holds."""
MOST_CLIPPED = 0.01
"""Share of samples beyond `LIMIT_MV` up to which they are taken for spikes and clipped."""
MIN_SECONDS = 1.0


def fault(signal_mv: np.ndarray, sampling_rate: float) -> tuple[str, str] | None:
    """Say why a signal is unusable, as (reason, detail), or None when it is usable.

    Args:
        signal_mv: shape (12, T), millivolt.
        sampling_rate: Hz.
    """
    seconds = signal_mv.shape[-1] / sampling_rate
    if seconds < MIN_SECONDS:
        return "too_short", f"it lasts {seconds:.2f} s, less than {MIN_SECONDS:g} s"
    finite = np.isfinite(signal_mv)
    if not finite.all():
        leads = [lead for lead, whole in zip(LEADS, finite.all(axis=-1), strict=True) if not whole]
        return "missing_samples", f"{(~finite).sum()} samples are missing or not finite, in {', '.join(leads)}"
    if flat_leads(signal_mv).all():
        return "flat", f"every lead spans at most {FLAT_MV * 1000:g} µV"
    beyond = float((np.abs(signal_mv) > LIMIT_MV).mean())
    if beyond > MOST_CLIPPED:
        return "overflow", f"{beyond:.1%} of the samples lie beyond {LIMIT_MV:g} mV; is the gain right?"
    return None


def notes(signal_mv: np.ndarray) -> tuple[str, ...]:
    """Return the flags of a usable signal: `flat:<lead>` for each flat lead, `clipped` when it leaves ±32.767 mV."""
    flat = tuple(f"flat:{lead}" for lead, is_flat in zip(LEADS, flat_leads(signal_mv), strict=True) if is_flat)
    return flat + (("clipped",) if np.abs(signal_mv).max() > LIMIT_MV else ())


def flat_leads(signal_mv: np.ndarray) -> np.ndarray:
    """Return which leads carry no signal: bool, shape (12,), for a signal of shape (12, T) in millivolt."""
    return np.ptp(signal_mv, axis=-1) <= FLAT_MV
