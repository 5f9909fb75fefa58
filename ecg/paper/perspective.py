"""The perspective under which a flat page is seen, fitted to local gradients of its coordinates."""

from dataclasses import dataclass

import numpy as np

from ecg.paper.raster import jit

_SPREADS = (0.10, 0.05, 0.03, 0.02, 0.012)
"""Relative misfit beyond which a measurement counts for nothing, narrower every other round."""
_STIFFNESS = 0.002
"""Pulls the vanishing terms to 0 where the measurements leave them open."""


@dataclass(frozen=True)
class Perspective:
    """mm = (a q, b q) / (1 + g q), q = pixel - middle."""

    terms: np.ndarray
    """(6,) float64: a x, a y, b x, b y in mm/px, g x, g y in 1/px."""
    middle: np.ndarray
    """(2,) x, y in pixels."""

    def homography(self) -> np.ndarray:
        """Return (3, 3): pixel -> mm, the middle at (0, 0)."""
        ax, ay, bx, by, gx, gy = self.terms
        shift = np.array([[1, 0, -self.middle[0]], [0, 1, -self.middle[1]], [0, 0, 1]])
        return np.array([[ax, ay, 0], [bx, by, 0], [gx, gy, 1]]) @ shift

    def gradients(self, points: np.ndarray) -> np.ndarray:
        """Return (T, 2, 2) for points (T, 2): for mm x and mm y the derivatives by pixel x and y."""
        return _gradients(self.terms, points - self.middle)


def _gradients(terms: np.ndarray, q: np.ndarray) -> np.ndarray:
    directions, vanishing = terms[:4].reshape(2, 2), terms[4:]
    scale = np.maximum(1 + q @ vanishing, 0.2)[:, None, None]
    along = (q @ directions.T)[:, :, None]
    return directions / scale - along * vanishing / scale ** 2


def fit_perspective(points: np.ndarray, gradients: np.ndarray, weights: np.ndarray, middle: np.ndarray,
                    *, start: Perspective | None = None, spreads: tuple[float, ...] = ()) -> Perspective:
    """Fit the perspective to gradients, most of which are right.

    Gauss-Newton with Tukey's weights.

    Args:
        points: (T, 2) pixels.
        gradients: (T, 2, 2) mm/px, as `Perspective.gradients` gives them.
        weights: (T, 2) of both axes.
        middle: (2,) the point at which the terms are stated.
        start: where to begin; without it, the weighted median of the gradients.
        spreads: relative misfits beyond which a measurement counts for nothing, round by round.
    """
    q = points - middle
    size = max(float(np.abs(q).max()), 1.0)
    if start is None:
        first = np.stack([_median(gradients[:, axis], weights[:, axis]) for axis in range(2)])
        terms = np.concatenate([first.ravel(), np.zeros(2)])
    else:
        terms = start.terms
    # Vanishing terms are stated over the picture's half: all unknowns are then about as large.
    units = np.array([np.hypot(*terms[:2])] * 2 + [np.hypot(*terms[2:4])] * 2 + [1 / size] * 2)
    spreads = spreads or (_SPREADS[:4] if start is None else _SPREADS[2:])
    return Perspective(_solve(terms, units, q, gradients, weights, np.repeat(spreads, 2)), middle)


@jit
def _solve(terms, units, q, gradients, weights, spreads):
    """Return the terms after one Gauss-Newton step for each spread, unknowns counted in `units`."""
    for spread in spreads:
        normal, side = _normal_equations(terms, units, q, gradients, weights, spread)
        for k in range(6):
            normal[k, k] += 1e-9
        for k in range(4, 6):
            normal[k, k] += _STIFFNESS ** 2
            side[k] -= _STIFFNESS ** 2 * terms[k] / units[k]
        terms = terms + np.minimum(np.maximum(np.linalg.solve(normal, side), -0.2), 0.2) * units
    return terms


@jit
def _normal_equations(terms, units, q, gradients, weights, spread):
    """Return the weighted normal matrix (6, 6) and the right side (6,)."""
    normal, side, total, row = np.zeros((6, 6)), np.zeros(6), 0.0, np.zeros(6)
    vanishing = terms[4:]
    for t in range(len(q)):
        scale = max(1 + q[t, 0] * vanishing[0] + q[t, 1] * vanishing[1], 0.2)
        for axis in range(2):
            direction = terms[2 * axis:2 * axis + 2]
            along = q[t, 0] * direction[0] + q[t, 1] * direction[1]
            x = direction[0] / scale - along * vanishing[0] / scale ** 2
            y = direction[1] / scale - along * vanishing[1] / scale ** 2
            length = np.hypot(x, y)
            missed = (gradients[t, axis, 0] - x) / length, (gradients[t, axis, 1] - y) / length
            away = (missed[0] ** 2 + missed[1] ** 2) / spread ** 2
            trust = weights[t, axis] * max(1 - away, 0.0) ** 2
            total += trust
            for c in range(2):
                row[:] = 0
                for k in range(2):
                    same = 1.0 if c == k else 0.0
                    row[2 * axis + k] = same / scale - vanishing[c] * q[t, k] / scale ** 2
                    row[4 + k] = (2 * along * vanishing[c] * q[t, k] / scale ** 3
                                  - (direction[c] * q[t, k] + along * same) / scale ** 2)
                for k in range(6):
                    row[k] *= units[k] / length
                    side[k] += trust * missed[c] * row[k]
                    for m in range(k + 1):
                        normal[k, m] += trust * row[k] * row[m]
    for k in range(6):
        normal[:k, k] = normal[k, :k]
    total = max(total, 1e-9)
    return normal / total, side / total


def _median(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted median of each component, (2,)."""
    order = np.argsort(vectors, axis=0)
    share = np.cumsum(weights[order], axis=0)
    index = (share >= share[-1] / 2).argmax(axis=0)
    return vectors[order[index, [0, 1]], [0, 1]]
