"""PNG files of pages, fast: an indexed page has few colours, and most of its rows repeat the row above."""

import struct
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from isal import isal_zlib
from numba import njit

from ecg.files import write_whole

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FILTER_UP = 2
_INDEXED, _GREY, _RGB = 3, 0, 2
_LUMA = np.array([0.299, 0.587, 0.114])
_BLOCK = 1 << 18
"""Bytes filtered and compressed at a time: what the processor's second cache holds."""


@dataclass(frozen=True)
class IndexedPage:
    """A picture of at most 256 colours.

    `plane` is uint8 (H, W), the number of each pixel's colour; `palette` is uint8 (1 to 256, 3), RGB, and has
    a row for each number in use; the file says `dpi`.

    Raises:
        ValueError: a plane or a palette of another shape or dtype.
    """

    plane: np.ndarray
    palette: np.ndarray
    dpi: float

    def __post_init__(self):
        if self.plane.dtype != np.uint8 or self.plane.ndim != 2:
            raise ValueError(f"plane: must be uint8 (H, W), not {self.plane.dtype} {self.plane.shape}")
        shape = self.palette.shape
        if self.palette.dtype != np.uint8 or len(shape) != 2 or not 1 <= shape[0] <= 256 or shape[1] != 3:
            raise ValueError(f"palette: must be uint8 (1 to 256, 3), not {self.palette.dtype} {shape}")

    def rgb(self) -> np.ndarray:
        """The picture as RGB, uint8 (H, W, 3)."""
        return cv2.applyColorMap(self.plane, self._colours()[:, None, :])

    def grey(self) -> np.ndarray:
        """The picture's luma as ITU-R BT.601 weighs it, uint8 (H, W)."""
        return cv2.LUT(self.plane, np.rint(self._colours() @ _LUMA).astype(np.uint8))

    def _colours(self) -> np.ndarray:
        """The palette, filled up to 256 rows."""
        colours = np.zeros((256, 3), np.uint8)
        colours[:len(self.palette)] = self.palette
        return colours


def write_png(path: Path | str, image: np.ndarray | IndexedPage) -> None:
    """Write a picture whole or not at all.

    Args:
        path: of the file.
        image: an `IndexedPage`, RGB (H, W, 3) or grey (H, W), uint8.

    Raises:
        ValueError: another shape or dtype.
    """
    write_whole(path, encode_png(image))


def encode_png(image: np.ndarray | IndexedPage) -> bytes:
    """Return a picture as the bytes of a PNG file; see `write_png`."""
    if isinstance(image, IndexedPage):
        per_metre = round(image.dpi / 0.0254)
        extra = (_chunk(b"PLTE", image.palette.tobytes())
                 + _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)))
        return _assemble(np.ascontiguousarray(image.plane), _INDEXED, extra)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3) or not image.size:
        raise ValueError(f"image: must be uint8 (H, W) or (H, W, 3) and not empty, not {image.dtype} {image.shape}")
    return _assemble(np.ascontiguousarray(image).reshape(len(image), -1), _GREY if image.ndim == 2 else _RGB, b"")


def _assemble(rows: np.ndarray, colour_type: int, extra: bytes) -> bytes:
    height, width = len(rows), rows.shape[1] // (3 if colour_type == _RGB else 1)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    return _SIGNATURE + header + extra + _chunk(b"IDAT", _compress(rows)) + _chunk(b"IEND", b"")


def _compress(rows: np.ndarray) -> bytes:
    """Filter each row to its difference from the one above and deflate, by the block."""
    squeeze = isal_zlib.compressobj(1)
    filtered = np.empty((max(1, _BLOCK // (rows.shape[1] + 1)), rows.shape[1] + 1), np.uint8)
    parts = []
    for start in range(0, len(rows), len(filtered)):
        count = min(len(filtered), len(rows) - start)
        _filter_up(rows, start, filtered[:count])
        parts.append(squeeze.compress(filtered[:count]))
    return b"".join([*parts, squeeze.flush()])


@njit(nogil=True, cache=True)
def _filter_up(rows, start, filtered):
    """Fill uint8 (n, W + 1) with PNG's rows of `rows` from `start` on: the filter's number, then differences."""
    for i in range(filtered.shape[0]):
        row, out = rows[start + i], filtered[i]
        out[0] = _FILTER_UP
        if start + i == 0:
            out[1:] = row
            continue
        above = rows[start + i - 1]
        for j in range(row.size):
            out[j + 1] = row[j] - above[j]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", isal_zlib.crc32(data, isal_zlib.crc32(kind)))
