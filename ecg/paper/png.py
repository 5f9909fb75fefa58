"""PNG files of pages, fast: an indexed page has few colours, and most of its rows repeat the row above."""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FILTER_UP = 2
_INDEXED, _GREY, _RGB = 3, 0, 2
_ROWS = 256
"""Rows compressed at a time."""


@dataclass(frozen=True)
class IndexedPage:
    """A picture of at most 256 colours.

    `plane` is uint8 (H, W), the number of each pixel's colour; `palette` is uint8 (256, 3), RGB; the file
    says `dpi`.
    """

    plane: np.ndarray
    palette: np.ndarray
    dpi: float

    def rgb(self) -> np.ndarray:
        """The picture as RGB, uint8 (H, W, 3)."""
        return cv2.applyColorMap(self.plane, np.ascontiguousarray(self.palette[:, None, :]))


def write_png(path: Path | str, image: np.ndarray | IndexedPage) -> None:
    """Write a picture whole or not at all.

    Args:
        path: of the file.
        image: an `IndexedPage`, RGB (H, W, 3) or grey (H, W), uint8.

    Raises:
        ValueError: another shape or dtype.
    """
    path = Path(path)
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_bytes(encode_png(image))
    os.replace(scratch, path)


def encode_png(image: np.ndarray | IndexedPage) -> bytes:
    """Return a picture as the bytes of a PNG file; see `write_png`."""
    if isinstance(image, IndexedPage):
        per_metre = round(image.dpi / 0.0254)
        extra = (_chunk(b"PLTE", image.palette.tobytes())
                 + _chunk(b"pHYs", struct.pack(">IIB", per_metre, per_metre, 1)))
        return _assemble(image.plane, _INDEXED, extra)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(f"image: must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
    return _assemble(image.reshape(len(image), -1), _GREY if image.ndim == 2 else _RGB, b"")


def _assemble(rows: np.ndarray, colour_type: int, extra: bytes) -> bytes:
    height, width = len(rows), rows.shape[1] // (3 if colour_type == _RGB else 1)
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour_type, 0, 0, 0))
    return _SIGNATURE + header + extra + _chunk(b"IDAT", _compress(rows)) + _chunk(b"IEND", b"")


def _compress(rows: np.ndarray) -> bytes:
    """Filter each row to its difference from the one above and deflate."""
    squeeze = zlib.compressobj(1)
    filtered = np.empty((_ROWS, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = _FILTER_UP
    parts = []
    for start in range(0, len(rows), _ROWS):
        block = rows[start:start + _ROWS]
        filtered[0, 1:] = block[0] - (rows[start - 1] if start else 0)
        np.subtract(block[1:], block[:-1], out=filtered[1:len(block), 1:])
        parts.append(squeeze.compress(filtered[:len(block)]))
    return b"".join([*parts, squeeze.flush()])


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
