"""The compiled spectra of tiles, beside the same in NumPy and OpenCV."""

import cv2
import numpy as np
import pytest

from ecg.paper.spectrum import (
    _SHIFT_WEIGHTS,
    _SHIFTS,
    ANGLE_STEP,
    ANGLES,
    LOG_STEP,
    LOWEST,
    RINGS,
    TILE,
    tile_spectra,
)

FLOOR, CEILING = 1.0, 6.0


def reference(plane, centre, size):
    """Power, level and comb of one tile, step by step."""
    height, width = size
    left, top = (np.array(centre) - np.array([width, height]) / 2).astype(int)
    local = cv2.blur(plane, (31, 31), borderType=cv2.BORDER_REFLECT)
    part = np.s_[top:top + height, left:left + width]
    tile = plane[part].astype(float) - local[part]
    tile -= tile.mean()
    for _ in range(2):
        reach = 2 * np.abs(tile).mean()
        tile = np.clip(tile, -reach, reach)
    tile = (tile - tile.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    power = np.log(np.abs(np.fft.fftshift(np.fft.rfft2(tile, s=(TILE, TILE)), axes=0)) ** 2 + 1e-3).astype(np.float32)
    frequency = LOWEST * np.exp(LOG_STEP * np.arange(RINGS))[:, None] * TILE
    angle = np.deg2rad(-90 + ANGLE_STEP * np.arange(ANGLES))[None]
    # Rounded here too: on a steep slope a 64th of a bin is seen.
    places = [np.rint(32 * at) / 32 for at in (frequency * np.cos(angle), frequency * np.sin(angle) + TILE // 2)]
    polar = cv2.remap(power, *(at.astype(np.float32) for at in places), cv2.INTER_LINEAR)
    level = polar.mean(axis=1)
    clear = np.clip(polar - level[:, None] - FLOOR, 0, CEILING)
    comb = np.zeros_like(clear)
    for shift, weight in zip(_SHIFTS, _SHIFT_WEIGHTS, strict=True):
        here, there = max(0, -shift), max(0, shift)
        comb[here:RINGS - there] += weight * clear[there:RINGS - here]
    return power, level, comb


@pytest.mark.parametrize("shape", [(400, 500), (150, 400), (120, 130)])
def test_tiles_are_transformed_as_in_numpy(shape):
    rng = np.random.default_rng(3)
    plane = rng.integers(150, 255, shape, np.uint8)
    plane[::7], plane[:, ::7] = 120, 120
    found = tile_spectra(plane)
    size = min(TILE, shape[0]), min(TILE, shape[1])
    for centre, *mine in zip(found.centres, found.power, found.level, found.comb, strict=True):
        power, level, comb = reference(plane, centre, size)
        # Logarithms of what is nearly nothing differ by rounding.
        np.testing.assert_allclose(mine[0][power > 0], power[power > 0], atol=0.02)
        np.testing.assert_allclose(mine[1], level, atol=0.02)
        np.testing.assert_allclose(mine[2], comb, atol=0.02)
