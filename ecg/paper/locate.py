"""From any picture of an ECG page to the canonical page that the model reads.

The grid gives scale, turn and perspective (`grid`); the page is drawn straight (`straight`); the long strokes
of ink are the traces (letters are short), and their rows and ends give the place (`strokes`, `rows`). Rows are
brought to the canonical distance by moving bands, not by stretching, so that a millivolt keeps its height
(`compose`). Without a grid the traces' own turn and width set the scale, and the result says so. What shows
no ECG is refused.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from ecg.paper.compose import compose, tone
from ecg.paper.grid import MIN_CONFIDENCE, Grid, find_grid
from ecg.paper.guess import guess_from_ink
from ecg.paper.layout import Layout, fitted, layout
from ecg.paper.overlay import overlay
from ecg.paper.rows import find_left, find_rows, place_rows
from ecg.paper.straight import Straight, straighten
from ecg.paper.strokes import find_strokes
from ecg.paper.surface import Surface, map_points
from ecg.paper.upright import lies_on_its_side

__all__ = ["MIN_CONFIDENCE", "Grid", "Located", "NoGridError", "find_grid", "overlay", "to_canonical"]

AROUND_MM = 80.0
"""Of the page, in the middle of the traces' block: scale and turn are stated for it."""
_BENT_EXPLAINED, _LOST_EXPLAINED = 0.75, 0.45
"""Shares of the grid's clear tiles that fit: below the first the page is doubtful, at the second lost."""
_FINER = 2.0
"""Resolution of the straightened page over that of the canonical one."""
_LEAST_TRACES_MM = {"grid": 40.0, "ink": 100.0}
"""Of ink in rows of traces, by what set the scale: less is no ECG."""


_MOST_INK = {"grid": 0.2, "ink": 0.1}
"""Share of the page, by what set the scale: traces, letters and a dark grid cover less."""


class NoGridError(ValueError):
    """Neither a grid with traces nor rows of traces stand out in a picture."""

    def __init__(self, why: str):
        super().__init__(f"no ECG grid here: {why}")


@dataclass(frozen=True)
class Located:
    """What was found: the canonical page, and how. Pixels are those of the picture given."""

    image: np.ndarray
    """uint8 (height, width), grey: ink dark, paper nearly white."""
    px_per_mm_found: float
    """Resolution of the picture around the middle of the traces' block, the geometric mean of both axes."""
    px_per_mm_xy: tuple[float, float]
    """The same along the rows and across them."""
    rotation_deg: float
    """Turn of the rows there, -180 to 180: positive where they fall to the right."""
    homography: np.ndarray
    """(3, 3) float64: picture pixel -> mm on the straightened page, the origin at the top left of the block."""
    confidence: float
    """0-1: how clearly the grid stood out; below `MIN_CONFIDENCE` the scale is a guess from the ink."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom of the traces' block."""
    corners: np.ndarray
    """(4, 2) float64, x and y of the block's corners: top left, top right, bottom right, bottom left."""
    rows: np.ndarray
    """(rows found,) float64: their baselines in mm below the block's top."""
    scale_from: str
    """"grid" or "ink"."""
    turned: int
    """Quarters of a turn, clockwise, by which the page lies in the picture: 0, 1, 2 or 3."""
    warnings: tuple[str, ...]
    """Short sentences on what is doubtful; empty where nothing is."""
    quality: float | None = None
    """0-1: how sure it is that this is an ECG, where a reader judged it (`model.refusal`)."""


def to_canonical(image: np.ndarray, *, height: int, width: int, px_per_mm: float,
                 page_layout: Layout | None = None) -> Located:
    """Find the traces on a picture of a page and draw them as the canonical page shows them.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3).
        height: of the canonical page in pixels.
        width: of the canonical page in pixels.
        px_per_mm: of the canonical page.
        page_layout: the arrangement expected; by default 3x4+1R. Its rows are moved together where the canonical
            page is lower, as on the pages that readers learn from.

    Raises:
        NoGridError: no ECG page is to be seen; a ValueError.
        ValueError: another shape or dtype, or a picture too small to hold a page.
    """
    page_layout = fitted(page_layout or layout("3x4+1R"), height_mm=height / px_per_mm)
    image = _checked(image)
    grid = find_grid(image)
    warnings = []
    if grid.confidence >= MIN_CONFIDENCE:
        scale_from, confidence = "grid", grid.confidence
        scale = float(np.clip(np.sqrt(grid.pitch_x * grid.pitch_y), px_per_mm, _FINER * px_per_mm))
        page = straighten(image, grid.surface, scale, corners=grid.corners)
        if grid.explained < _BENT_EXPLAINED:
            warnings.append("the paper is creased or strongly bent: scale and turn are uncertain")
            confidence *= max(0.0, (grid.explained - _LOST_EXPLAINED) / (_BENT_EXPLAINED - _LOST_EXPLAINED))
    else:
        scale_from = "ink"
        guess = guess_from_ink(image, page_layout, _FINER * px_per_mm)
        if guess is None:
            raise NoGridError("neither millimetre lines nor rows of traces stand out")
        page, confidence = guess
        warnings.append("no grid lines found: scale guessed from the traces")
    strokes = find_strokes(page.ink, page.scale)
    if (inked := float(strokes.mask.mean())) > _MOST_INK[scale_from]:
        raise NoGridError(f"{inked:.0%} of the picture is dark, too much for traces on paper")
    turned = int(lies_on_its_side(strokes))
    if turned:
        page = page.turned(turned)
        strokes = find_strokes(page.ink, page.scale)
        warnings.append("which side is up is a guess")
    traces = strokes.wide()
    if traces.any(axis=0).sum() < _LEAST_TRACES_MM[scale_from] * page.scale:
        raise NoGridError("no rows of traces stand out")
    found = find_rows(traces, page.scale, page_layout)
    left = find_left(strokes.along(found, 10 * page.scale, traces), found, page.scale, page_layout)
    baselines = place_rows(found, page.ink.shape[0], page.scale, page_layout)
    wanted = len(baselines)
    if len(found) != wanted:
        warnings.append(f"{len(found)} rows of traces found where the layout has {wanted}; if the page is arranged "
                        "otherwise, say its layout (--layout, a request's field, or the web page's choice)")
    drawn = compose(tone(page.luma, traces, page.scale), left, baselines, scale=page.scale, px_per_mm=px_per_mm,
                    shape=(height, width), page_layout=page_layout)
    return _located(drawn, page, left, baselines, found, page_layout, confidence=confidence, scale_from=scale_from,
                    turned=turned, warnings=tuple(warnings))


def _checked(image: np.ndarray) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3):
        raise ValueError(f"image: must be uint8 (H, W) or (H, W, 3), not {image.dtype} {image.shape}")
    if min(image.shape[:2]) < 64 or max(image.shape[:2]) < 128:
        raise ValueError(f"image: {image.shape[1]} x {image.shape[0]} pixels are too few to read an ECG from; "
                         "give at least 128 x 64")
    return image


def _located(drawn: np.ndarray, page: Straight, left: float, baselines: np.ndarray, found: np.ndarray,
             page_layout: Layout, **how) -> Located:
    """State what was found on the straightened page in pixels of the picture."""
    scale = page.scale
    top = baselines[0] - page_layout.row_mm / 2 * scale
    width_mm, height_mm = page_layout.width_mm, (baselines[-1] - baselines[0]) / scale + page_layout.row_mm
    to_block = np.array([[1 / scale, 0, -left / scale], [0, 1 / scale, -top / scale], [0, 0, 1]])
    to_mm = to_block @ page.matrix
    block = np.array([[0, 0], [width_mm, 0], [width_mm, height_mm], [0, height_mm]], float)
    homography = _homography(page.surface, to_mm, block)
    corners = page.surface.to_pixels(map_points(np.linalg.inv(to_mm), block))
    middle = page.surface.to_pixels(map_points(np.linalg.inv(to_mm), block.mean(axis=0)))
    pitch_x, pitch_y, rotation = page.surface.scale_around(middle, page.matrix[:2, :2] / scale, AROUND_MM)
    box = tuple(float(side) for side in (*corners.min(axis=0), *corners.max(axis=0)))
    return Located(image=drawn, px_per_mm_found=float(np.sqrt(pitch_x * pitch_y)), px_per_mm_xy=(pitch_x, pitch_y),
                   rotation_deg=rotation, homography=homography, box=box, corners=corners,
                   rows=(found - top) / scale, **how)


def _homography(surface: Surface, to_mm: np.ndarray, block: np.ndarray) -> np.ndarray:
    """Return the homography picture pixel -> mm of the block; of a bent page, the one that fits the block best."""
    homography = to_mm @ surface.homography
    if surface.bend is not None:
        x, y = np.meshgrid(np.linspace(*block[[0, 1], 0], 12), np.linspace(*block[[0, 3], 1], 6))
        points = np.stack([x, y], axis=-1).reshape(-1, 2)
        homography = cv2.findHomography(surface.to_pixels(map_points(np.linalg.inv(to_mm), points)), points)[0]
    return homography / homography[2, 2]
