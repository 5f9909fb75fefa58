"""The ink of a straightened page as connected pieces: traces are wide, letters small, rules flat."""

from dataclasses import dataclass

import cv2
import numpy as np

from ecg.paper.straight import PAPER, level_at

STROKE_MM = 16.0
"""Connected ink at least this wide is a trace."""
_LETTER_MM, _TALLEST_MM = 5.0, 60.0
_THICK_MM = 1.3
_JOIN_MM = 0.4
_RULE_MM = 120.0
_INK_SHARES = (0.5, 0.3)
"""From the darkest ink to the paper: what is darker is ink; the second where the first takes in the grid."""
_LINE_SHARE, _LEAST_LINES = 0.3, 10
_DASH_MM, _ERASED_MM = 3.0, (3.0, 22.0)
_PALEST = 0.88
"""Over the paper: what is paler is no ink, even on an empty page."""


@dataclass(frozen=True)
class Strokes:
    """Dark pixels and the connected pieces that they form."""

    mask: np.ndarray
    """bool (H, W)."""
    labels: np.ndarray
    widths: np.ndarray
    heights: np.ndarray
    areas: np.ndarray
    middles: np.ndarray
    """Mean image row of each piece."""
    scale: float
    joined: bool = False
    """Whether pieces hold what lies side by side, because a dark grid was erased: shapes say little then."""

    def wide(self) -> np.ndarray:
        """The ink of pieces as wide as traces, ruled lines left out, bool (H, W)."""
        return self.pieces(self.are_wide())

    def are_wide(self) -> np.ndarray:
        """Which pieces may be traces, bool (pieces,)."""
        wide = (self.widths >= STROKE_MM * self.scale) & (self.widths > 0.7 * self.heights)
        if self.joined:
            return wide
        full = self.areas / np.maximum(self.widths * self.heights, 1)
        high = self.heights / self.scale
        rule = (self.widths > 120 * self.scale) & ((high < 1.6) | (high < 3.5) & (full > 0.5))
        # Letters that touch fill their line; a trace as low as a line of text is mostly paper.
        text = (high > 1.8) & (high < 5.5) & (full > 0.43)
        return wide & ~rule & ~text

    def along(self, rows: np.ndarray, reach: float, otherwise: np.ndarray) -> np.ndarray:
        """The ink of pieces wider than letters whose middle lies within `reach` of one of the rows."""
        if not len(rows):
            return otherwise
        away = np.abs(self.middles[:, None] - rows[None]).min(axis=1)
        fits = (self.widths >= _LETTER_MM * self.scale) & (self.heights < _TALLEST_MM * self.scale)
        return self.pieces(fits & (away <= reach)) | otherwise

    def pieces(self, keep: np.ndarray) -> np.ndarray:
        """The ink of chosen pieces, bool (H, W)."""
        keep = keep.astype(np.uint8)
        keep[0] = 0
        return (np.take(keep, self.labels) & self.mask.view(np.uint8)).view(bool)


def find_strokes(ink: np.ndarray, scale: float) -> Strokes:
    """Find the ink: darker than half way between the paper and the darkest hundredth.

    What is thicker than any pen, such as rules, column marks and the table under the page, is left out before.

    Args:
        ink: uint8 (H, W), paper at `PAPER`.
        scale: pixels per mm.
    """
    side = max(5, round(_THICK_MM * scale))
    core = cv2.compare(ink, min((PAPER + level_at(0.005, ink)) / 2, _PALEST * PAPER), cv2.CMP_LT)
    thick = cv2.morphologyEx(core, cv2.MORPH_OPEN, np.ones((side, side), np.uint8))
    thin = cv2.dilate(thick, np.ones((side, side), np.uint8)) == 0
    if not thin.any():
        thin, darkest = np.ones_like(thin), level_at(0.01, ink, None)
    else:
        darkest = level_at(0.01, ink, thin.astype(np.uint8))
    mask, erased = _traces(ink, thin, darkest, scale)
    reach = max(2, round(_JOIN_MM * scale)) + 1
    shape = tuple(round(side * scale) for side in _ERASED_MM) if erased else (reach, reach)
    joined = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones(shape, np.uint8))
    _, labels, stats, centres = cv2.connectedComponentsWithStats(joined, connectivity=8, ltype=cv2.CV_16U)
    return Strokes(mask, labels, stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT],
                   stats[:, cv2.CC_STAT_AREA], centres[:, 1], scale, erased)


def _traces(ink: np.ndarray, thin: np.ndarray, darkest: float, scale: float) -> tuple[np.ndarray, bool]:
    """Tell ink from paper and grid: the mask, and whether a grid as dark as the ink was erased from it."""
    for share in _INK_SHARES:
        mask = thin & (ink < min(darkest + share * (PAPER - darkest), _PALEST * PAPER))
        lines = [_line_places(mask.mean(axis=axis)) for axis in (0, 1)]
        if lines[0] is None and lines[1] is None:
            break
    if lines[0] is not None and lines[1] is not None:
        return _without_lines(mask, lines, scale), True
    if lines[0] is not None:
        # Uprights alone: a trace is whole again without them.
        upright = (mask & lines[0]).astype(np.uint8)
        crossed = cv2.morphologyEx(upright, cv2.MORPH_OPEN, np.ones((round(_DASH_MM * scale), 1), np.uint8)) > 0
        mask = mask & ~crossed
    # No heart draws a line as straight as a ruler for several seconds.
    ruled = _ruled(mask, round(_RULE_MM * scale))
    return (mask if ruled is None else mask & ~ruled), False


def _without_lines(mask: np.ndarray, lines: list[np.ndarray], scale: float) -> np.ndarray:
    """Erase a grid as dark as the ink, as black-and-white copies have it: many lines across most of the page.

    A trace loses its flat parts too: its beats are left, which is enough to find it by. The picture itself is left
    alone.
    """
    mask = mask & ~lines[0][None] & ~lines[1][:, None]
    for shape in ((1, round(_DASH_MM * scale)), (round(_DASH_MM * scale), 1)):
        left = mask.astype(np.uint8)
        # What the lines' slight bends left of them: dashes from crossing to crossing.
        dashes = cv2.morphologyEx(left, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) > 0
        if shape[0] == 1 or np.count_nonzero(dashes) > 0.5 * np.count_nonzero(left):
            mask &= ~dashes
    return mask


def _line_places(share: np.ndarray) -> np.ndarray | None:
    """Return which places of an axis dark lines cover, bool, given the share of ink at each; None without a grid."""
    dark = share > max(_LINE_SHARE, 2.5 * np.median(share))
    if np.count_nonzero(np.diff(dark, prepend=False) & dark) < _LEAST_LINES:
        return None
    return cv2.dilate(dark.astype(np.uint8)[None], np.ones((1, 3), np.uint8))[0] > 0


def _ruled(mask: np.ndarray, length: int) -> np.ndarray | None:
    """Return the ink of level lines at least so long and what touches them, bool (H, W); None without any."""
    full = cv2.boxFilter(mask.astype(np.uint8), cv2.CV_16U, (length, 1), normalize=False,
                         borderType=cv2.BORDER_CONSTANT) >= 0.96 * length
    if not full.any():
        return None
    spread = cv2.boxFilter(full.astype(np.uint8), cv2.CV_16U, (length + 2, 7), normalize=False,
                           borderType=cv2.BORDER_CONSTANT)
    return spread > 0
