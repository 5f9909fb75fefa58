"""Find the pitch of the millimetre grid in a picture of a page, from the spectra of its projections."""

import cv2
import numpy as np

WIDTH_RANGE_MM = (165.0, 350.0)
"""Paper that a picture's width may show; it tells 1 mm lines from 5 mm lines."""
_STRIPS = 8
"""Projections are taken over strips: over a whole side a slightly turned grid would average out."""
_HARMONICS = np.arange(1, 6)
"""Of 5 mm lines; the fifth is the 1 mm lines."""
_STEP = 0.0004
_PAD = 4
_MAX_DARKNESS = 0.3
"""Darker than this is ink, and counts no more than a strong grid line."""


def grid_pitch(flat: np.ndarray) -> tuple[float, float]:
    """Estimate the resolution of a page from its grid.

    Args:
        flat: float32 (H, W), brightness relative to the paper (1), of the channel that shows the grid best.

    Returns:
        (pixels per mm, confidence 0-1). The first is meaningless where the second is near 0.
    """
    width = flat.shape[1]
    pitches = np.exp(np.arange(np.log(width / WIDTH_RANGE_MM[1]), np.log(width / WIDTH_RANGE_MM[0]), _STEP))
    dark = np.clip(1 - flat, 0, _MAX_DARKNESS)
    coarsest = int(5 * pitches[-1])
    score = sum(_comb_score(_spectrum(plane, coarsest), pitches) for plane in (dark, dark.T)) / 2
    best = int(np.argmax(score))
    return float(_refine(pitches, score, best)), _confidence(score, best)


def _spectrum(dark: np.ndarray, coarsest: int) -> np.ndarray:
    """Return the power spectrum of the columns' darkness over its local level (1 = nothing periodic), padded."""
    strips = np.array_split(dark, _STRIPS)
    rows = np.stack([strip.mean(axis=0) for strip in strips if len(strip)]).astype(np.float32)
    rows -= cv2.blur(rows, (2 * coarsest + 1, 1), borderType=cv2.BORDER_REFLECT)
    power = np.abs(np.fft.rfft(rows * np.hanning(rows.shape[1]), n=_PAD * rows.shape[1], axis=1)) ** 2
    power = power.mean(axis=0)
    # The level around a peak: a wide mean of the square roots, which single peaks hardly lift.
    reach = 2 * (len(power) // 24) + 1
    level = cv2.blur(np.sqrt(power)[None], (reach, 1), borderType=cv2.BORDER_REFLECT)[0] ** 2
    return power / np.maximum(level, 1e-12)


def _comb_score(spectrum: np.ndarray, pitches: np.ndarray) -> np.ndarray:
    """How strongly each pitch's five harmonics stand out, (pitches,)."""
    # rfft of n padded samples has n // 2 + 1 bins; bin b is b / n cycles a pixel.
    samples = 2 * (len(spectrum) - 1)
    bins = _HARMONICS[:, None] / (5 * pitches) * samples
    values = np.interp(bins, np.arange(len(spectrum)), spectrum, right=0.0)
    return np.log1p(values).sum(axis=0)


def _refine(pitches: np.ndarray, score: np.ndarray, best: int) -> float:
    """Interpolate between the neighbours of the best pitch by a parabola."""
    if not 0 < best < len(score) - 1:
        return pitches[best]
    before, at, after = score[best - 1:best + 2]
    bend = before - 2 * at + after
    return pitches[best] * np.exp(_STEP * (0.5 * (before - after) / bend if bend < 0 else 0.0))


def _confidence(score: np.ndarray, best: int) -> float:
    """How far the best score stands out from those of other pitches, as 0-1."""
    spread = 1.4826 * np.median(np.abs(score - np.median(score))) + 0.3
    return float(np.clip(((score[best] - np.median(score)) / spread - 3.0) / 6.0, 0.0, 1.0))
