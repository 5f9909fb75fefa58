"""Turn and scale of a page without a visible grid, from its traces."""

import cv2
import numpy as np

from ecg.paper.layout import Layout
from ecg.paper.straight import Straight, straighten
from ecg.paper.strokes import find_strokes
from ecg.paper.surface import Surface

_TYPICAL_WIDTH_MM = 270.0
_TURNS = np.arange(-12.0, 12.01, 0.5)


def guess_from_ink(image: np.ndarray, page_layout: Layout, scale: float) -> tuple[Straight, float] | None:
    """Straighten a page by its traces: they lie level, and are as wide as the layout's and half a pulse.

    Returns:
        The page and a confidence, or None where nothing looks like traces.
    """
    guess = max(image.shape[:2]) / _TYPICAL_WIDTH_MM
    page = straighten(image, _turned(0.0, guess), min(scale, guess))
    angle = _level(find_strokes(page.ink, page.scale).wide())
    if abs(angle) > 0.1:
        page = straighten(image, _turned(angle, guess), min(scale, guess))
    columns = np.flatnonzero(find_strokes(page.ink, page.scale).wide().any(axis=0))
    if len(columns) < 30 * page.scale:
        return None
    extent = columns[-1] - columns[0] + 1
    guess *= max(extent / page.scale, 70) / (page_layout.width_mm + 2.5)
    return straighten(image, _turned(angle, guess), min(scale, guess)), 0.2


def _turned(angle: float, pitch: float) -> Surface:
    """Return the surface of a flat page turned by an angle in degrees."""
    cos, sin = np.cos(np.deg2rad(angle)) / pitch, np.sin(np.deg2rad(angle)) / pitch
    return Surface(np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]))


def _level(traces: np.ndarray) -> float:
    """Return by how many degrees the traces fall to the right: the turn that makes the rows' profile sharpest."""
    small = cv2.resize(traces.astype(np.float32), (400, max(1, round(traces.shape[0] * 400 / traces.shape[1]))),
                       interpolation=cv2.INTER_AREA)
    def sharpness(angle: float) -> float:
        slope = np.tan(np.deg2rad(angle))
        matrix = np.array([[1, 0, 0], [slope, 1, -slope * 200]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return float((cv2.warpAffine(small, matrix, small.shape[::-1], flags=flags).sum(axis=1) ** 2).sum())
    score = np.array([sharpness(angle) for angle in _TURNS])
    best = int(score.argmax())
    if not 0 < best < len(score) - 1:
        return 0.0
    before, at, after = score[best - 1:best + 2]
    return float(_TURNS[best] + 0.5 * (before - after) / min(before - 2 * at + after, -1e-9) * 0.5)
