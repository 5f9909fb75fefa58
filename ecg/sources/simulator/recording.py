"""From the heart vector to a recorded signal: breathing, electrodes, noise, the device's filters, quantisation."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import butter, resample_poly, sosfiltfilt

from ecg.leads import limb_leads
from ecg.sources.simulator.vector import DOWER

SAMPLING_RATE = 100
SECONDS = 10
GAIN = 200
"""Samples a second, length of a record, and steps a millivolt (5 µV each) of the written signal."""

INNER_RATE = 500
_MARGIN = 1.0
"""The simulation runs at 500 Hz, a second longer at both ends, and is then low-passed and decimated as a cart does."""


@dataclass(frozen=True)
class Device:
    """A recorder: mains frequency in Hz, mains and muscle noise in mV, lower corner of its pass band in Hz."""

    mains_hz: float
    mains: float
    muscle: float
    high_pass: float


DEVICES = {
    "SIM-A": Device(mains_hz=50, mains=0.004, muscle=0.010, high_pass=0.05),
    "SIM-B": Device(mains_hz=60, mains=0.008, muscle=0.014, high_pass=0.15),
    "SIM-C": Device(mains_hz=50, mains=0.002, muscle=0.007, high_pass=0.05),
}


def inner_time() -> np.ndarray:
    """The moments of the simulation in s; the record lies between 0 and `SECONDS`."""
    return np.arange(-_MARGIN, SECONDS + _MARGIN, 1 / INNER_RATE)


def breathe(rng: np.random.Generator, vector: np.ndarray, time: np.ndarray, breath_hz: float) -> np.ndarray:
    """Let the lungs scale the heart vector (T, 3) by some percent and swing its frontal axis by some degrees."""
    breath = np.sin(2 * np.pi * breath_hz * time + rng.uniform(0, 2 * np.pi))
    scale = 1.0 + rng.uniform(0.02, 0.06) * breath
    angle = np.deg2rad(rng.uniform(1.0, 4.0)) * breath
    x, y = vector[:, 0], vector[:, 1]
    turned = np.stack([x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle), vector[:, 2]], 1)
    return turned * scale[:, None]


def record(rng: np.random.Generator, vector: np.ndarray, time: np.ndarray, *, breath_hz: float,
           device: str) -> np.ndarray:
    """Record the heart vector (T, 3) in mV; returns int16 (12, SECONDS * SAMPLING_RATE) in steps of 1 / GAIN mV.

    III and the augmented leads are computed from the quantised I and II, as a cart does, so that Einthoven's law is
    exact and Goldberger's holds within half a step.
    """
    placed = DOWER * (1.0 + rng.normal(0, 0.04, DOWER.shape))
    eight = vector @ placed.T + _lead_noise(rng, time, breath_hz, DEVICES[device])
    eight = sosfiltfilt(butter(1, DEVICES[device].high_pass, "highpass", fs=INNER_RATE, output="sos"), eight, axis=0)
    slow = resample_poly(eight, 1, INNER_RATE // SAMPLING_RATE, axis=0)
    start = int(_MARGIN * SAMPLING_RATE)
    steps = np.rint(slow[start:start + SECONDS * SAMPLING_RATE] * GAIN).T
    return np.rint(np.concatenate([limb_leads(steps[0], steps[1]), steps[2:]])).astype(np.int16)


def _lead_noise(rng: np.random.Generator, time: np.ndarray, breath_hz: float, device: Device) -> np.ndarray:
    """The noise of I, II, V1-V6, (T, 8) in mV, made at the nine electrodes so that it obeys the lead identities."""
    electrode = (_wander(rng, time, breath_hz) + _muscle(rng, len(time), device.muscle)
                 + device.mains * rng.uniform(0.2, 1.0, 9)
                 * np.sin(2 * np.pi * device.mains_hz * time[:, None] + rng.uniform(0, 2 * np.pi, 9)))
    right, left, foot = electrode[:, 0], electrode[:, 1], electrode[:, 2]
    centre = (right + left + foot) / 3
    return np.concatenate([np.stack([left - right, foot - right], 1), electrode[:, 3:] - centre[:, None]], axis=1)


def _wander(rng: np.random.Generator, time: np.ndarray, breath_hz: float) -> np.ndarray:
    """Baseline wander of nine electrodes, (T, 9): the chest's movement and slow drifts of skin potential."""
    breath = rng.normal(0, 0.018, 9) * np.sin(2 * np.pi * breath_hz * time + rng.uniform(0, 2 * np.pi))[:, None]
    knots = np.linspace(time[0], time[-1], 7)
    drift = np.stack([np.interp(time, knots, rng.normal(0, 0.03, 7)) for _ in range(9)], axis=1)
    smooth = butter(2, 0.5, fs=INNER_RATE, output="sos")
    return breath + sosfiltfilt(smooth, drift, axis=0)


def _muscle(rng: np.random.Generator, samples: int, size: float) -> np.ndarray:
    """Muscle noise of nine electrodes, (T, 9): 15-150 Hz, coming in bursts."""
    band = butter(2, [15, 150], "bandpass", fs=INNER_RATE, output="sos")
    noise = sosfiltfilt(band, rng.normal(0, 1, (samples, 9)), axis=0)
    knots = np.linspace(0, samples, 9)
    burst = np.interp(np.arange(samples), knots, rng.uniform(0.4, 1.4, 9))
    return size * rng.uniform(0.5, 1.2, 9) * burst[:, None] * noise / noise.std()
