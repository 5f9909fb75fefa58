"""The loss of JPEG without its file: cosine transform, rounding to the quality's table, and back.

Entropy coding loses nothing, so leaving it out gives the same pixels in a third of the time. Grey only;
colour pictures go through OpenCV's codec.
"""

from functools import lru_cache

import cv2
import numpy as np

from ecg.paper.raster import jit

_LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61], [12, 12, 14, 19, 26, 58, 60, 55], [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62], [18, 22, 37, 56, 68, 109, 103, 77], [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101], [72, 92, 95, 98, 112, 100, 103, 99]])
"""Steps of the coefficients at quality 50: ITU-T T.81, table K.1."""

_COSINES = np.array([[np.sqrt((1 if u == 0 else 2) / 8) * np.cos((2 * x + 1) * u * np.pi / 16) for x in range(8)]
                     for u in range(8)], np.float32)
"""The orthonormal transform of eight values, ITU-T T.81 A.3.3."""


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return a picture as a JPEG of this quality gives it back.

    Args:
        image: uint8 (H, W) or RGB (H, W, 3).
        quality: 1-100, as the IJG's codec counts it.
    """
    if image.ndim == 3:
        pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    height, width = image.shape
    whole = image
    if height % 8 or width % 8:
        whole = cv2.copyMakeBorder(image, 0, -height % 8, 0, -width % 8, cv2.BORDER_REPLICATE)
    result = np.empty_like(whole)
    _round_trip(whole, result, _COSINES, _steps(quality))
    return np.ascontiguousarray(result[:height, :width])


@lru_cache(maxsize=101)
def _steps(quality: int) -> np.ndarray:
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((_LUMINANCE * percent + 50) // 100, 1, 255).astype(np.float32)


@jit
def _round_trip(image, result, cosines, steps):
    """Take bands of eight rows there and back; sides are multiples of eight.

    A band is kept as (column of the block, row of the block, block), so that every loop runs over
    neighbours in memory and fills the processor's vector registers.
    """
    blocks = image.shape[1] // 8
    band, other = np.empty((8, 8, blocks), np.float32), np.empty((8, 8, blocks), np.float32)
    flat, other_flat = band.reshape(8, 8 * blocks), other.reshape(8, 8 * blocks)
    for top in range(0, image.shape[0], 8):
        _load(image[top:top + 8], band)
        _forward(flat, other_flat, cosines)
        for u in range(8):
            _forward(other[u], band[u], cosines)
            for v in range(8):
                _quantise(band[u, v], steps[v, u])
            _backward(band[u], other[u], cosines)
        _backward(other_flat, flat, cosines)
        _store(band, result[top:top + 8])


@jit
def _load(rows, band):
    for r in range(8):
        line = rows[r]
        for c in range(8):
            part = band[c, r]
            for block in range(part.size):
                part[block] = np.float32(line[8 * block + c]) - np.float32(128.0)


@jit
def _store(band, rows):
    for r in range(8):
        line = rows[r]
        for c in range(8):
            part = band[c, r]
            for block in range(part.size):
                value = np.int32(part[block] + np.float32(128.5))
                line[8 * block + c] = np.uint8(min(max(value, np.int32(0)), np.int32(255)))


@jit
def _forward(source, target, cosines):
    """Transform eight rows, (8, n); `source` is spoiled. Even rows of the matrix are symmetric, odd ones mirrored."""
    _butterfly(source)
    for u in range(0, 8, 2):
        _mix(source[0], source[1], source[2], source[3], target[u], cosines[u, 0:4])
        _mix(source[7], source[6], source[5], source[4], target[u + 1], cosines[u + 1, 0:4])


@jit
def _backward(source, target, cosines):
    """Undo `_forward`."""
    for x in range(4):
        _mix(source[0], source[2], source[4], source[6], target[x], cosines[0:8:2, x])
        _mix(source[1], source[3], source[5], source[7], target[7 - x], cosines[1:8:2, x])
    _butterfly(target)


@jit
def _butterfly(rows):
    for k in range(4):
        upper, lower = rows[k], rows[7 - k]
        for i in range(upper.size):
            total = upper[i] + lower[i]
            lower[i] = upper[i] - lower[i]
            upper[i] = total


@jit
def _mix(a, b, c, d, target, weights):
    wa, wb, wc, wd = weights[0], weights[1], weights[2], weights[3]
    for i in range(target.size):
        target[i] = wa * a[i] + wb * b[i] + wc * c[i] + wd * d[i]


@jit
def _quantise(row, step):
    # Adding 1.5 * 2^23 leaves no bits for fractions: the quickest way to round.
    magic, inverse = np.float32(12582912.0), np.float32(1.0) / step
    for i in range(row.size):
        row[i] = ((row[i] * inverse + magic) - magic) * step
