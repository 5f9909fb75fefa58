"""Where each point of the paper lies in the picture: perspective, and on top a gentle bend.

A bend is a polynomial displacement of the page, u, in mm: a picture's point is first mapped by the homography
to m, and lies at m + u(m) on the flat page. Its derivatives are fitted to what the perspective leaves over of
the grid's local gradients.
"""

from dataclasses import dataclass

import numpy as np

_POWERS = tuple((i, d - i) for d in range(1, 5) for i in range(d, -1, -1))
"""Of x and y, by degree; constants do not bend."""
_FIRST_OF_DEGREE = {1: 0, 2: 2, 3: 5, 4: 9, 5: 14}
_TILES_FOR_DEGREE = ((12, 3), (20, 4))
_STRAIN, _NOISE = 0.04, 0.004
"""How much paper bends, as relative change of the pitch, and how exactly tiles tell."""
_SPREADS = (0.06, 0.04, 0.025, 0.025)


@dataclass(frozen=True)
class Surface:
    """Map between a picture's pixels and mm on the flat page."""

    homography: np.ndarray
    """(3, 3) float64: picture pixel -> mm, bends apart."""
    bend: np.ndarray | None = None
    """(2, terms): of the displacement of x and y in mm; None: flat."""
    size_mm: float = 1.0
    """Scale of the polynomials' argument."""

    def to_mm(self, pixels: np.ndarray) -> np.ndarray:
        """Map points of the picture, (..., 2), to the page."""
        plain = map_points(self.homography, pixels)
        return plain if self.bend is None else plain + self._shift(plain)

    def to_pixels(self, mm: np.ndarray) -> np.ndarray:
        """Map points of the page, (..., 2), to the picture."""
        plain = mm
        if self.bend is not None:
            for _ in range(5):
                plain = mm - self._shift(plain)
        return map_points(np.linalg.inv(self.homography), plain)

    def scale_around(self, pixel: np.ndarray, axes: np.ndarray, span_mm: float) -> tuple[float, float, float]:
        """Return pixels per mm along two axes and the turn of the first in degrees, means over some mm.

        Args:
            pixel: (2,) a point of the picture.
            axes: (2, 2) unit vectors on the page.
            span_mm: length over which they are taken.
        """
        reach = span_mm / 2 * np.asarray(axes)
        ends = self.to_pixels(self.to_mm(np.asarray(pixel, float)) + np.concatenate([reach, -reach]))
        along, across = (ends[0] - ends[2]) / span_mm, (ends[1] - ends[3]) / span_mm
        return float(np.hypot(*along)), float(np.hypot(*across)), float(np.rad2deg(np.arctan2(along[1], along[0])))

    def strain(self, pixels: np.ndarray) -> np.ndarray:
        """Return I + du/dm at points (T, 2) of the picture: (T, 2, 2), rows x and y of the page."""
        unit = np.broadcast_to(np.eye(2), (len(pixels), 2, 2))
        if self.bend is None:
            return unit
        return unit + np.einsum("tdk,ck->tcd", _slopes(map_points(self.homography, pixels) / self.size_mm), self.bend)

    def _shift(self, mm: np.ndarray) -> np.ndarray:
        # Beyond what was seen, polynomials run away.
        q = np.clip(mm / self.size_mm, -1.3, 1.3)
        return self.size_mm * np.stack([q[..., 0] ** i * q[..., 1] ** j for i, j in _POWERS], axis=-1) @ self.bend.T


def map_points(homography: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points, (..., 2), by a homography, (3, 3)."""
    mapped = np.concatenate([points, np.ones((*points.shape[:-1], 1))], axis=-1) @ homography.T
    # Beyond the horizon there is no page: such points are held far off.
    return mapped[..., :2] / np.maximum(mapped[..., 2:], 0.15 * abs(homography[2, 2]))


def local_scale(homography: np.ndarray, point: np.ndarray) -> tuple[float, float, float]:
    """Return pixels per mm along x and y and the turn of x in degrees at a point of the picture.

    Args:
        homography: (3, 3) picture pixel -> mm.
        point: (2,) x, y in pixels.
    """
    x, y, w = homography @ np.array([*point, 1.0])
    gradient = (homography[:2, :2] - np.outer([x / w, y / w], homography[2, :2])) / w
    along = np.linalg.pinv(gradient)
    turn = np.rad2deg(np.arctan2(along[1, 0], along[0, 0]))
    return float(np.hypot(*along[:, 0])), float(np.hypot(*along[:, 1])), float(turn)


def fit_bend(homography: np.ndarray, points: np.ndarray, left_over: np.ndarray, weights: np.ndarray) -> Surface:
    """Fit a bend to what the perspective leaves over.

    Ridge regression with Tukey's weights; each degree costs more.

    Args:
        homography: (3, 3) picture pixel -> mm, its origin amid the points.
        points: (T, 2) pixels.
        left_over: (T, 2, 2) measured gradients times the inverse of the homography's, less one: du/dm.
        weights: (T, 2) of both axes.
    """
    sure = int((weights.min(axis=1) > 0.1 * np.median(weights)).sum()) if weights.any() else 0
    degree = max((degree for tiles, degree in _TILES_FOR_DEGREE if sure >= tiles), default=0)
    mm = map_points(homography, points)
    size = float(max(np.abs(mm).max(), 1.0))
    if not degree:
        return Surface(homography)
    terms = _FIRST_OF_DEGREE[degree + 1]
    slopes = _slopes(mm / size)[:, :, :terms]
    stiffness = np.array([max(i + j, 1) ** 2 for i, j in _POWERS[:terms]]) * (_NOISE / _STRAIN) ** 2
    bend = np.zeros((2, len(_POWERS)))
    weights = weights / max(weights.max(), 1e-9)
    for spread in _SPREADS:
        for axis in range(2):
            missed = left_over[:, axis] - slopes @ bend[axis, :terms]
            trust = weights[:, axis] * np.clip(1 - (np.linalg.norm(missed, axis=1) / spread) ** 2, 0, 1) ** 2
            weighted = slopes * trust[:, None, None]
            normal = np.einsum("tdk,tdl->kl", weighted, slopes) + np.diag(stiffness)
            bend[axis, :terms] = np.linalg.solve(normal, np.einsum("tdk,td->k", weighted, left_over[:, axis]))
    return Surface(homography, bend, size)


def _slopes(q: np.ndarray) -> np.ndarray:
    """Return the derivatives of the terms by x and y at points (T, 2): (T, 2, terms)."""
    x, y = np.clip(q, -1.3, 1.3).T
    return np.stack([[i * x ** max(i - 1, 0) * y ** j, j * x ** i * y ** max(j - 1, 0)] for i, j in _POWERS],
                    axis=-1).transpose(1, 0, 2)
