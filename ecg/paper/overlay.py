"""What was found, drawn on the picture, for people to look at."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

from ecg.paper.surface import map_points

if TYPE_CHECKING:
    from ecg.paper.locate import Located

_BLOCK, _ROWS, _CROSSINGS, _TEXT = (0, 150, 0), (0, 90, 255), (0, 170, 255), (0, 90, 0)
_SUBPIXELS = 4
"""Bits after the point in cv2's fixed-point coordinates."""


def overlay(image: np.ndarray, located: "Located") -> np.ndarray:
    """Draw the block, the 5 mm crossings, the baselines and the figures on a picture.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3), the one that was located.
        located: what `to_canonical` returned for it.

    Returns:
        uint8 RGB (H, W, 3).
    """
    out = np.repeat(image[..., None], 3, axis=2) if image.ndim == 2 else image.copy()
    back = np.linalg.inv(located.homography)
    width_mm, height_mm = map_points(located.homography, located.corners[2])
    thick = max(1, round(max(image.shape[:2]) / 1000))
    for x in np.arange(0, width_mm + 1, 5):
        for y in np.arange(0, height_mm + 1, 5):
            middle = np.array([x, y])
            for arm in (np.array([0.8, 0]), np.array([0, 0.8])):
                _line(out, map_points(back, np.stack([middle - arm, middle + arm])), _CROSSINGS, 1)
    for row in located.rows:
        _line(out, map_points(back, np.stack([np.linspace(0, width_mm, 20), np.full(20, row)], axis=1)), _ROWS, thick)
    _line(out, located.corners[[0, 1, 2, 3, 0]], _BLOCK, 2 * thick)
    x, y = located.px_per_mm_xy
    lines = (f"{located.px_per_mm_found:.3f} px/mm ({x:.3f} x {y:.3f})", f"turned {located.rotation_deg:.2f} deg",
             f"confidence {located.confidence:.2f} ({located.scale_from}), {len(located.rows)} rows", *located.warnings)
    for number, text in enumerate(lines):
        place = (8 * thick, round(18 * thick * (number + 1)))
        for colour, width in (((255, 255, 255), 3 * thick), (_TEXT, thick)):
            cv2.putText(out, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5 * thick, colour, width, cv2.LINE_AA)
    return out


def straight_crop(image: np.ndarray, located: "Located", *, px_per_mm: float, margin_mm: float = 8.0) -> np.ndarray:
    """Draw the block of traces straight, with the paper around it, for people to look at.

    Args:
        image: uint8, grey (H, W) or RGB (H, W, 3), the one that was located.
        located: what `to_canonical` returned for it.
        px_per_mm: of what is drawn.
        margin_mm: of the paper on each side; calibration pulses stand there.

    Returns:
        uint8, grey or RGB like `image`; white where the picture ends.
    """
    # A picture that is finer is scaled down first: the warp itself takes single pixels and would break thin lines.
    shrink = min(1.0, px_per_mm / located.px_per_mm_found)
    if shrink < 0.8:
        image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    else:
        shrink = 1.0
    width_mm, height_mm = map_points(located.homography, located.corners[2])
    # Ours: pixel centres at halves; cv2's: at whole numbers.
    to_ours = np.array([[1 / shrink, 0, 0.5 / shrink], [0, 1 / shrink, 0.5 / shrink], [0, 0, 1]])
    to_drawn = np.array([[px_per_mm, 0, margin_mm * px_per_mm - 0.5], [0, px_per_mm, margin_mm * px_per_mm - 0.5],
                         [0, 0, 1]])
    size = tuple(round((side + 2 * margin_mm) * px_per_mm) for side in (width_mm, height_mm))
    return cv2.warpPerspective(image, to_drawn @ located.homography @ to_ours, size, flags=cv2.INTER_LINEAR,
                               borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255))


def _line(out: np.ndarray, points: np.ndarray, colour: tuple[int, int, int], thick: int) -> None:
    # cv2's pixel centres lie at whole numbers, ours at halves.
    fixed = np.round((np.clip(points, -1e4, 1e5) - 0.5) * (1 << _SUBPIXELS)).astype(np.int32)
    cv2.polylines(out, [fixed], False, colour, thick, cv2.LINE_AA, _SUBPIXELS)
