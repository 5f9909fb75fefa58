"""The one map between a flat page and a picture of it: a homography, and bends for paper that is not flat.

The inverse is the primary direction, because a picture is drawn from it: a picture's point goes through
`matrix`^-1 to q, and the page's point is q + e(q), where e is the sum of the bends. Points of the page
find their place in the picture by solving q + e(q) = p.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from ecg.paper.raster import jit

MESH_PX = 16
"""Pixels between the nodes at which a bent map is computed, where bends are gentle; between them it is linear."""
MESH_ERROR_PX = 0.1
MAX_SIDE = 32766
"""OpenCV's maps hold 16-bit positions."""


@dataclass(frozen=True)
class Bend:
    """Displacement that varies along one direction only: e(q) = shift * height(along . q + offset).

    Curl, folds and the jitter of scan lines are all of this form; sums of a few in different
    directions give a sheet its shape.

    Args:
        along: turns a page point, in pixels, into a position in `heights`; its length is knots a pixel.
        offset: added to that position.
        shift: displacement on the page, in pixels, where the height is 1.
        heights: (knots,) two or more values at positions 0, 1, ...; linear between, constant beyond the ends.
    """

    along: tuple[float, float]
    offset: float
    shift: tuple[float, float]
    heights: np.ndarray

    def slope(self, q: np.ndarray) -> np.ndarray:
        """Return by how much height rises a page pixel at points (..., 2): (...)."""
        return _slope(np.ascontiguousarray(q).reshape(-1, 2), *self.along, self.offset,
                      np.asarray(self.heights, np.float64)).reshape(q.shape[:-1])


@dataclass(frozen=True)
class Transform:
    """Where each point of a flat page lies in a picture of it. All points are pixels (x, y); 0.5 is a centre.

    Args:
        matrix: (3, 3) homography from page to picture, before bends.
        height: of the picture.
        width: of the picture.
        bends: curl, folds and line jitter, on the page's side of `matrix`.

    Raises:
        ValueError: a matrix that cannot be inverted, a size out of range.
    """

    matrix: np.ndarray
    height: int
    width: int
    bends: tuple[Bend, ...] = ()

    def __post_init__(self):
        matrix = np.array(self.matrix, np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or abs(np.linalg.det(matrix)) < 1e-12:
            raise ValueError("matrix: must be an invertible (3, 3) matrix of finite numbers")
        for name, value in (("height", self.height), ("width", self.width)):
            if not 1 <= value <= MAX_SIDE:
                raise ValueError(f"{name}: must lie in 1-{MAX_SIDE} pixels, not {value}")
        matrix.setflags(write=False)
        object.__setattr__(self, "matrix", matrix)

    @classmethod
    def identity(cls, height: int, width: int) -> "Transform":
        """Return the transform of a picture that is the page."""
        return cls(np.eye(3), height, width)

    @property
    def is_identity(self) -> bool:
        """Whether every point stays where it is."""
        return not self.bends and np.array_equal(self.matrix, np.eye(3))

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Map points of the page, (..., 2), to the picture; NaN stays NaN."""
        page = np.asarray(xy, np.float64)
        if self.bends:
            flat = np.ascontiguousarray(page).reshape(-1, 2)
            page = _unbend(flat, *self._packed).reshape(page.shape)
        return _apply(self.matrix, page)

    def inverse(self, xy: np.ndarray) -> np.ndarray:
        """Map points of the picture, (..., 2), to the page; NaN stays NaN."""
        q = _apply(self._inverse, np.asarray(xy, np.float64))
        return _bend(q.reshape(-1, 2), *self._packed).reshape(q.shape) if self.bends else q

    def after(self, first: "Transform") -> "Transform":
        """Return the map that does `first`, then this one.

        Raises:
            ValueError: both bend, or this one bends what `first` has seen in perspective.
        """
        matrix = self.matrix @ first.matrix
        if not self.bends:
            return Transform(matrix, self.height, self.width, first.bends)
        if first.bends or np.any(first.matrix[2, :2] != 0):
            raise ValueError("first: must be affine without bends, because the second transform bends")
        affine = first.matrix / first.matrix[2, 2]
        back = np.linalg.inv(affine[:2, :2])
        bends = tuple(Bend(tuple(np.asarray(bend.along) @ affine[:2, :2]),
                           float(bend.offset + np.dot(bend.along, affine[:2, 2])),
                           tuple(back @ np.asarray(bend.shift)), bend.heights) for bend in self.bends)
        return Transform(matrix, self.height, self.width, bends)

    def picture(self, page: np.ndarray, *, border: int | Sequence[int] | np.ndarray = 255,
                interpolation: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Draw the picture of a page. What would alias is averaged first.

        Args:
            page: uint8 (H, W) or (H, W, 3).
            border: what lies beyond the page: a grey level, a colour, or a whole picture, which is drawn on.
            interpolation: of OpenCV.

        Returns:
            uint8 (height, width[, 3]).
        """
        backdrop = border if isinstance(border, np.ndarray) else None
        if self.is_identity and page.shape[:2] == (self.height, self.width):
            return page.copy()
        page, shrink = self._reduced(page)
        colour = (0,) if backdrop is not None else ((border,) * 3 if np.isscalar(border) else tuple(border))
        how = dict(dst=backdrop, borderValue=colour,
                   borderMode=cv2.BORDER_CONSTANT if backdrop is None else cv2.BORDER_TRANSPARENT)
        if self.bends:
            return cv2.remap(page, self._map(shrink), None, interpolation, **how)
        half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
        back = np.linalg.inv(half) @ np.diag([*shrink, 1.0]) @ self._inverse @ half
        return cv2.warpPerspective(page, back, (self.width, self.height), flags=interpolation | cv2.WARP_INVERSE_MAP,
                                   **how)

    @cached_property
    def nodes(self) -> np.ndarray:
        """Page points under the nodes of a mesh of `MESH_PX` over the picture, (rows, columns, 2)."""
        return self.inverse(node_points(self.height, self.width, step_x=MESH_PX, step_y=MESH_PX))

    @cached_property
    def _packed(self) -> tuple[np.ndarray, np.ndarray]:
        """The bends for the compiled code: a row of seven numbers each, and all their heights in one array."""
        ends = np.cumsum([0, *(len(bend.heights) for bend in self.bends)])
        rows = [(*bend.along, bend.offset, *bend.shift, start, stop - start)
                for bend, start, stop in zip(self.bends, ends, ends[1:], strict=False)]
        return np.array(rows, np.float64), np.concatenate([np.asarray(bend.heights, np.float64)
                                                           for bend in self.bends])

    @cached_property
    def _inverse(self) -> np.ndarray:
        inverse = np.linalg.inv(self.matrix)
        inverse.setflags(write=False)
        return inverse

    def _reduced(self, page: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
        """Average the page over the pixels that fall into one of the picture's: page, factors of x and y."""
        step_x, step_y = self._density()
        x, y = (max(1, int(step + 0.5)) for step in (step_x, step_y))
        if x > 1 or y > 1:
            height, width = page.shape[:2]
            if height % y or width % x:
                page = cv2.copyMakeBorder(page, 0, -height % y, 0, -width % x, cv2.BORDER_REPLICATE)
            page = cv2.resize(page, (page.shape[1] // x, page.shape[0] // y), interpolation=cv2.INTER_AREA)
        sigma_x, sigma_y = (0.5 * max(0.0, (step / factor) ** 2 - 1.35) ** 0.5 + 1e-3
                            for step, factor in ((step_x, x), (step_y, y)))
        if max(sigma_x, sigma_y) > 0.01:
            page = cv2.GaussianBlur(page, (3, 3), sigma_x, sigmaY=sigma_y)
        return page, (1 / x, 1 / y)

    def _density(self) -> tuple[float, float]:
        """Page pixels, across and down, that one picture pixel spans at the picture's centre."""
        middle = np.array([self.width / 2, self.height / 2])
        here, right, below = _apply(self._inverse, middle + [[0, 0], [1, 0], [0, 1]])
        return tuple(np.maximum(np.abs(right - here), np.abs(below - here)).tolist())

    def _map(self, shrink: tuple[float, float]) -> np.ndarray:
        """Where each pixel of the picture comes from, as cv2.remap wants it: float32 (height, width, 2)."""
        step_x, step_y = self._mesh_steps()
        nodes = self.nodes if step_x == step_y == MESH_PX else self.inverse(
            node_points(self.height, self.width, step_x=step_x, step_y=step_y))
        mesh = (nodes * shrink - 0.5).astype(np.float32)
        full = cv2.resize(mesh, (mesh.shape[1] * step_x, mesh.shape[0] * step_y), interpolation=cv2.INTER_LINEAR)
        return full[step_y:step_y + self.height, step_x:step_x + self.width]


    def _mesh_steps(self) -> tuple[int, int]:
        """How far apart nodes may lie, across and down, for a map that is `MESH_ERROR_PX` right between them.

        A chord of length h strays from a curve by its second derivative times h^2 / 8.
        """
        bend_x = bend_y = 0.0
        px_x, px_y = self._density()
        for bend in self.bends:
            curve = np.abs(np.diff(bend.heights, 2)).max(initial=0.0) * np.hypot(*bend.shift) / max(px_x, px_y) / 8
            bend_x += curve * (bend.along[0] * px_x) ** 2
            bend_y += curve * (bend.along[1] * px_y) ** 2
        return tuple(next((step for step in (MESH_PX, 8, 4) if curve * step * step < MESH_ERROR_PX), 1)
                     for curve in (bend_x, bend_y))


def node_points(height: int, width: int, *, step_x: int, step_y: int) -> np.ndarray:
    """Return the points of a mesh whose cv2.resize by the steps, less one step each side, covers a picture.

    Returns:
        (rows, columns, 2) points (x, y); one node more than the picture needs on each side.
    """
    x = (np.arange(-1, -(-width // step_x) + 1) + 0.5) * step_x
    y = (np.arange(-1, -(-height // step_y) + 1) + 0.5) * step_y
    return np.stack(np.meshgrid(x, y), axis=-1)


def _apply(matrix: np.ndarray, xy: np.ndarray) -> np.ndarray:
    return _project(matrix, np.ascontiguousarray(xy).reshape(-1, 2)).reshape(xy.shape)


@jit
def _project(matrix, xy):
    result = np.empty_like(xy)
    for i in range(xy.shape[0]):
        x, y = xy[i, 0], xy[i, 1]
        scale = 1.0 / (matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2])
        result[i, 0] = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2]) * scale
        result[i, 1] = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2]) * scale
    return result


@jit
def _displacement(x, y, bends, heights):
    """e(q) at one point; NaN where a coordinate is."""
    right, down = 0.0, 0.0
    for k in range(bends.shape[0]):
        position = bends[k, 0] * x + bends[k, 1] * y + bends[k, 2]
        start, count = int(bends[k, 5]), int(bends[k, 6])
        if position != position:
            return position, position
        position = min(max(position, 0.0), count - 1.0)
        knot = min(int(position), count - 2)
        low, high = heights[start + knot], heights[start + knot + 1]
        height = low + (position - knot) * (high - low)
        right += bends[k, 3] * height
        down += bends[k, 4] * height
    return right, down


@jit
def _slope(q, along_x, along_y, offset, heights):
    knots = math.hypot(along_x, along_y)
    slopes = np.zeros(q.shape[0])
    for i in range(q.shape[0]):
        position = along_x * q[i, 0] + along_y * q[i, 1] + offset
        if 0 <= position < heights.size - 1:
            slopes[i] = knots * (heights[int(position) + 1] - heights[int(position)])
    return slopes


@jit
def _bend(q, bends, heights):
    """Points q, (n, 2), to the page: q + e(q)."""
    page = np.empty_like(q)
    for i in range(q.shape[0]):
        right, down = _displacement(q[i, 0], q[i, 1], bends, heights)
        page[i, 0], page[i, 1] = q[i, 0] + right, q[i, 1] + down
    return page


@jit
def _unbend(page, bends, heights):
    """Solve q + e(q) = p for points p, (n, 2): each round shrinks the error by the bends' slope, a few per cent."""
    q = np.empty_like(page)
    for i in range(page.shape[0]):
        x, y = page[i, 0], page[i, 1]
        for _ in range(60):
            right, down = _displacement(x, y, bends, heights)
            off = abs(page[i, 0] - right - x) + abs(page[i, 1] - down - y)
            x, y = page[i, 0] - right, page[i, 1] - down
            if not off > 1e-6:
                break
        q[i, 0], q[i, 1] = x, y
    return q
