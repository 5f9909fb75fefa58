"""The heart vector: sums of Gaussian waves in Frank's x, y, z, and its projection on the leads.

Axes as in Frank's system: x to the patient's left, y to the feet, z to the back; millivolt and seconds.
"""

from dataclasses import dataclass

import numpy as np

DOWER = np.array([
    [0.632, -0.235, 0.059],   # I
    [0.235, 1.066, -0.132],   # II
    [-0.515, 0.157, -0.917],  # V1
    [0.044, 0.164, -1.387],   # V2
    [0.882, 0.098, -1.277],   # V3
    [1.213, 0.127, -0.601],   # V4
    [1.125, 0.127, -0.086],   # V5
    [0.831, 0.076, 0.230],    # V6
])
"""From (x, y, z) to the eight independent leads: Dower, Machado, Osborne 1980 (doi:10.1002/clc.1980.3.2.87), the
matrix that Edenbrandt and Pahlm 1988 inverted. The other four leads follow from I and II (`ecg.leads`)."""

_REACH = 5.0
"""A Gaussian is cut where it is below 4 millionths of its peak."""


@dataclass(frozen=True)
class Waves:
    """Gaussian waves of the heart vector: `centre` and `width` (sigma) of shape (N,), `peak` of shape (N, 3)."""

    centre: np.ndarray
    width: np.ndarray
    peak: np.ndarray

    @classmethod
    def table(cls, rows: list[tuple[float, float, float, float, float]]) -> "Waves":
        """Make waves from rows of centre in ms, width in ms, x, y, z in mV."""
        values = np.array(rows, dtype=float).reshape(-1, 5)
        return cls(values[:, 0] / 1000, values[:, 1] / 1000, values[:, 2:])

    def __len__(self) -> int:
        return len(self.centre)

    def stretched(self, factor: float) -> "Waves":
        return Waves(self.centre * factor, self.width * factor, self.peak)

    def turned(self, rotation: np.ndarray, *, gain: float = 1.0) -> "Waves":
        """Rotate every peak by a (3, 3) matrix and multiply it by `gain`."""
        return Waves(self.centre, self.width, gain * self.peak @ rotation.T)

    def repeated(self, times: np.ndarray) -> "Waves":
        """Put a copy at each of `times` (B,), seconds."""
        return Waves((times[:, None] + self.centre).ravel(), np.tile(self.width, len(times)),
                     np.tile(self.peak, (len(times), 1)))

    def heart_vector(self, time: np.ndarray) -> np.ndarray:
        """Sum the waves at evenly spaced `time` (T,); returns (T, 3) in mV."""
        step = time[1] - time[0]
        half = int(np.ceil(_REACH * self.width.max() / step)) if len(self) else 0
        nearest = np.rint((self.centre - time[0]) / step).astype(int)
        sample = nearest[:, None] + np.arange(-half, half + 1)
        distance = (time[0] + sample * step - self.centre[:, None]) / self.width[:, None]
        inside = (sample >= 0) & (sample < len(time))
        height = np.where(inside, np.exp(-0.5 * distance ** 2), 0.0)
        spot = np.clip(sample, 0, len(time) - 1).ravel()
        return np.stack([np.bincount(spot, (height * self.peak[:, axis, None]).ravel(), len(time))
                         for axis in range(3)], axis=1)


def joined(*parts: Waves) -> Waves:
    """Put several sets of waves together."""
    return Waves(np.concatenate([p.centre for p in parts]), np.concatenate([p.width for p in parts]),
                 np.concatenate([p.peak for p in parts]))


def rotation(*, frontal: float, horizontal: float) -> np.ndarray:
    """Turn the heart: `frontal` degrees clockwise as the ECG axis counts, then `horizontal` degrees to the back."""
    a, b = np.deg2rad([frontal, horizontal])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_y = np.array([[np.cos(b), 0, -np.sin(b)], [0, 1, 0], [np.sin(b), 0, np.cos(b)]])
    return about_y @ about_z


def sokolow_lyon(qrs: Waves) -> float:
    """The S of V1 plus the larger R of V5 and V6, mV (Sokolow and Lyon 1949), of one noise-free QRS."""
    leads = qrs.heart_vector(np.arange(-0.05, 0.3, 0.002)) @ DOWER[[2, 6, 7]].T
    return float(-leads[:, 0].min() + leads[:, 1:].max())
