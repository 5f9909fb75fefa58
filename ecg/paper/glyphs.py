"""Lettering: coverage bitmaps of short texts, drawn large once and averaged down to the size asked for."""

from functools import lru_cache

import cv2
import numpy as np

_LARGE = 64
"""Pixels of the font's size when drawn for averaging down."""
_CAPITAL = 0.74
"""Height of a capital as a share of the font's size."""


FONTS = {"sans": ("sans", 500), "light": ("sans", 300), "bold": ("sans", 800), "italic": ("italic", 500),
         "uni": ("uni", 500)}
"""The typefaces that OpenCV carries, each with a weight."""


def glyph(text: str, capital_px: float, font: str = "sans") -> np.ndarray:
    """Return a text as uint8 coverage (h, w), its capitals `capital_px` high, cut to its ink.

    The array is shared and read-only: sizes are rounded to a quarter of a pixel and cached.
    """
    return _glyph(text, max(1, round(4 * capital_px)), font)


@lru_cache(maxsize=4096)
def _glyph(text: str, quarter_px: int, font: str) -> np.ndarray:
    scale = quarter_px / 4 / (_LARGE * _CAPITAL)
    if scale > 0.5:
        drawn = _ink(text, max(1, round(_LARGE * scale)), font)
    else:
        large = _ink(text, _LARGE, font)
        size = (max(1, round(large.shape[1] * scale)), max(1, round(large.shape[0] * scale)))
        drawn = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    drawn.setflags(write=False)
    return drawn


def _ink(text: str, size: int, font: str) -> np.ndarray:
    face, weight = FONTS[font]
    canvas = np.zeros((2 * size, size * (len(text) + 2)), np.uint8)
    cv2.putText(canvas, text, (size // 2, round(1.4 * size)), 255, cv2.FontFace(face), size, weight)
    columns = np.flatnonzero(canvas.max(0))
    rows = np.flatnonzero(canvas.max(1))
    if not len(columns):
        return np.zeros((1, max(1, size // 2)), np.uint8)
    return np.ascontiguousarray(canvas[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1])


@lru_cache(maxsize=256)
def atlas(texts: tuple[str, ...], quarter_px: int) -> np.ndarray:
    """Return the bitmaps of several texts in one array (len(texts), h, w), each at its top left, read-only."""
    drawn = [_glyph(text, quarter_px, "sans") for text in texts]
    sheet = np.zeros((len(drawn), max(d.shape[0] for d in drawn), max(d.shape[1] for d in drawn)), np.uint8)
    for place, bitmap in zip(sheet, drawn, strict=True):
        place[:bitmap.shape[0], :bitmap.shape[1]] = bitmap
    sheet.setflags(write=False)
    return sheet
