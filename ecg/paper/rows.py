"""The rows of traces on a straightened page: their baselines and where they begin."""

import cv2
import numpy as np

from ecg.paper.layout import Layout

_LEAST_ROW = 0.6
"""Rows lie at least this share of the layout's distance apart."""
_LEAST_PEAK = 0.25
"""The same of peaks of ink."""
_LEAST_HEIGHT = 0.22
"""Of a peak, over the highest."""
_LEAST_STRIP = 0.3
"""The same of a rhythm strip and the rows above it."""
_LEAST_PRESENCE = 0.8
"""Of a row's ink along the page, over that of the others."""
_MOST_ROWS = 7
_PULSE_MM = 5.0
"""From the traces' end to the end of a pulse behind them."""
_NEAR_MM = 10.0
_WANDER_MM = 3.0


def find_rows(strokes: np.ndarray, scale: float, page_layout: Layout) -> np.ndarray:
    """Return the image rows, float (n,), of the evenly spaced rows of traces that explain the ink best.

    Args:
        strokes: bool (H, W), the ink of traces.
        scale: pixels per mm.
        page_layout: the arrangement expected; it says how close rows may lie.
    """
    profile = strokes.sum(axis=1).astype(np.float32)
    peaks, heights = _row_peaks(profile, scale, page_layout.row_mm)
    rows, hit = _even_rows(peaks, heights, scale, page_layout)
    return _inked(_with_strip(rows, hit, peaks, heights, scale, page_layout), strokes, scale, page_layout)


def _inked(rows: np.ndarray, strokes: np.ndarray, scale: float, page_layout: Layout) -> np.ndarray:
    """Leave out rows above and below the traces that are lines of text, or nothing: traces run on and on."""
    wanted = len(page_layout.rows) + len(page_layout.rhythm)
    shares = np.array([_presence(strokes, row, scale, near_mm=_NEAR_MM / 2).mean() for row in rows])
    while len(rows) > wanted:
        end = -1 if shares[-1] < shares[0] else 0
        if shares[end] > _LEAST_PRESENCE * np.median(shares):
            break
        rows, shares = np.delete(rows, end), np.delete(shares, end)
    return rows


def _with_strip(rows: np.ndarray, hit: float, peaks: np.ndarray, heights: np.ndarray, scale: float,
                page_layout: Layout) -> np.ndarray:
    """Add a rhythm strip that lies nearer to the rows above than these to each other."""
    below = peaks > rows[-1] + _LEAST_STRIP * page_layout.row_mm * scale if len(rows) else np.zeros(0, bool)
    if len(rows) != len(page_layout.rows) or not page_layout.rhythm or not below.any():
        return rows
    strip = np.argmax(np.where(below, heights, 0))
    return np.append(rows, peaks[strip]) if heights[strip] > 0.5 * hit else rows


def find_left(strokes: np.ndarray, found: np.ndarray, scale: float, page_layout: Layout) -> float:
    """Return the column at which the traces begin.

    Ink wider than the traces has a calibration pulse before them, so their end is the surer mark.
    """
    here = np.array([_presence(strokes, row, scale) for row in found]).reshape(-1, strokes.shape[1])
    here = here[here.sum(axis=1) > 0.5 * here.sum(axis=1).max(initial=1)]
    width = round(page_layout.width_mm * scale)
    if not len(here):
        return (strokes.shape[1] - width) / 2
    ends = [(columns[0], columns[-1] + 1) for columns in map(np.flatnonzero, here)]
    begin, end = np.median(ends, axis=0)
    if end - begin <= width:
        return (begin + end - width) / 2
    if 2.0 * scale < end - begin - width < 9 * scale and _pulses(strokes, found, end, scale) > max(
            1, _pulses(strokes, found, begin + 5 * scale, scale)):
        return end - _PULSE_MM * scale - width
    # The place that holds most of the ink; of equals the rightmost.
    before = np.concatenate([np.zeros(width), np.cumsum(here.sum(axis=0)), np.full(width, here.sum())])
    inside = before[width:] - before[:-width]
    last = np.flatnonzero(inside >= inside.max() - 0.5 * scale * len(here))[-1]
    return min(last - width + 0.0, end - width)


def _pulses(strokes: np.ndarray, found: np.ndarray, end: float, scale: float) -> int:
    """Count the rows in whose last 5 mm before a column a calibration pulse stands: a flat top at 5, 10 or 20 mm."""
    columns = slice(max(0, round(end - 5 * scale)), max(1, round(end)))
    seen = 0
    for row in found:
        tops = [strokes[max(0, round(row - (high + 1.2) * scale)):max(0, round(row - (high - 1.2) * scale)), columns]
                for high in (5, 10, 20)]
        seen += any(top.size and top.any(axis=0).sum() >= 2.2 * scale for top in tops)
    return seen


def _presence(strokes: np.ndarray, row: float, scale: float, near_mm: float = _NEAR_MM) -> np.ndarray:
    """Return in which columns there is ink near a row, gaps of some mm closed, bool (W,)."""
    band = strokes[max(0, round(row - near_mm * scale)):max(0, round(row + near_mm * scale))]
    if not len(band):
        return np.zeros(strokes.shape[1], bool)
    across = band.any(axis=0).astype(np.uint8)[None]
    return cv2.morphologyEx(across, cv2.MORPH_CLOSE, np.ones((1, round(_NEAR_MM * scale)), np.uint8))[0] > 0


def place_rows(found: np.ndarray, height: int, scale: float, page_layout: Layout) -> np.ndarray:
    """Return the image row of each layout row's baseline, given the rows of traces that were found.

    The first ones are the layout's grid, the last one its rhythm strip; missing ones follow at the same
    distance.
    """
    wanted = len(page_layout.rows) + len(page_layout.rhythm)
    if not len(found):
        return height / 2 + (np.arange(wanted) - (wanted - 1) / 2) * page_layout.row_mm * scale
    if len(found) > wanted:
        grid = len(page_layout.rows)
        found = np.concatenate([found[:grid], found[len(found) - (wanted - grid):]])
    step = np.median(np.diff(found)) if len(found) > 1 else page_layout.row_mm * scale
    return np.concatenate([found, found[-1] + step * np.arange(1, wanted - len(found) + 1)])


def _row_peaks(profile: np.ndarray, scale: float, row_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the ink along the rows has clear peaks, and how high they are."""
    smooth = cv2.GaussianBlur(profile[:, None], (0, 0), max(0.8, 0.8 * scale)).ravel()
    wide = cv2.dilate(smooth[:, None], np.ones((2 * round(_LEAST_PEAK * row_mm * scale) + 1, 1), np.uint8)).ravel()
    peaks = np.flatnonzero((smooth == wide) & (smooth > _LEAST_HEIGHT * smooth.max()))
    peaks = peaks[np.diff(peaks, prepend=-10) > 1]
    return peaks + 0.5, smooth[peaks]


def _even_rows(peaks: np.ndarray, heights: np.ndarray, scale: float,
               page_layout: Layout) -> tuple[np.ndarray, float]:
    """Choose the evenly spaced rows that explain the peaks best; one that has no peak costs most of one.

    Returns:
        The rows and the mean height of the peaks on them.
    """
    best, chosen, hit_height = 0.0, peaks[np.argsort(heights)[-1:]], heights.max(initial=0)
    wanted = len(page_layout.rows) + len(page_layout.rhythm)
    most = max(_MOST_ROWS, wanted + 1)
    for i in range(len(peaks)):
        for j in range(i + 1, len(peaks)):
            for steps in range(1, most):
                step = (peaks[j] - peaks[i]) / steps
                if step < _LEAST_ROW * page_layout.row_mm * scale:
                    break
                rows = peaks[i] + step * np.arange(steps + 1)
                nearest = np.abs(peaks[None] - rows[:, None]).argmin(axis=1)
                hit = np.abs(peaks[nearest] - rows) < 0.12 * step
                if steps >= wanted and not hit.all():
                    # More rows than expected are believed only where every one shows.
                    continue
                score = heights[nearest[hit]].sum() - 0.7 * heights.max() * (~hit).sum()
                if score > best:
                    best, chosen = score, np.where(hit, peaks[nearest], rows)
                    hit_height = heights[nearest[hit]].mean()
    if len(chosen) < 3:
        return chosen, hit_height
    line = np.polyval(np.polyfit(np.arange(len(chosen)), chosen, 1), np.arange(len(chosen)))
    # Peaks stray with the traces' wander; where the rows are even, their common line is surer.
    return (line if np.abs(line - chosen).max() < _WANDER_MM * scale else chosen), hit_height
