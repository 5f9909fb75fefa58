"""The grid's own frequencies in each tile: the places of the peaks of its spectrum, to a fraction of a bin."""

import numpy as np

from ecg.paper.spectrum import ANGLE_STEP, ANGLES, HARMONICS, LOG_STEP, LOWEST, RINGS, TILE, Spectra, ring_of

_AROUND = np.array([(3, 0), (2, 2), (0, 3), (-2, 2), (-3, 0), (-2, -2), (0, -3), (2, -2)])
"""Bins (x, y) around a peak that its window leaves empty; ink fills them, as its spectrum has ridges."""
_ABOVE_RING, _ABOVE_AROUND = 1.8, 1.2
"""Natural logarithm of a power over its ring's mean, and over the highest bin around, that chance reaches."""
_CEILING = 4.0
_STRAYS = 0.7
"""Bins off the others' mean beyond which a peak is another's."""


def vectors(ring: np.ndarray, column: np.ndarray) -> np.ndarray:
    """Return the frequency vectors (..., 2), x and y in cycles a pixel, of places of the maps."""
    frequency, angle = LOWEST * np.exp(LOG_STEP * np.asarray(ring)), np.deg2rad(ANGLE_STEP * np.asarray(column) - 90)
    return frequency[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def refine(spectra: Spectra, expected: np.ndarray, up: int, aside: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find each tile's own first harmonics near the expected ones.

    Args:
        spectra: of T tiles.
        expected: (T, 2 axes, 2) cycles a pixel.
        up: rings of the maps to look up and down.
        aside: columns to look aside.

    Returns:
        The vectors, (T, 2, 2); how clearly their peaks stand out from what is around them, (T, 2): 0 is chance,
        4 is perfect; and how well the whole comb fits, (T, 2).
    """
    ring = np.clip(np.round(ring_of(np.linalg.norm(expected, axis=2))), up, RINGS - 1 - up).astype(int)
    angle = np.rad2deg(np.arctan2(expected[..., 1], expected[..., 0]))
    column = np.round((angle + 90) / ANGLE_STEP).astype(int)
    rings = ring[..., None, None] + np.arange(-up, up + 1)[:, None]
    columns = column[..., None, None] + np.arange(-aside, aside + 1)
    part = spectra.comb[np.arange(len(expected))[:, None, None, None], rings, columns % ANGLES]
    flat = part.reshape(*part.shape[:2], -1)
    i, j = np.unravel_index(flat.argmax(axis=2), part.shape[2:])
    return *_peaks(spectra, vectors(ring - up + i, column - aside + j)), flat.max(axis=2)


def _peaks(spectra: Spectra, coarse: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Move first harmonics, (T, 2, 2), to where the peaks of all harmonics put them, weighted by their strength."""
    at = coarse[:, :, None] * HARMONICS[:, None] * TILE
    column, row = np.moveaxis(np.round(at).astype(int), -1, 0)
    near = np.arange(-1, 2)
    core = _power(spectra, column[..., None, None] + near, row[..., None, None] + near[:, None])
    best = core.reshape(*core.shape[:3], 9).argmax(axis=3)
    column, row = column + best % 3 - 1, row + best // 3 - 1
    top = _power(spectra, column, row)
    found = np.stack([column + _vertex(_power(spectra, column - 1, row), top, _power(spectra, column + 1, row)),
                      row + _vertex(_power(spectra, column, row - 1), top, _power(spectra, column, row + 1))], axis=-1)
    around = _power(spectra, column[..., None] + _AROUND[:, 0], row[..., None] + _AROUND[:, 1]).max(axis=-1)
    length = np.linalg.norm(at, axis=-1) / TILE
    ring = np.clip(np.round(ring_of(np.maximum(length, LOWEST))), 0, RINGS - 1).astype(int)
    level = spectra.level[np.arange(len(coarse))[:, None, None], ring]
    inside = np.abs(at).max(axis=-1) < TILE // 2 - 4
    clear = np.clip(np.minimum(top - level - _ABOVE_RING, top - around - _ABOVE_AROUND), 0, _CEILING) * inside
    weight = (np.clip(top - level - _ABOVE_RING, 0, 6) * inside * HARMONICS ** 2)[..., None]
    exact = _common(found / HARMONICS[:, None] / TILE, weight, coarse)
    # The first and two more harmonics prove a grid; where 1 mm lines are too fine, or alone, fewer are to be had.
    return exact, np.sort(clear, axis=2)[..., -3:].mean(axis=2)


def _common(first: np.ndarray, weight: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Average what each harmonic says of the first, (T, 2, 5, 2), over those that agree to a part of a bin."""
    trust = weight
    for _ in range(3):
        mean = ((first * trust).sum(axis=2) + 1e-6 * coarse) / (trust.sum(axis=2) + 1e-6)
        # A harmonic of the other lines, folded back at the pixel rate, may pass for one of these.
        away = np.linalg.norm(first - mean[:, :, None], axis=3, keepdims=True) * HARMONICS[:, None] * TILE
        trust = weight / (1 + (away / _STRAYS) ** 4)
    return mean


def _power(spectra: Spectra, column: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Look up the log power of bins (T, ...) whose frequencies may be negative: half of them are kept."""
    turned = column < 0
    column, row = np.where(turned, -column, column), np.where(turned, -row, row)
    tile = np.arange(len(column)).reshape(-1, *(1,) * (column.ndim - 1))
    return spectra.power[tile, (row + TILE // 2) % TILE, np.minimum(column, TILE // 2)]


def _vertex(before: np.ndarray, at: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Return where a parabola through three neighbours has its top, -0.5 to 0.5."""
    bend = before - 2 * at + after
    return np.clip(0.5 * (before - after) / np.where(bend < -1e-6, bend, -1e-6), -0.5, 0.5)
