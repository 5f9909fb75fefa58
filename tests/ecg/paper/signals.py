"""A made-up record for drawing: spikes and waves of another size in every lead."""

import numpy as np

BEATS = np.arange(0.4, 60.0, 0.83)


def beats_uv(*, sampling_rate: float = 100.0, seconds: float = 10.0) -> np.ndarray:
    """Return (12, T) µV."""
    t = np.arange(int(seconds * sampling_rate)) / sampling_rate
    since = t[:, None] - BEATS
    spike, wave = (np.exp(-((since - delay) / width) ** 2).sum(axis=1) for delay, width in ((0, 0.02), (0.28, 0.06)))
    lead = np.arange(12)[:, None]
    return 1100 * np.cos(lead) * spike + 260 * np.sin(lead + 1) * wave
