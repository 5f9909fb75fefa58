"""The grid's own frequencies in each tile: the places of the peaks of its spectrum, to a fraction of a bin."""

import numpy as np

from ecg.paper.raster import jit
from ecg.paper.spectrum import ANGLE_STEP, ANGLES, HARMONICS, LOG_STEP, LOWEST, RINGS, TILE, Spectra

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
    tiles = len(expected)
    found, clear, comb = np.empty((tiles, 2, 2)), np.empty((tiles, 2)), np.empty((tiles, 2))
    _refine(spectra.power, spectra.level, spectra.comb, np.ascontiguousarray(expected), up, aside, found, clear, comb)
    return found, clear, comb


@jit
def _refine(power, level, combs, expected, up, aside, found, clear, comb):
    for t in range(len(expected)):
        for axis in range(2):
            x, y = expected[t, axis]
            row = min(max(int(np.rint(_ring(np.hypot(x, y)))), up), RINGS - 1 - up)
            column = int(np.rint((np.rad2deg(np.arctan2(y, x)) + 90) / ANGLE_STEP))
            best, at_row, at_column = -np.inf, row, column
            for i in range(row - up, row + up + 1):
                for j in range(column - aside, column + aside + 1):
                    if combs[t, i, j % ANGLES] > best:
                        best, at_row, at_column = combs[t, i, j % ANGLES], i, j
            length, angle = LOWEST * np.exp(LOG_STEP * at_row), np.deg2rad(ANGLE_STEP * at_column - 90)
            comb[t, axis] = best
            x, y, sure = _peak(power[t], level[t], length * np.cos(angle), length * np.sin(angle))
            found[t, axis, 0], found[t, axis, 1], clear[t, axis] = x, y, sure


@jit
def _peak(power, level, x, y):
    """Move a first harmonic to where the peaks of all harmonics put it, weighted by their strength."""
    count = len(HARMONICS)
    first, weight, clear = np.empty((count, 2)), np.empty(count), np.empty(count)
    for k in range(count):
        at_x, at_y = x * (k + 1) * TILE, y * (k + 1) * TILE
        column, row = _highest(power, int(np.rint(at_x)), int(np.rint(at_y)))
        top, around = _power(power, column, row), -np.inf
        for j in range(len(_AROUND)):
            around = max(around, _power(power, column + _AROUND[j, 0], row + _AROUND[j, 1]))
        first[k, 0] = column + _vertex(_power(power, column - 1, row), top, _power(power, column + 1, row))
        first[k, 1] = row + _vertex(_power(power, column, row - 1), top, _power(power, column, row + 1))
        first[k] /= (k + 1) * TILE
        ring = min(max(int(np.rint(_ring(max(np.hypot(at_x, at_y) / TILE, LOWEST)))), 0), RINGS - 1)
        inside = max(abs(at_x), abs(at_y)) < TILE // 2 - 4
        above = top - level[ring] - _ABOVE_RING
        clear[k] = min(max(min(above, top - around - _ABOVE_AROUND), 0.0), _CEILING) * inside
        weight[k] = min(max(above, 0.0), 6.0) * inside * (k + 1) ** 2
    x, y = _common(first, weight, x, y)
    # The first and two more harmonics prove a grid; where 1 mm lines are too fine, or alone, fewer are to be had.
    return x, y, np.sort(clear)[-3:].mean()


@jit
def _highest(power, column, row):
    """Return the column and row of the highest bin of nine."""
    best, at_column, at_row = -np.inf, column, row
    for i in range(row - 1, row + 2):
        for j in range(column - 1, column + 2):
            here = _power(power, j, i)
            if here > best:
                best, at_column, at_row = here, j, i
    return at_column, at_row


@jit
def _common(first, weight, coarse_x, coarse_y):
    """Average what each harmonic says of the first, (5, 2), over those that agree to a part of a bin."""
    trust = weight.copy()
    x = y = 0.0
    for _ in range(3):
        total = trust.sum() + 1e-6
        x = ((first[:, 0] * trust).sum() + 1e-6 * coarse_x) / total
        y = ((first[:, 1] * trust).sum() + 1e-6 * coarse_y) / total
        # A harmonic of the other lines, folded back at the pixel rate, may pass for one of these.
        for k in range(len(first)):
            away = np.hypot(first[k, 0] - x, first[k, 1] - y) * (k + 1) * TILE
            trust[k] = weight[k] / (1 + (away / _STRAYS) ** 4)
    return x, y


@jit
def _ring(frequency):
    return np.log(frequency / LOWEST) / LOG_STEP


@jit
def _power(power, column, row):
    """Look up the log power of a bin whose frequencies may be negative: half of them are kept."""
    if column < 0:
        column, row = -column, -row
    return power[(row + TILE // 2) % TILE, min(column, TILE // 2)]


@jit
def _vertex(before, at, after):
    """Return where a parabola through three neighbours has its top, -0.5 to 0.5."""
    return min(max(0.5 * (before - after) / min(before - 2 * at + after, -1e-6), -0.5), 0.5)
