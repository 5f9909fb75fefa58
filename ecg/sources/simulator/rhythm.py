"""When the ventricles beat: sinus rhythm with its variability, atrial fibrillation, premature beats."""

from dataclasses import dataclass

import numpy as np

START = -2.0
"""Seconds before the record at which the rhythm begins, so that its first samples lie inside a running beat."""


@dataclass(frozen=True)
class Rhythm:
    """QRS onsets `time` (B,) in s, the interval before each, `rr` (B,), and whether it is premature, `ectopic` (B,)."""

    time: np.ndarray
    rr: np.ndarray
    ectopic: np.ndarray


def sinus_intervals(rng: np.random.Generator, *, rate: float, age: float, breath_hz: float,
                    seconds: float) -> np.ndarray:
    """RR intervals of a sinus rhythm: respiratory arrhythmia that fades with age, slow waves, beat-to-beat noise.

    The 0.1 Hz wave is Mayer's; sizes follow the ranges of Task Force ESC/NASPE 1996.
    """
    mean = 60.0 / rate
    beats = int((seconds - START) / mean * 1.3) + 4
    moment = mean * np.arange(beats)
    respiratory = 0.055 * np.exp(-max(age - 20.0, 0.0) / 35.0) * rng.uniform(0.6, 1.3)
    slow = rng.uniform(0.005, 0.02)
    swing = (respiratory * np.sin(2 * np.pi * breath_hz * moment + rng.uniform(0, 2 * np.pi))
             + slow * np.sin(2 * np.pi * 0.1 * moment + rng.uniform(0, 2 * np.pi)))
    return mean * (1.0 + swing + rng.normal(0, 0.006, beats))


def fibrillation_intervals(rng: np.random.Generator, *, rate: float, seconds: float) -> np.ndarray:
    """RR intervals of atrial fibrillation: independent, right-skewed, never below the AV node's refractory time."""
    mean, spread = 60.0 / rate, rng.uniform(0.22, 0.30)
    beats = int((seconds - START) / mean * 1.6) + 6
    shape = 1.0 / spread ** 2
    return np.clip(rng.gamma(shape, mean / shape, beats), 0.36, 1.8)


def place_premature(rng: np.random.Generator, intervals: np.ndarray, *, seconds: float) -> Rhythm:
    """Make two to four beats of the record ventricular and early, each followed by its compensatory pause.

    The beat comes at 55-68 % of the mean interval; the next keeps the time that the sinus node had set for it.
    """
    mean = float(np.mean(intervals))
    time = START + np.cumsum(intervals)
    first, last = np.searchsorted(time, [0.8, seconds - 1.6])
    spacing = int(rng.choice([2, 3, 4], p=[0.25, 0.5, 0.25]))
    while spacing > 2 and first + spacing > last:
        spacing -= 1
    chosen = np.arange(first + rng.integers(0, 2), last + 1, spacing)[:4]
    early = np.maximum(mean * rng.uniform(0.55, 0.68) * (1 + rng.normal(0, 0.02, len(chosen))), 0.38)
    rr = intervals.copy()
    rr[chosen + 1] = 2.0 * mean - early
    rr[chosen] = early
    ectopic = np.zeros(len(rr), bool)
    ectopic[chosen] = True
    return Rhythm(START + np.cumsum(rr), rr, ectopic)


def regular(intervals: np.ndarray) -> Rhythm:
    """A rhythm without premature beats."""
    return Rhythm(START + np.cumsum(intervals), intervals, np.zeros(len(intervals), bool))


def fibrillatory_waves(rng: np.random.Generator, time: np.ndarray) -> np.ndarray:
    """The f-waves of atrial fibrillation, (T, 3) in mV: 4-8 Hz, wandering in rate and size, largest in V1 and II."""
    step = time[1] - time[0]
    knots = np.linspace(time[0], time[-1], 16)
    size = rng.uniform(0.05, 0.10)
    waves = []
    for weight in (0.35, 0.75, 1.0):
        hertz = np.interp(time, knots, rng.uniform(5.0, 7.0) + rng.normal(0, 0.7, 16))
        phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(hertz) * step
        envelope = np.interp(time, knots, rng.uniform(0.6, 1.3, 16))
        waves.append(weight * size * envelope * (np.sin(phase) + 0.35 * np.sin(2 * phase + 0.6)))
    return np.stack(waves, axis=1)
