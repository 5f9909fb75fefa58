"""How good a recording is: measures of every lead, a score from 0 to 1, and signs of interchanged electrodes.

The score follows the idea of the PhysioNet/CinC Challenge 2011 (Silva, Moody, Celi 2011): is a recording fit to be
interpreted? As in the best rule-based answers to it (Di Marco et al. 2012), single conditions are asked of each lead,
flat, at the rail, too small, too large, noisy, wandering, and the worst decides about the lead. A recording's score is
the mean of its leads; below `ACCEPTABLE`, the challenge's own bound, it would not have been accepted there. The limits
are ours, and none of this was fitted to that challenge's recordings.

Works on blocks of many records at once; memory is a few times that of a block as float32.
"""

from dataclasses import dataclass

import numpy as np

from ecg.leads import LEADS
from ecg.quality import FLAT_MV

ACCEPTABLE = 0.7
"""Mean grade from which the challenge counted a recording as acceptable."""
RAIL = 0.5
"""How many standard deviations from the mean a value lies at least to be taken for a rail."""
NOISE_PER_MAD = 0.6745 * np.sqrt(6.0)
"""Median of |second difference| of white noise, in its standard deviations."""
OPPOSITE = -0.5
"""Correlation of I with V6 below which they are opposite: they look at the heart from the same side."""
SILENT = 0.12
"""Spread of a limb lead, in those of the quieter of the other two, below which the ground electrode is in it."""
BETTER_ORDER = 0.5
"""By how much neighbouring chest leads must resemble each other more once two of them are interchanged."""
RAMPS = {"clipped": (0.05, 0.3), "flat_s": (0.5, 2.0), "small": (0.1, 0.04), "large": (8.0, 16.0),
         "noise_uv": (40.0, 160.0), "baseline_uv": (1000.0, 3000.0)}
"""For each condition the value up to which a lead is good, and the one from which it is useless."""


@dataclass(frozen=True)
class LeadMeasures:
    """What is measured of each lead, float32 or bool of shape (B, 12)."""

    flat: np.ndarray
    """Whether it carries nothing."""
    amplitude_mv: np.ndarray
    """Greatest distance from zero."""
    span_mv: np.ndarray
    """From its least to its greatest value."""
    std_mv: np.ndarray
    clipped: np.ndarray
    """Share of the samples on its own least or greatest value, as an amplifier at its rail leaves them."""
    flat_s: np.ndarray
    """Longest time without any change, s."""
    noise_uv: np.ndarray
    """Standard deviation of what changes from sample to sample, from the median of the second difference: the
    beats, which fill little of the time, hardly count."""
    baseline_uv: np.ndarray
    """From the least to the greatest of the means over each second."""

    def conditions(self) -> dict[str, np.ndarray]:
        """The value of each condition of `RAMPS`."""
        return {"clipped": self.clipped, "flat_s": self.flat_s, "small": self.span_mv, "large": self.amplitude_mv,
                "noise_uv": self.noise_uv, "baseline_uv": self.baseline_uv}


def measure_leads(block_uv: np.ndarray, *, rate: float) -> LeadMeasures:
    """Measure each lead.

    Args:
        block_uv: int16, shape (B, 12, T), µV.
        rate: Hz.
    """
    x = block_uv.astype(np.float32)
    low, high = x.min(axis=-1), x.max(axis=-1)
    mean, std = x.mean(axis=-1), x.std(axis=-1)
    flat = high - low <= FLAT_MV * 1000
    clipped = sum((x == rail[..., None]).mean(axis=-1, dtype=np.float32) * (np.abs(rail - mean) > RAIL * std)
                  for rail in (low, high))
    return LeadMeasures(flat, np.maximum(-low, high) / 1000, (high - low) / 1000, std / 1000,
                        np.where(flat, 0, clipped).astype(np.float32), _longest_still(block_uv) / np.float32(rate),
                        _noise(x), _wander(x, rate))


def _longest_still(block: np.ndarray) -> np.ndarray:
    """Count the samples of the longest stretch of equal ones."""
    breaks = np.diff(block, axis=-1) != 0
    place = np.arange(1, block.shape[-1], dtype=np.int32)
    last = np.maximum.accumulate(np.where(breaks, place, 0), axis=-1)
    return (place - last).max(axis=-1, initial=0).astype(np.float32) + 1


def _noise(x: np.ndarray) -> np.ndarray:
    if x.shape[-1] < 3:
        return np.zeros(x.shape[:-1], np.float32)
    second = np.abs(np.diff(x, n=2, axis=-1))
    middle = second.shape[-1] // 2
    return np.partition(second, middle, axis=-1)[..., middle] / np.float32(NOISE_PER_MAD)


def _wander(x: np.ndarray, rate: float) -> np.ndarray:
    window = min(x.shape[-1], max(1, round(rate)))
    whole = x.shape[-1] // window
    means = x[..., :whole * window].reshape(*x.shape[:-1], whole, window).mean(axis=-1)
    return np.ptp(means, axis=-1)


def lead_scores(measures: LeadMeasures) -> dict[str, np.ndarray]:
    """Score each condition of each lead from 1, good, to 0, useless: float32 (B, 12) by its name; `flat` among them."""
    scores = {"flat": np.where(measures.flat, 0, 1).astype(np.float32)}
    for name, values in measures.conditions().items():
        good, useless = RAMPS[name]
        scores[name] = np.clip((values - useless) / (good - useless), 0, 1).astype(np.float32)
    return scores


def score(scores: dict[str, np.ndarray]) -> np.ndarray:
    """Score each recording, (B,): the mean over its leads of the worst condition of each."""
    return np.min(list(scores.values()), axis=0).mean(axis=-1)


def interchanged(block_uv: np.ndarray, measures: LeadMeasures) -> dict[str, np.ndarray]:
    """Say which recordings look as if electrodes had been interchanged: bool (B,) by what was.

    `arms`: lead I runs against V6, and aVR with it, as when left and right arm are interchanged; so do dextrocardia
    and some right axes. `leg`: one of I, II, III is all but silent while the others are not, as when the right leg's
    electrode, which carries no signal, stands in for another. `chest`: chest leads resemble their neighbours clearly
    more once two adjacent ones are interchanged. The signs are those of García-Niebla et al. 2019 (limb leads) and of
    Jekova et al. 2016 (correlation between leads, of the slopes, which the QRS complex rules).

    Args:
        block_uv: int16, shape (B, 12, T), µV.
        measures: of the same block.
    """
    like = _alike(block_uv)
    one, avr, v1, v6 = (LEADS.index(lead) for lead in ("I", "aVR", "V1", "V6"))
    std = measures.std_mv[:, :3]
    ordered = np.sort(std, axis=-1)
    chest = like[:, v1:v6 + 1, v1:v6 + 1]
    return {"arms": (like[:, one, v6] < OPPOSITE) & (like[:, avr, v6] > 0),
            "leg": (ordered[:, 0] < SILENT * ordered[:, 1]) & ~measures.flat[:, :3].any(axis=-1),
            "chest": _gain(chest).max(axis=-1) > BETTER_ORDER}


def _alike(block_uv: np.ndarray) -> np.ndarray:
    """Correlate the slopes of all pairs of leads: float32 (B, 12, 12); a flat lead is like none."""
    slope = block_uv[..., 2:].astype(np.float32) - block_uv[..., :-2]
    slope -= slope.mean(axis=-1, keepdims=True)
    slope /= np.maximum(np.sqrt((slope ** 2).sum(axis=-1, keepdims=True)), 1e-6)
    return slope @ slope.swapaxes(-1, -2)


def _gain(chest: np.ndarray) -> np.ndarray:
    """For each adjacent pair, how much likeness between neighbours its interchange brings: (B, 5)."""
    gains = []
    for k in range(5):
        before = [(k - 1, k), (k + 1, k + 2)]
        after = [(k - 1, k + 1), (k, k + 2)]
        here = [sum(chest[:, i, j] for i, j in pairs if i >= 0 and j <= 5) for pairs in (before, after)]
        gains.append(here[1] - here[0])
    return np.stack(gains, axis=-1)
