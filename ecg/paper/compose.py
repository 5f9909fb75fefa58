"""The canonical page drawn from a straightened one: each row moved to its place, nothing stretched."""

import cv2
import numpy as np

from ecg.paper.layout import Layout, block_origin
from ecg.paper.straight import PAPER, level_at

_INK_LEVEL, _PAPER_LEVEL = 5.0, 250.0
"""Grey levels that bring located pages nearest to drawn ones: a little blur has paled the ink."""


def tone(luma: np.ndarray, strokes: np.ndarray, scale: float) -> np.ndarray:
    """Stretch a flattened page so that paper and the traces' ink are as grey as on canonical pages: uint8.

    Where a pen of the usual width covers no whole pixel, its ink is not stretched to full black.
    """
    ink = level_at(0.25, luma, strokes.astype(np.uint8)) / PAPER if strokes.any() else 0.0
    ink = min(ink, 0.8)
    covered = min(1.0, 0.4 * scale)
    level = _PAPER_LEVEL - covered * (_PAPER_LEVEL - _INK_LEVEL)
    table = level + (np.arange(256) / PAPER - ink) / (1 - ink) * (_PAPER_LEVEL - level)
    return cv2.LUT(luma, np.clip(np.round(table), 0, 255).astype(np.uint8))


def compose(page: np.ndarray, left: float, baselines: np.ndarray, *, scale: float, px_per_mm: float,
            shape: tuple[int, int], page_layout: Layout) -> np.ndarray:
    """Draw the canonical page, uint8 of `shape`.

    Args:
        page: uint8 (H, W), toned.
        left: column at which the traces begin.
        baselines: (rows,) image row of each layout row.
        scale: pixels per mm of `page`.
        px_per_mm: of the canonical page.
        shape: of the canonical page.
        page_layout: its arrangement.
    """
    factor = scale / px_per_mm
    origin = block_origin(page_layout, width_mm=shape[1] / px_per_mm, height_mm=shape[0] / px_per_mm)
    # Averages what falls on one canonical pixel; only when the page shrinks.
    sigma = 0.3 * np.sqrt(max(factor ** 2 - 1, 0.0))
    smooth = cv2.GaussianBlur(page, (0, 0), sigma) if sigma > 0.2 else page
    places = (origin[1] + page_layout.row_mm * (np.arange(len(baselines)) + 0.5)) * px_per_mm
    moves = baselines / factor - places
    if np.ptp(moves) < 1.5 * px_per_mm:
        return _shifted(smooth, left, np.mean(moves) * factor, factor, origin[0] * px_per_mm, shape)
    out = np.full(shape, round(_PAPER_LEVEL), np.uint8)
    half = np.median(np.diff(baselines)) / factor / 2
    for number, (place, move) in enumerate(zip(places, moves, strict=True)):
        top = 0 if number == 0 and half > page_layout.row_mm / 2 * px_per_mm else max(0, round(place - half))
        bottom = min(shape[0], round(place + half))
        band = _shifted(smooth, left, move * factor, factor, origin[0] * px_per_mm, shape)[top:bottom]
        out[top:bottom] = np.minimum(out[top:bottom], band)
    return out


def _shifted(page: np.ndarray, left: float, above: float, factor: float, margin: float,
             shape: tuple[int, int]) -> np.ndarray:
    """Sample the page: canonical (x, y) lies at left + (x - margin) factor, above + y factor."""
    # Pixel i covers [i, i + 1): its centre is i + 0.5, for cv2 it is i.
    offset_x = left + (0.5 - margin) * factor - 0.5
    offset_y = above + 0.5 * factor - 0.5
    matrix = np.array([[factor, 0, offset_x], [0, factor, offset_y]])
    return cv2.warpAffine(page, matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_CONSTANT, borderValue=_PAPER_LEVEL)
