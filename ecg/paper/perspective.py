"""The perspective under which a flat page is seen, fitted to local gradients of its coordinates."""

from dataclasses import dataclass

import numpy as np

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
    for spread in np.repeat(spreads, 2):
        model = _gradients(terms, q)
        length = np.linalg.norm(model, axis=2, keepdims=True)
        missed = (gradients - model) / length
        away = np.linalg.norm(missed, axis=2) / spread
        trust = weights * np.clip(1 - away ** 2, 0, 1) ** 2
        step = _step(terms, units, q, missed, length, trust)
        terms = terms + step * units
    return Perspective(terms, middle)


def _step(terms: np.ndarray, units: np.ndarray, q: np.ndarray, missed: np.ndarray, length: np.ndarray,
          trust: np.ndarray) -> np.ndarray:
    """Return the Gauss-Newton step in the unknowns' units."""
    columns = (_derivatives(terms, q) * units / length[..., None]).reshape(-1, 6)
    root = np.repeat(np.sqrt(trust / max(trust.sum(), 1e-9)).ravel(), 2)
    jacobian = columns * root[:, None]
    normal = jacobian.T @ jacobian + 1e-9 * np.eye(6)
    side = jacobian.T @ (missed.ravel() * root)
    normal[4:, 4:] += _STIFFNESS ** 2 * np.eye(2)
    side[4:] -= _STIFFNESS ** 2 * terms[4:] / units[4:]
    return np.clip(np.linalg.solve(normal, side), -0.2, 0.2)


def _derivatives(terms: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return the derivatives of `_gradients` by the terms, (T, 2 axes, 2, 6)."""
    directions, vanishing = terms[:4].reshape(2, 2), terms[4:]
    scale = np.maximum(1 + q @ vanishing, 0.2)[:, None, None]
    unit = np.eye(2)
    # Of one axis by its own direction, [tile, component, term]; by the vanishing terms, the same per axis.
    own = unit / scale - vanishing[:, None] * q[:, None, :] / scale ** 2
    out = np.zeros((len(q), 2, 2, 6))
    out[:, 0, :, 0:2] = out[:, 1, :, 2:4] = own
    for axis in range(2):
        along = (q @ directions[axis])[:, None, None]
        out[:, axis, :, 4:] = (-directions[axis][:, None] * q[:, None, :] / scale ** 2 - along * unit / scale ** 2
                               + 2 * along * vanishing[:, None] * q[:, None, :] / scale ** 3)
    return out


def _median(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted median of each component, (2,)."""
    order = np.argsort(vectors, axis=0)
    share = np.cumsum(weights[order], axis=0)
    index = (share >= share[-1] / 2).argmax(axis=0)
    return vectors[order[index, [0, 1]], [0, 1]]
