"""A picture of a page straightened: millimetres square and upright, light and paper colour gone."""

from dataclasses import dataclass

import cv2
import numpy as np

from ecg.paper.beside import beside
from ecg.paper.raster import jit
from ecg.paper.surface import Surface, map_points

PAPER = 220
"""Grey level of bare paper after the light is divided out; what is lighter has room up to 255."""
_MOST_MM = 520.0
"""A side longer than this shows more than the page."""
_AROUND_MM = 22.0
"""Paper kept around the tiles in which the grid stood out."""
_BLOCKS = 48
"""Pixels: a multiple of the blocks over which paper and darkness are averaged."""
_MESH = 16
"""Pixels between the nodes at which a bent map is computed; between them it is linear."""
_HALVED_FROM = 1.8
"""Pixels of the picture a pixel of the page, from which pairs are averaged before the picture is sampled."""
_DARK = 0.75
"""Over several mm, anything darker is not paper."""


@dataclass(frozen=True)
class Straight:
    """The page at `scale` pixels per mm."""

    ink: np.ndarray
    """uint8 (H, W): the lightest channel over the paper, on which a coloured grid is faint."""
    luma: np.ndarray
    """uint8 (H, W): brightness over the paper."""
    scale: float
    surface: Surface
    """Picture pixel <-> mm."""
    matrix: np.ndarray
    """(3, 3) float64: those mm -> pixel of these planes, affine."""

    def turned(self, quarters: int) -> "Straight":
        """Return the page turned counterclockwise by so many quarters."""
        planes = self.ink, self.luma
        matrix = np.eye(3)
        height, width = self.ink.shape
        for _ in range(quarters % 4):
            # (x, y) goes to (y, width - x).
            matrix = np.array([[0, 1, 0], [-1, 0, width], [0, 0, 1.0]]) @ matrix
            height, width = width, height
        planes = [np.ascontiguousarray(np.rot90(plane, quarters % 4)) for plane in planes]
        return Straight(*planes, self.scale, self.surface, matrix @ self.matrix)


def straighten(image: np.ndarray, surface: Surface, scale: float, *, corners: np.ndarray | None = None) -> Straight:
    """Draw the page flat.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3).
        surface: picture pixel <-> mm.
        scale: pixels per mm wanted.
        corners: (T, 4, 2) of the parts of the picture that show the page; without them, all.
    """
    height, width = image.shape[:2]
    whole = np.array([[0, 0], [width, 0], [width, height], [0, height]], float)
    shown = whole if corners is None else _hull(corners)
    outline = surface.to_mm(shown)
    around = 0.0 if corners is None else _AROUND_MM
    low, high = outline.min(axis=0) - around, outline.max(axis=0) + around
    sides = np.minimum(high - low, _MOST_MM)
    low = (low + high) / 2 - sides / 2
    size = tuple(int(np.ceil(side * scale)) for side in sides)
    matrix = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale], [0, 0, 1]])
    outlines = [_dense(whole)] if corners is None else [_dense(whole), _dense(shown)]
    outlines = [map_points(matrix, surface.to_mm(one)) for one in outlines]
    outside = _outside(outlines, size, around * scale)
    part, corner = _filled(outlines[0], size)
    shift = np.array([[1, 0, -corner[0]], [0, 1, -corner[1]], [0, 0, 1]])
    picture = _warp(image, surface, shift @ matrix, (part[1].stop - corner[0], part[0].stop - corner[1]))
    planes = np.full((2, *size[::-1]), PAPER, np.uint8)
    for plane, drawn in zip(planes, _planes(picture, outside[part], scale), strict=True):
        plane[part] = drawn
    return Straight(*planes, scale, surface, matrix)


def _filled(outline: np.ndarray, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[int, int]]:
    """Return the part of a page that the picture's outline spans, and its left and top: the rest stays blank."""
    # Blocks that are averaged later begin where they would on the whole page.
    low = np.clip(outline.min(axis=0) // _BLOCKS * _BLOCKS, 0, np.maximum(np.array(size) - _BLOCKS, 0)).astype(int)
    high = np.minimum(np.maximum(np.ceil(outline.max(axis=0)).astype(int) + 1, low + _BLOCKS), size)
    return (slice(low[1], high[1]), slice(low[0], high[0])), (int(low[0]), int(low[1]))


def _hull(corners: np.ndarray) -> np.ndarray:
    return cv2.convexHull(corners.reshape(-1, 2).astype(np.float32)).reshape(-1, 2).astype(float)


def _dense(outline: np.ndarray) -> np.ndarray:
    """Return an outline, (n, 2), with points along its sides, which bends make curved."""
    share = np.linspace(0, 1, 8, endpoint=False)[:, None]
    return np.concatenate([start + share * (stop - start)
                           for start, stop in zip(outline, np.roll(outline, -1, axis=0), strict=True)])


def _warp(image: np.ndarray, surface: Surface, matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Sample the picture; where it is much finer than wanted, after averaging."""
    whole = matrix @ surface.homography
    fine = np.sqrt(max(abs(np.linalg.det(np.linalg.inv(whole)[:2, :2])), 1e-6))
    shrink = 1.0
    while fine > _HALVED_FROM and min(image.shape[:2]) > 1:
        # Twos average in a twentieth of the time that any other area takes.
        whole_pairs = image[:image.shape[0] // 2 * 2, :image.shape[1] // 2 * 2]
        image = cv2.resize(whole_pairs, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        fine, shrink = fine / 2, shrink / 2
    columns, rows = (np.arange(-0.5, (side // _MESH + 3)) * _MESH for side in size)
    mesh = np.stack(np.meshgrid(columns, rows), axis=-1)
    mesh = surface.to_pixels(map_points(np.linalg.inv(matrix), mesh)) * shrink - 0.5
    full = cv2.resize(mesh.astype(np.float32), (mesh.shape[1] * _MESH, mesh.shape[0] * _MESH),
                      interpolation=cv2.INTER_LINEAR)
    # cv2 centres the first node in the first `_MESH` pixels; it lies half a mesh left of the picture.
    # Whole numbers and tables of weights: twice as fast as warpPerspective, and exact to a 32nd of a pixel.
    full = full[_MESH:_MESH + size[1], _MESH:_MESH + size[0]]
    out = np.empty((*size[::-1], *image.shape[2:]), np.uint8)

    def sample(part: slice) -> None:
        places = cv2.convertMaps(full[part], None, cv2.CV_16SC2)
        cv2.remap(image, *places, cv2.INTER_LINEAR, dst=out[part], borderMode=cv2.BORDER_REPLICATE)

    beside(sample, len(out))
    return out


def _outside(outlines: list[np.ndarray], size: tuple[int, int], around: float) -> np.ndarray:
    """Return where the picture, or the page on it, does not reach: bool (H, W)."""
    inside = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(inside, [np.round(outlines[0]).astype(np.int32)], 1)
    for outline in outlines[1:]:
        page = np.zeros(size[::-1], np.uint8)
        outline = np.round(outline).astype(np.int32)
        cv2.fillPoly(page, [outline], 1)
        cv2.polylines(page, [outline], True, 1, max(1, round(2 * around)))
        inside &= page
    return inside == 0


def _beyond(ink: np.ndarray, scale: float) -> np.ndarray:
    """Return where something large is dark, such as the table under the page: bool (H, W), some mm around it too."""
    height, width = ink.shape
    step = max(1, round(scale))
    whole = ink[:max(step, height // step * step), :max(step, width // step * step)]
    dark = cv2.resize(whole, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    dark = cv2.morphologyEx(cv2.compare(dark, _DARK * PAPER, cv2.CMP_LT), cv2.MORPH_OPEN, np.ones((4, 4), np.uint8))
    if not dark.any():
        return np.zeros(ink.shape, bool)
    return cv2.resize(cv2.dilate(dark, np.ones((7, 7), np.uint8)), (width, height),
                      interpolation=cv2.INTER_NEAREST) > 0


def _planes(picture: np.ndarray, outside: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide the picture by its paper, channel by channel; return ink and luma."""
    ink = luma = flat = flatten(picture)
    if flat.ndim == 3:
        ink, luma = np.empty(flat.shape[:2], np.uint8), np.empty(flat.shape[:2], np.uint8)
        _lightest_and_luma(flat.reshape(-1, 3), ink.reshape(-1), luma.reshape(-1))
    outside = (outside | _beyond(ink, scale)).view(np.uint8)
    for plane in (ink, luma):
        cv2.copyTo(np.full_like(plane, PAPER), outside, plane)
    return ink, luma


def flatten(picture: np.ndarray) -> np.ndarray:
    """Divide a picture by its paper, each channel: uint8, paper `PAPER`, ink towards 0, whatever the light."""
    height, width = picture.shape[:2]
    # Whole blocks of pixels are averaged much faster than parts of them.
    whole = picture[:max(8, height // 8 * 8), :max(8, width // 8 * 8)]
    coarse = cv2.resize(whole, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.dilate(coarse, np.ones((5, 5), np.uint8))
    paper = cv2.GaussianBlur(paper, (0, 0), 3)
    paper = cv2.resize(cv2.max(paper, np.full_like(paper, 16)), (width, height), interpolation=cv2.INTER_LINEAR)
    return cv2.divide(picture, paper, scale=PAPER)


@jit
def _lightest_and_luma(flat, ink, luma):
    """Fill in the lightest channel of pixels (n, 3) and their brightness."""
    for i in range(len(ink)):
        red, green, blue = np.int32(flat[i, 0]), np.int32(flat[i, 1]), np.int32(flat[i, 2])
        ink[i] = max(max(red, green), blue)
        # 0.299, 0.587 and 0.114 in 2^14ths.
        luma[i] = (np.int32(4899) * red + np.int32(9617) * green + np.int32(1868) * blue + np.int32(8192)) >> 14


def level_at(share: float, plane: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return the grey level below which this share of a plane lies (of a mask's pixels), by its histogram."""
    counts = cv2.calcHist([plane], [0], mask, [256], [0, 256]).ravel()
    return float(np.searchsorted(np.cumsum(counts), share * counts.sum()))
