"""A cart's filter: the page names the one that the traces have passed."""

import numpy as np
from scipy.signal import butter, sosfiltfilt

ORDER = 2


def cart_filter(signal_uv: np.ndarray, *, sampling_rate: float,
                band_hz: tuple[float, float] | None) -> tuple[np.ndarray, str]:
    """Filter a record as a cart does before it prints, without shifting it in time.

    An edge that the record's own sampling leaves no room for is not applied and not named.

    Args:
        signal_uv: (12, T) µV; samples that are not finite stay gaps.
        sampling_rate: Hz.
        band_hz: lower and upper edge; None: no filter.

    Returns:
        float32 (12, T), and the filter's name as the page shows it, empty where nothing was filtered.
    """
    signal = np.asarray(signal_uv, np.float32)
    if band_hz is None or signal.shape[1] < 8:
        return signal, ""
    low, high = band_hz
    gaps = ~np.isfinite(signal)
    filled = _bridged(signal, gaps) if gaps.any() else signal
    if high < 0.45 * sampling_rate:
        filled = _both_ways(butter(ORDER, high, "low", fs=sampling_rate, output="sos"), filled, sampling_rate)
    filled = _both_ways(butter(1, low, "high", fs=sampling_rate, output="sos"), filled, sampling_rate / low)
    named = f"{low:g}-{high:g} Hz" if high < 0.45 * sampling_rate else f"from {low:g} Hz"
    return np.where(gaps, np.float32(np.nan), filled.astype(np.float32)), named


def _both_ways(section: np.ndarray, signal: np.ndarray, settles: float) -> np.ndarray:
    """Filter forwards and backwards. The record is mirrored at its ends for as many samples as the filter needs to
    settle: mirrored through its last value, a record that ends within a QRS complex would drift."""
    return sosfiltfilt(section, signal, axis=1, padtype="even", padlen=min(signal.shape[1] - 1, round(settles)))


def _bridged(signal: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """Draw straight lines over gaps; a lead without any sample becomes 0."""
    filled = np.zeros_like(signal)
    where = np.arange(signal.shape[1])
    for row, lead, gap in zip(filled, signal, gaps, strict=True):
        if not gap.all():
            row[:] = np.interp(where, where[~gap], lead[~gap])
    return filled
