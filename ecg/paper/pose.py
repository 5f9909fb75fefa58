"""How a page lies before a scanner or a camera: turned, tilted, curled, folded, and how much is in view."""

import math

import numpy as np

from ecg.paper.draws import Draws
from ecg.paper.transform import Bend, Transform

MARGIN_MM = 3.0
"""A picture cuts at most this much of a page's edge, at strength 1."""
MARGIN_SHARE = 0.012
"""The same, as a share of the page's shorter side."""


def turned(height: int, width: int, degrees: float, *, tilt_x: float = 0.0, tilt_y: float = 0.0,
           distance: float = 2.0) -> np.ndarray:
    """Return the homography of a camera above the page's centre, which it maps to (0, 0) at scale 1.

    The tilts come first, then the turn in the picture's plane; the page's rows leave the centre at
    exactly `degrees`.

    Args:
        height: of the page in pixels.
        width: of the page in pixels.
        degrees: turn, clockwise in the picture.
        tilt_x: degrees about the horizontal axis.
        tilt_y: degrees about the vertical axis.
        distance: of the camera, in diagonals of the page.
    """
    turn, a, b = (math.radians(angle) for angle in (degrees, tilt_x, tilt_y))
    depth = distance * math.hypot(height, width)
    camera = np.array([[math.cos(b), math.sin(a) * math.sin(b), 0.0],
                       [0.0, math.cos(a), 0.0],
                       [-math.sin(b) / depth, math.sin(a) * math.cos(b) / depth, 1.0]])
    spin = np.array([[math.cos(turn), -math.sin(turn), 0.0], [math.sin(turn), math.cos(turn), 0.0], [0.0, 0.0, 1.0]])
    centre = np.array([[1.0, 0.0, -width / 2], [0.0, 1.0, -height / 2], [0.0, 0.0, 1.0]])
    return spin @ camera @ centre


def outline(height: int, width: int, *, per_side: int = 6) -> np.ndarray:
    """Return points along a page's edge, (4 per_side, 2)."""
    share = np.arange(per_side) / per_side
    along, zero = share, np.zeros(per_side)
    x = np.concatenate([along, zero + 1, 1 - along, zero]) * width
    y = np.concatenate([zero, along, zero + 1, 1 - along]) * height
    return np.stack([x, y], axis=-1)


def fitted(matrix: np.ndarray, page: tuple[int, int], size: tuple[int, int], *, bends: tuple[Bend, ...] = (),
           insets: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
           place: tuple[float, float] = (0.5, 0.5)) -> Transform:
    """Scale and move a pose so that the page fills the picture.

    Args:
        matrix: the pose, at any scale.
        page: (height, width).
        size: (height, width) of the picture.
        bends: of the paper.
        insets: left, top, right, bottom: page pixels to leave out; negative shows what lies beyond.
        place: where the slack of the looser side goes, as shares before the page, x and y.
    """
    edge = Transform(matrix, *size, bends).points(outline(*page))
    low, high = edge.min(axis=0) + insets[:2], edge.max(axis=0) - insets[2:]
    scale = min(size[1] / (high[0] - low[0]), size[0] / (high[1] - low[1]))
    slack = np.array([size[1], size[0]]) - scale * (high - low)
    move = slack * place - scale * low
    return Transform(np.array([[scale, 0, move[0]], [0, scale, move[1]], [0, 0, 1]]) @ matrix, *size, bends)


def flat_fit(page: tuple[int, int], size: tuple[int, int]) -> Transform:
    """Return the transform that shows the whole page, straight and centred."""
    if page == size:
        return Transform.identity(*size)
    scale = min(size[0] / page[0], size[1] / page[1])
    x, y = (size[1] - scale * page[1]) / 2, (size[0] - scale * page[0]) / 2
    return Transform(np.array([[scale, 0, x], [0, scale, y], [0, 0, 1]]), *size)


def draw_insets(draws: Draws, page: tuple[int, int], px_per_mm: float, *, shown_mm: float) -> tuple:
    """Draw how much of each edge is cut, and how much is seen beyond it: left, top, right, bottom, page pixels."""
    cut_mm = min(MARGIN_MM, MARGIN_SHARE * min(page) / px_per_mm)
    return tuple(px_per_mm * draws.up_to(f"cut_{side}_mm", cut_mm, least=-shown_mm)
                 for side in ("left", "top", "right", "bottom"))


def draw_curl(draws: Draws, page: tuple[int, int], number: int) -> Bend:
    """Draw a gentle wave across the page, as of paper that was rolled or lies on something."""
    diagonal = math.hypot(*page)
    angle = draws.between(f"curl_{number}_angle", 0.0, 2 * math.pi)
    wavelength = draws.between(f"curl_{number}_wavelength", 0.9, 2.4) * diagonal
    phase = draws.between(f"curl_{number}_phase", 0.0, 2 * math.pi)
    height = draws.up_to(f"curl_{number}_height", 0.011, power=1.5) * diagonal
    aside = angle + draws.between(f"curl_{number}_shift_angle", 0.25, 0.75) * math.pi
    knots = 33
    step = diagonal / (knots - 1)
    position = (np.arange(knots) - knots // 2) * step
    along = (math.cos(angle) / step, math.sin(angle) / step)
    return Bend(along, knots // 2 - (along[0] * page[1] + along[1] * page[0]) / 2,
                (height * math.cos(aside), height * math.sin(aside)),
                np.sin(position * (2 * math.pi / wavelength) + phase) - math.sin(phase))


def draw_fold(draws: Draws, page: tuple[int, int], px_per_mm: float, number: int) -> Bend:
    """Draw a crease, most often near a half or a third of the page, that stands up a little."""
    upright = draws.rng.random() < 0.6
    draws.keep(f"fold_{number}_upright", bool(upright))
    at = (1 / 3, 1 / 2, 2 / 3)[draws.integer(f"fold_{number}_third", 3)] + draws.between(
        f"fold_{number}_off", -0.08, 0.08)
    angle = math.radians(draws.between(f"fold_{number}_degrees", -4.0, 4.0) + (0.0 if upright else 90.0))
    reach = draws.between(f"fold_{number}_reach_mm", 8.0, 25.0) * px_per_mm
    height = draws.symmetric(f"fold_{number}_height_mm", 0.9) * px_per_mm
    step = 1.5 * px_per_mm
    along = (math.cos(angle) / step, math.sin(angle) / step)
    knots = 2 * math.ceil(4 * reach / step) + 1
    position = (np.arange(knots) - knots // 2) * step
    soft = 3.0 * px_per_mm
    crease = np.exp(-(np.sqrt(position * position + soft * soft) - soft) / reach)
    x, y = (at * page[1], page[0] / 2) if upright else (page[1] / 2, at * page[0])
    return Bend(along, knots // 2 - along[0] * x - along[1] * y,
                (height * math.cos(angle), height * math.sin(angle)), crease)
