"""The darkest channel of a large picture, made smaller on the way: no plane of full size is written."""

import numpy as np

from ecg.paper.beside import beside
from ecg.paper.raster import jit


def darkest(image: np.ndarray) -> np.ndarray:
    """Return the darkest channel of each pixel: uint8 (H, W, 1 or 3), contiguous, to (H, W)."""
    out = np.empty(image.shape[:2], np.uint8)
    _fill(image, out)
    return out


def darkest_smaller(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average the darkest channel over the areas that the pixels of a smaller picture cover, as `cv2.INTER_AREA`.

    Args:
        image: uint8 (H, W, 1 or 3), contiguous.
        size: width and height, no larger than the picture's.
    """
    out = np.empty(size[::-1], np.uint8)
    *rows, up = _spans(image.shape[0], size[1])
    columns = _spans(image.shape[1], size[0])
    beside(lambda part: _average(image, *(of[part] for of in rows), up, *columns, out[part]), len(out))
    return out


def _spans(side: int, count: int) -> tuple[np.ndarray, ...]:
    """Cut a side into equal parts: first and last pixel of each, and the shares of these two that lie in it."""
    ends = np.linspace(0, side, count + 1)
    first = np.floor(ends[:-1] + 1e-6).astype(np.int32)
    last = np.maximum(np.ceil(ends[1:] - 1e-6).astype(np.int32) - 1, first)
    whole = side / count
    start = np.minimum(first + 1, ends[1:]) - ends[:-1]
    stop = np.where(last > first, ends[1:] - last, 0)
    return first, last, (start / whole).astype(np.float32), (stop / whole).astype(np.float32), np.float32(1 / whole)


@jit
def _fill(image, out):
    for y in range(len(image)):
        _darkest_of(image[y], out[y])


@jit
def _darkest_of(row, out):
    if row.shape[1] == 1:
        out[:] = row[:, 0]
    else:
        for x in range(len(out)):
            out[x] = min(min(row[x, 0], row[x, 1]), row[x, 2])


@jit
def _average(image, top, bottom, top_share, bottom_share, up, left, right, left_share, right_share, along, out):
    """Sum lines of the picture, weighted; then their pixels. A line that two rows share is kept for the second."""
    width, ready = image.shape[1], -1
    dark, line = np.empty(width, np.uint8), np.empty(width, np.float32)
    for i in range(len(out)):
        line[:] = 0
        for y in range(top[i], bottom[i] + 1):
            if y != ready:
                _darkest_of(image[y], dark)
                ready = y
            share = top_share[i] if y == top[i] else bottom_share[i] if y == bottom[i] else up
            for x in range(width):
                line[x] += share * np.float32(dark[x])
        for j in range(out.shape[1]):
            total = left_share[j] * line[left[j]] + right_share[j] * line[right[j]]
            for x in range(left[j] + 1, right[j]):
                total += along * line[x]
            out[i, j] = np.uint8(total + np.float32(0.5))
