"""Bring a signal to the store's sampling rate and duration."""

from fractions import Fraction

import numpy as np
from scipy.signal import resample_poly

SPARE_SECONDS = 2.0
"""What is kept beyond the wanted duration while resampling, so that the cut end has no edge of its own."""


def resample(signal: np.ndarray, *, rate: float, target: float) -> np.ndarray:
    """Change the sampling rate with a polyphase anti-aliasing filter.

    The filter runs on the signal less the line through its two ends: that starts and ends at zero, so the zeros
    that the filter assumes beyond them make no step. The line is added again afterwards.

    Args:
        signal: shape (..., T).
        rate: its sampling rate, Hz.
        target: the wanted one, Hz.

    Returns:
        Shape (..., ceil(T · target / rate)), the dtype of `signal`.
    """
    ratio = (Fraction(target).limit_denominator(1000) / Fraction(rate).limit_denominator(1000)).limit_denominator(10000)
    if ratio == 1:
        return signal
    first, last = signal[..., :1].astype(np.float64), signal[..., -1:].astype(np.float64)
    slope = (last - first) / max(1, signal.shape[-1] - 1)
    bent = signal - (first + slope * np.arange(signal.shape[-1]))
    found = resample_poly(bent, ratio.numerator, ratio.denominator, axis=-1)
    return (found + first + slope * np.arange(found.shape[-1]) / float(ratio)).astype(signal.dtype)


def fit(signal: np.ndarray, samples: int) -> tuple[np.ndarray, str]:
    """Crop a signal to its first `samples`, or pad it at its end with each lead's median, its baseline.

    Returns:
        The signal, shape (..., samples), and what was done: "cropped", "padded" or "".
    """
    length = signal.shape[-1]
    if length == samples:
        return signal, ""
    if length > samples:
        return signal[..., :samples], "cropped"
    baseline = np.repeat(np.median(signal, axis=-1, keepdims=True), samples - length, axis=-1)
    return np.concatenate([signal, baseline.astype(signal.dtype)], axis=-1), "padded"


def standardise(signal: np.ndarray, *, rate: float, target: float, duration: float) -> tuple[np.ndarray, str]:
    """Resample and fit in one go; a long record is cut before it is filtered.

    Returns:
        Shape (..., round(duration · target)), and the note of `fit`.
    """
    samples = round(duration * target)
    spare = round((duration + SPARE_SECONDS) * rate)
    return fit(resample(signal[..., :spare], rate=rate, target=target), samples)
