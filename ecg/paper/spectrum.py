"""Spectra of a picture's tiles, laid out so that the comb of a millimetre grid can be looked up.

A grid of pitch p has peaks at k / (5 p) cycles a pixel along each of its two axes: k counts the harmonics of
the 5 mm lines, the fifth is the 1 mm lines. In logarithmic polar coordinates the harmonics of every pitch lie
the same shifts apart, so that one sum over shifted maps scores all pitches and angles at once.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from scipy import fft

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
    corners, tiles = _cut(plane)
    # At least a 3-fold overlap of the window's main lobe with the lowest peaks: their mean must be gone.
    tiles -= tiles.mean(axis=(1, 2), keepdims=True)
    for _ in range(2):
        # Ink counts no more than a strong grid line.
        reach = 2.0 * np.abs(tiles).mean(axis=(1, 2), keepdims=True)
        np.clip(tiles, -reach, reach, out=tiles)
    tiles -= tiles.mean(axis=(1, 2), keepdims=True)
    height, width = tiles.shape[1:]
    tiles *= (np.hanning(height)[:, None] * np.hanning(width)).astype(np.float32)
    spectrum = fft.rfft2(tiles, s=(TILE, TILE))
    power = spectrum.real ** 2 + spectrum.imag ** 2
    power = np.log(np.fft.fftshift(power, axes=1) + np.float32(1e-3))
    maps = _polar_maps()
    polar = np.stack([cv2.remap(one, *maps, cv2.INTER_LINEAR) for one in power])
    level = polar.mean(axis=2)
    polar -= level[:, :, None] + np.float32(_FLOOR)
    return Spectra(corners + np.array([width, height]) / 2, power, level, _comb(np.clip(polar, 0, _CEILING)))


def _cut(plane: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the tiles' upper left corners, (T, 2) x, y, and the high-passed tiles, float32 (T, h, w)."""
    height, width = plane.shape
    size = min(TILE, height), min(TILE, width)
    local = cv2.blur(plane, (31, 31), borderType=cv2.BORDER_REFLECT)
    passed = cv2.subtract(plane, local, dtype=cv2.CV_32F)
    tops, lefts = (np.linspace(0, side - part, int(np.ceil((side - part) / (_STRIDE * part))) + 1).astype(int)
                   for side, part in zip((height, width), size, strict=True))
    tiles = np.stack([passed[top:top + size[0], left:left + size[1]] for top in tops for left in lefts])
    return np.array([(left, top) for top in tops for left in lefts], float), tiles


@lru_cache(maxsize=1)
def _polar_maps() -> tuple[np.ndarray, np.ndarray]:
    frequency = LOWEST * np.exp(LOG_STEP * np.arange(RINGS))[:, None] * TILE
    angle = np.deg2rad(-90 + ANGLE_STEP * np.arange(ANGLES))[None]
    return cv2.convertMaps((frequency * np.cos(angle)).astype(np.float32),
                           (frequency * np.sin(angle) + TILE // 2).astype(np.float32), cv2.CV_16SC2)


def _comb(polar: np.ndarray) -> np.ndarray:
    """Sum the harmonics of each place of the maps, less what lies between them."""
    score = np.zeros_like(polar)
    for multiples, weights in ((HARMONICS, _WEIGHTS), (_BETWEEN, _AGAINST)):
        for multiple, weight in zip(multiples, weights, strict=True):
            shift = round(np.log(multiple) / LOG_STEP)
            to, source = slice(max(0, -shift), RINGS - max(0, shift)), slice(max(0, shift), RINGS + min(0, shift))
            score[:, to] += np.float32(weight) * polar[:, source]
    return score
