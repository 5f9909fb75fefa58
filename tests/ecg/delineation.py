"""Measurements on a trace as a reader makes them, for the tests of the simulator: signals (12, 1000) in mV, 100 Hz."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from ecg.leads import lead_index

RATE = 100
BEFORE, AFTER = 45, 50
"""Samples of the median beat before and after the middle of its QRS."""


def speed(signal: np.ndarray) -> np.ndarray:
    """How fast the eight independent leads move together, mV a sample, (T,)."""
    independent = [lead_index(name) for name in ("I", "II", "V1", "V2", "V3", "V4", "V5", "V6")]
    return np.sqrt((np.gradient(signal[independent], axis=1) ** 2).sum(axis=0))


def beats(signal: np.ndarray) -> np.ndarray:
    """Samples of the QRS complexes."""
    energy = np.convolve(speed(signal), np.hanning(17), "same")
    return find_peaks(energy, height=0.3 * np.sort(energy)[-20], distance=30)[0]


def widths(signal: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Duration in ms of each QRS in `at`: the span in which the leads move at more than a fifth of their fastest."""
    moving, found = speed(signal), []
    for beat in at:
        window = moving[max(beat - 12, 0):beat + 13]
        above = np.flatnonzero(window > 0.2 * window.max())
        found.append((above[-1] - above[0] + 1) * 1000 / RATE)
    return np.array(found)


@dataclass(frozen=True)
class MedianBeat:
    """The median of the whole beats, level on the PR segment: `mv` (12, BEFORE + AFTER), QRS from `onset` to `j`."""

    mv: np.ndarray
    onset: int
    j: int

    def lead(self, name: str) -> np.ndarray:
        return self.mv[lead_index(name)]

    def st(self, name: str) -> float:
        """Level 60 ms after J, mV."""
        return float(self.lead(name)[self.j + 6])

    def qrs(self, name: str) -> np.ndarray:
        return self.lead(name)[self.onset:self.j + 1]

    def p_peak(self) -> tuple[int, float]:
        """Where lead II is highest before the QRS, and how high it is over the level before it, mV."""
        start = self.onset - 34
        window = self.lead("II")[max(start, 0):self.onset - 4]
        return int(window.argmax()) + max(start, 0), float(window.max() - np.median(window))

    def sokolow_lyon(self) -> float:
        return float(-self.qrs("V1").min() + max(self.qrs("V5").max(), self.qrs("V6").max()))


def median_beat(signal: np.ndarray) -> MedianBeat:
    whole = [b for b in beats(signal) if BEFORE <= b < signal.shape[1] - AFTER]
    beat = np.median([signal[:, b - BEFORE:b + AFTER] for b in whole], axis=0)
    moving = speed(beat)
    above = np.flatnonzero(moving[BEFORE - 12:BEFORE + 13] > 0.2 * moving[BEFORE - 12:BEFORE + 13].max()) + BEFORE - 12
    onset, j = int(above[0]) - 1, int(above[-1]) + 1
    return MedianBeat(beat - np.median(beat[:, onset - 4:onset], axis=1, keepdims=True), onset, j)
