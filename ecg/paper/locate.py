"""From a picture of a page to the canonical page that the model reads.

The grid gives the scale; the long strokes of ink are the traces (letters are short), their rows and
ends give the place. Rows are brought to the canonical distance by moving bands, not by stretching, so
that a millivolt keeps its height. Turned and warped pages are not straightened.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ecg.paper.grid import grid_pitch
from ecg.paper.layout import Layout, block_origin, layout

LONGEST_SIDE = 1800
"""Larger pictures are reduced to this first: the canonical page is far coarser."""
MIN_CONFIDENCE = 0.3
"""Below this the grid is not believed and the ink's own extent sets the scale."""
_INK_LEVEL, _PAPER_LEVEL = 5.0, 250.0
"""Grey levels that bring located pages nearest to drawn ones: a little blur has paled the ink."""
_TYPICAL_WIDTH_MM = 270.0
_STROKE_MM = 20.0
"""Connected ink at least this wide is a trace."""
_LETTER_MM = 5.0
_THICK_MM = 1.3
_LEAST_ROW_MM = 18.0
_MOST_ROWS = 7
_WANDER_MM = 3.0


@dataclass(frozen=True)
class Located:
    """What was found: the canonical page, and how."""

    image: np.ndarray
    """uint8 (height, width), grey: ink dark, paper nearly white."""
    px_per_mm_found: float
    """Resolution of the picture given."""
    confidence: float
    """0-1: how clearly the grid stood out; below `MIN_CONFIDENCE` the scale is a guess from the ink."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the traces' block in pixels of the picture given."""


def to_canonical(image: np.ndarray, *, height: int, width: int, px_per_mm: float,
                 page_layout: Layout | None = None) -> Located:
    """Find the traces on a picture of a page and draw them as the canonical page shows them.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3).
        height: of the canonical page in pixels.
        width: of the canonical page in pixels.
        px_per_mm: of the canonical page.
        page_layout: the arrangement expected; by default 3x4+1R.

    Raises:
        ValueError: another shape or dtype, or a picture too small to hold a page.
    """
    page_layout = page_layout or layout("3x4+1R")
    small, reduction = _reduce(_checked(image))
    channels = [_flatten(plane) for plane in cv2.split(small)]
    luma = _flatten(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    pitch, confidence = grid_pitch(np.minimum.reduce(channels))
    darkest = np.maximum.reduce(channels)
    if confidence < MIN_CONFIDENCE:
        pitch = _pitch_from_ink(darkest, page_layout)
    ink = _ink(darkest, pitch)
    strokes = ink.wide(_STROKE_MM * pitch)
    found = _even_rows(*_row_peaks(strokes.sum(axis=1).astype(np.float32), pitch), pitch)
    left = _block_left(ink.along(found, 10 * pitch, strokes), pitch, page_layout)
    baselines = _baselines(found, small.shape[0], pitch, page_layout)
    origin = block_origin(page_layout, width_mm=width / px_per_mm, height_mm=height / px_per_mm)
    mapped = _compose(_tone(luma, strokes, pitch), left, baselines, pitch, origin, (height, width), px_per_mm,
                      page_layout)
    half = page_layout.row_mm / 2 * pitch
    box = (left, baselines[0] - half, left + page_layout.width_mm * pitch, baselines[-1] + half)
    return Located(mapped, pitch * reduction, confidence, tuple(float(side * reduction) for side in box))


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(f"image: must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
    if min(image.shape[:2]) < 64 or image.shape[1] < 128:
        raise ValueError(f"image: {image.shape[1]} x {image.shape[0]} pixels are too few to read an ECG from; "
                         "give at least 128 x 64")
    return np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image


def _reduce(image: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the picture with its longest side at most `LONGEST_SIDE`, and how often smaller it is."""
    reduction = max(1.0, max(image.shape[:2]) / LONGEST_SIDE)
    if reduction == 1.0:
        return image, reduction
    size = round(image.shape[1] / reduction), max(1, round(image.shape[0] / reduction))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA), reduction


def _flatten(plane: np.ndarray) -> np.ndarray:
    """Divide a plane by its paper: float32 (H, W), paper 1, ink towards 0, whatever the light."""
    height, width = plane.shape
    coarse = cv2.resize(plane, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.dilate(coarse, np.ones((7, 7), np.uint8))
    paper = cv2.GaussianBlur(paper.astype(np.float32), (0, 0), 4)
    paper = cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.minimum(plane / np.maximum(paper, 8.0), 1.1).astype(np.float32)


@dataclass(frozen=True)
class _Ink:
    """Dark pixels and the connected pieces that they form."""

    mask: np.ndarray
    """bool (H, W)."""
    labels: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    middles: np.ndarray
    """Mean image row of each piece."""
    pitch: float

    def wide(self, least: float) -> np.ndarray:
        """The ink of pieces at least so many pixels wide, ruled lines left out, bool (H, W)."""
        rule = (self.heights < 1.6 * self.pitch) & (self.widths > 120 * self.pitch)
        return self._pieces((self.widths >= least) & ~rule)

    def along(self, rows: np.ndarray, reach: float, otherwise: np.ndarray) -> np.ndarray:
        """The ink of pieces wider than letters whose middle lies within `reach` of one of the rows."""
        if not len(rows):
            return otherwise
        away = np.abs(self.middles[:, None] - rows[None]).min(axis=1)
        return self._pieces((self.widths >= _LETTER_MM * self.pitch) & (away <= reach)) | otherwise

    def _pieces(self, keep: np.ndarray) -> np.ndarray:
        keep = keep.copy()
        keep[0] = False
        return keep[self.labels] & self.mask


def _ink(flat: np.ndarray, pitch: float) -> _Ink:
    """Find the ink: darker than half way between the paper and the darkest hundredth.

    What is thicker than any pen, such as rules and column marks, is left out before.
    """
    side = max(5, round(_THICK_MM * pitch))
    core = (flat < (1 + np.quantile(flat[::2, ::2], 0.005)) / 2).astype(np.uint8)
    thick = cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    thin = cv2.dilate(thick, np.ones((5, 5), np.uint8)) == 0
    mask = thin & (flat < (1 + np.quantile(flat[thin][::4], 0.01)) / 2) if thin.any() else core > 0
    reach = max(2, round(0.4 * pitch)) + 1
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(joined, connectivity=8)
    return _Ink(mask, labels, stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT], centres[:, 1], pitch)


def _pitch_from_ink(flat: np.ndarray, page_layout: Layout) -> float:
    """Guess pixels per mm when no grid shows: the long strokes are as wide as the traces and half a pulse."""
    width = flat.shape[1]
    guess = width / _TYPICAL_WIDTH_MM
    columns = np.flatnonzero(_ink(flat, guess).wide(_STROKE_MM * guess).any(axis=0))
    extent = columns[-1] - columns[0] + 1 if len(columns) else width
    return max(extent, width / 4) / (page_layout.width_mm + 2.5)


def _block_left(strokes: np.ndarray, pitch: float, page_layout: Layout) -> float:
    """Return the column at which the traces begin.

    Ink wider than the traces has a calibration pulse before them, so their end is the surer mark.
    """
    columns = np.flatnonzero(strokes.sum(axis=0) > 0)
    if not len(columns):
        return (strokes.shape[1] - page_layout.width_mm * pitch) / 2
    begin, end = columns[0], columns[-1] + 1
    surplus = (end - begin) / pitch - page_layout.width_mm
    if 0 < surplus < 12:
        return end - page_layout.width_mm * pitch
    return (begin + end) / 2 - page_layout.width_mm * pitch / 2


def _baselines(found: np.ndarray, height: int, pitch: float, page_layout: Layout) -> np.ndarray:
    """Return the image row of each layout row's baseline, given the rows of traces that were found.

    The first ones are the layout's grid, the last one its rhythm strip; missing ones follow at the same
    distance.
    """
    wanted = len(page_layout.rows) + len(page_layout.rhythm)
    if not len(found):
        return height / 2 + (np.arange(wanted) - (wanted - 1) / 2) * page_layout.row_mm * pitch
    if len(found) > wanted:
        grid = len(page_layout.rows)
        found = np.concatenate([found[:grid], found[len(found) - (wanted - grid):]])
    step = np.median(np.diff(found)) if len(found) > 1 else page_layout.row_mm * pitch
    return np.concatenate([found, found[-1] + step * np.arange(1, wanted - len(found) + 1)])


def _row_peaks(profile: np.ndarray, pitch: float) -> tuple[np.ndarray, np.ndarray]:
    """Return where the ink along the rows has clear peaks at least 7.5 mm apart, and how high they are."""
    smooth = cv2.GaussianBlur(profile[:, None], (0, 0), max(0.8, 0.8 * pitch)).ravel()
    wide = cv2.dilate(smooth[:, None], np.ones((2 * round(7.5 * pitch) + 1, 1), np.uint8)).ravel()
    peaks = np.flatnonzero((smooth == wide) & (smooth > 0.15 * smooth.max()))
    peaks = peaks[np.diff(peaks, prepend=-10) > 1]
    return peaks + 0.5, smooth[peaks]


def _even_rows(peaks: np.ndarray, heights: np.ndarray, pitch: float) -> np.ndarray:
    """Choose the evenly spaced rows that explain the peaks best; one that has no peak costs most of one."""
    best, chosen = 0.0, peaks[np.argsort(heights)[-1:]]
    for i in range(len(peaks)):
        for j in range(i + 1, len(peaks)):
            for steps in range(1, _MOST_ROWS):
                step = (peaks[j] - peaks[i]) / steps
                if step < _LEAST_ROW_MM * pitch:
                    break
                rows = peaks[i] + step * np.arange(steps + 1)
                nearest = np.abs(peaks[None] - rows[:, None]).argmin(axis=1)
                hit = np.abs(peaks[nearest] - rows) < 0.12 * step
                score = heights[nearest[hit]].sum() - 0.7 * heights.max() * (~hit).sum()
                if score > best:
                    best, chosen = score, np.where(hit, peaks[nearest], rows)
    if len(chosen) < 3:
        return chosen
    line = np.polyval(np.polyfit(np.arange(len(chosen)), chosen, 1), np.arange(len(chosen)))
    # Peaks stray with the traces' wander; where the rows are even, their common line is surer.
    return line if np.abs(line - chosen).max() < _WANDER_MM * pitch else chosen


def _tone(luma: np.ndarray, strokes: np.ndarray, pitch: float) -> np.ndarray:
    """Stretch the flattened picture so that paper and the traces' ink are as grey as on canonical pages.

    Where a pen of the usual width covers no whole pixel, its ink is not stretched to full black.
    """
    ink = min(float(np.quantile(luma[strokes], 0.25)), 0.8) if strokes.any() else 0.0
    covered = min(1.0, 0.4 * pitch)
    level = _PAPER_LEVEL - covered * (_PAPER_LEVEL - _INK_LEVEL)
    return np.clip(level + (luma - ink) / (1 - ink) * (_PAPER_LEVEL - level), 0, 255).astype(np.float32)


def _compose(tone: np.ndarray, left: float, baselines: np.ndarray, pitch: float, origin: tuple[float, float],
             shape: tuple[int, int], px_per_mm: float, page_layout: Layout) -> np.ndarray:
    """Draw the canonical page, each row moved to its place."""
    factor = pitch / px_per_mm
    # Averages what falls on one canonical pixel; only when the page shrinks.
    sigma = 0.3 * np.sqrt(max(factor ** 2 - 1, 0.0))
    smooth = cv2.GaussianBlur(tone, (0, 0), sigma) if sigma > 0.2 else tone
    places = (origin[1] + page_layout.row_mm * (np.arange(len(baselines)) + 0.5)) * px_per_mm
    moves = baselines / factor - places
    if np.ptp(moves) < 1.5 * px_per_mm:
        return _warp(smooth, left, np.mean(moves) * factor, factor, origin[0] * px_per_mm, shape)
    page = np.full(shape, round(_PAPER_LEVEL), np.uint8)
    half = np.median(np.diff(baselines)) / factor / 2
    for number, (place, move) in enumerate(zip(places, moves, strict=True)):
        top = 0 if number == 0 and half > page_layout.row_mm / 2 * px_per_mm else max(0, round(place - half))
        bottom = min(shape[0], round(place + half))
        band = _warp(smooth, left, move * factor, factor, origin[0] * px_per_mm, shape)[top:bottom]
        page[top:bottom] = np.minimum(page[top:bottom], band)
    return page


def _warp(tone: np.ndarray, left: float, above: float, factor: float, margin: float,
          shape: tuple[int, int]) -> np.ndarray:
    """Sample the picture: canonical (x, y) lies at left + (x - margin) factor, above + y factor."""
    # Pixel i covers [i, i + 1): its centre is i + 0.5, for cv2 it is i.
    offset_x = left + (0.5 - margin) * factor - 0.5
    offset_y = above + 0.5 * factor - 0.5
    matrix = np.array([[factor, 0, offset_x], [0, factor, offset_y]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    mapped = cv2.warpAffine(tone, matrix, shape[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT,
                            borderValue=_PAPER_LEVEL)
    return np.clip(mapped + 0.5, 0, 255).astype(np.uint8)
