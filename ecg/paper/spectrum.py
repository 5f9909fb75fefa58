"""Spectra of a picture's tiles, laid out so that the comb of a millimetre grid can be looked up.

A grid of pitch p has peaks at k / (5 p) cycles a pixel along each of its two axes: k counts the harmonics of
the 5 mm lines, the fifth is the 1 mm lines. In logarithmic polar coordinates the harmonics of every pitch lie
the same shifts apart, so that one sum over shifted maps scores all pitches and angles at once.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numba import njit
from scipy import fft

from ecg.paper.beside import beside

TILE = 192
"""Pixels a side: more than eight 5 mm periods at the usual 4-5 px/mm."""
ANGLE_STEP = 1.5
"""Degrees between columns of the maps; they begin at -90."""
ANGLES = round(180 / ANGLE_STEP)
LOG_STEP = np.log(5) / 80
"""Between rows of the maps: natural logarithm of the frequency."""
LOWEST, HIGHEST = 0.0085, 0.485
"""Cycles a pixel of the maps' first and last row."""
RINGS = int(np.log(HIGHEST / LOWEST) / LOG_STEP) + 1
_STRIDE = 0.85
"""From tile to tile, in sides of a tile, at the most."""
HARMONICS = np.arange(1, 6)
_WEIGHTS = (1.0, 0.8, 0.7, 0.6, 1.4)
_BETWEEN = (0.5, 1.5, 2.5, 3.5, 4.5)
_AGAINST = (-0.6, -0.9, -0.9, -0.7, -0.7)
"""What lies here means lines twice as far apart, or a level stroke of ink, whose spectrum has no gaps."""
_FLOOR, _CEILING = 1.0, 6.0
"""Natural logarithm of the power over its ring's level: below is noise; above nothing gets surer."""
_SHIFTS = np.round(np.log([*HARMONICS, *_BETWEEN]) / LOG_STEP).astype(int)
_SHIFT_WEIGHTS = np.array([*_WEIGHTS, *_AGAINST], np.float32)
_fast = njit(nogil=True, cache=True, error_model="numpy", fastmath={"nnan", "nsz", "contract", "reassoc", "arcp"})
"""Sums in any order: eight at a time."""


@dataclass(frozen=True)
class Spectra:
    """Spectra of T tiles."""

    centres: np.ndarray
    """(T, 2) x, y in pixels of the picture."""
    power: np.ndarray
    """(T, TILE, TILE // 2 + 1) float32, natural logarithm; row TILE // 2 is frequency 0."""
    level: np.ndarray
    """(T, RINGS) float32: the mean over all angles of the same."""
    comb: np.ndarray
    """(T, RINGS, ANGLES) float32: how well a comb whose first harmonic lies there fits."""


def tile_spectra(plane: np.ndarray) -> Spectra:
    """Cut a picture into tiles and transform each.

    Args:
        plane: uint8 (H, W), the grid darker than the paper.
    """
    height, width = plane.shape
    size = min(TILE, height), min(TILE, width)
    local = cv2.blur(plane, (31, 31), borderType=cv2.BORDER_REFLECT)
    tops, lefts = (np.linspace(0, side - part, int(np.ceil((side - part) / (_STRIDE * part))) + 1).astype(int)
                   for side, part in zip((height, width), size, strict=True))
    corners = np.array([(left, top) for top in tops for left in lefts])
    window = np.hanning(size[0])[:, None] * np.hanning(size[1])
    power = np.empty((len(corners), TILE, TILE // 2 + 1), np.float32)
    level = np.empty((len(corners), RINGS), np.float32)
    comb = np.empty((len(corners), RINGS, ANGLES), np.float32)
    window, maps = window.astype(np.float32), _polar_maps()

    def transform(part: slice) -> None:
        # One at a time: a tile and its spectrum stay in the processor's cache.
        tile, polar = np.empty(size, np.float32), np.empty((RINGS, ANGLES), np.float32)
        for t in range(part.start, part.stop):
            _cut(plane, local, *corners[t], window, tile)
            _power(fft.rfft2(tile, s=(TILE, TILE), overwrite_x=True), power[t])
            np.log(power[t], out=power[t])
            _look_up(power[t].reshape(-1), *maps, polar)
            _comb(polar, _SHIFTS, _SHIFT_WEIGHTS, level[t], comb[t])

    beside(transform, len(corners))
    return Spectra(corners + np.array(size[::-1]) / 2, power, level, comb)


@_fast
def _cut(plane, local, left, top, window, tile):
    """Fill a tile, (h, w): high-passed, without a mean, ink held down, faded out towards the border."""
    height, width = tile.shape
    total, count = np.float32(0), np.float32(height * width)
    for i in range(height):
        here, around = plane[top + i, left:left + width], local[top + i, left:left + width]
        row = tile[i]
        for j in range(width):
            row[j] = np.float32(here[j]) - np.float32(around[j])
            total += row[j]
    # At least a 3-fold overlap of the window's main lobe with the lowest peaks: their mean must be gone.
    total = _clipped(tile, total / count, np.float32(np.inf))
    for _ in range(2):
        # Ink counts no more than a strong grid line.
        total = _clipped(tile, np.float32(0), np.float32(2) * total / count)
    _fade(tile, window)


@_fast
def _clipped(tile, mean, reach):
    """Subtract the mean and clip, in place; return the sum of the sizes."""
    total = np.float32(0)
    for row in tile:
        for j in range(len(row)):
            row[j] = min(max(row[j] - mean, -reach), reach)
            total += abs(row[j])
    return total


@_fast
def _fade(tile, window):
    total = np.float32(0)
    for i in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            total += tile[i, j]
    mean = total / np.float32(tile.size)
    for i in range(tile.shape[0]):
        for j in range(tile.shape[1]):
            tile[i, j] = (tile[i, j] - mean) * window[i, j]


@_fast
def _power(spectrum, power):
    """Fill in the squares, frequency 0 in row TILE // 2."""
    for i in range(TILE):
        row, source = power[(i + TILE // 2) % TILE], spectrum[i]
        for j in range(len(row)):
            row[j] = source[j].real * source[j].real + source[j].imag * source[j].imag + np.float32(1e-3)


@lru_cache(maxsize=1)
def _polar_maps() -> tuple[np.ndarray, np.ndarray]:
    """Return where each place of a map lies in a tile's power: the bin up and left of it, and the shares beyond."""
    frequency = LOWEST * np.exp(LOG_STEP * np.arange(RINGS))[:, None] * TILE
    angle = np.deg2rad(-90 + ANGLE_STEP * np.arange(ANGLES))[None]
    # To a 32nd of a bin, as OpenCV would, so that pages are found as they were with it.
    x, y = (np.rint(32 * at) / 32 for at in (frequency * np.cos(angle), frequency * np.sin(angle) + TILE // 2))
    left, top = np.floor(x), np.floor(y)
    return (top * (TILE // 2 + 1) + left).astype(np.int32), np.stack([x - left, y - top], axis=-1).astype(np.float32)


@_fast
def _look_up(power, place, share, polar):
    """Fill in a tile's polar map, bilinear."""
    for i in range(RINGS):
        for j in range(ANGLES):
            at, right, down = place[i, j], share[i, j, 0], share[i, j, 1]
            below = at + TILE // 2 + 1
            upper = power[at] + right * (power[at + 1] - power[at])
            lower = power[below] + right * (power[below + 1] - power[below])
            polar[i, j] = upper + down * (lower - upper)


@_fast
def _comb(polar, shifts, weights, level, score):
    """Sum the harmonics of each place of a map, less what lies between them; fill in the rings' means too."""
    for i in range(RINGS):
        total = np.float32(0)
        row = polar[i]
        for j in range(ANGLES):
            total += row[j]
        level[i] = total / np.float32(ANGLES)
        floor = level[i] + np.float32(_FLOOR)
        for j in range(ANGLES):
            row[j] = min(max(row[j] - floor, np.float32(0)), np.float32(_CEILING))
    for i in range(RINGS):
        out = score[i]
        out[:] = 0
        for k in range(len(shifts)):
            if 0 <= i + shifts[k] < RINGS:
                source, weight = polar[i + shifts[k]], weights[k]
                for j in range(ANGLES):
                    out[j] += weight * source[j]
