"""Which side of a straightened page is up."""

import cv2
import numpy as np

from ecg.paper.strokes import STROKE_MM, Strokes

_CLEARLY, _PEAKED = 1.5, 1.2
_SMOOTH_MM = 2.0


def lies_on_its_side(strokes: Strokes) -> bool:
    """Return whether the traces stand. Two signs must agree, as tall beats and dark grids give one of them.

    Traces are connected ink longer than wide, and gather the ink of a page in few narrow bands along them.
    """
    widths, heights, long = strokes.widths[1:], strokes.heights[1:], STROKE_MM * strokes.scale
    lying = widths[(widths >= long) & (widths > 1.5 * heights)].sum()
    standing = heights[(heights >= long) & (heights > 1.5 * widths)].sum()
    if standing <= _CLEARLY * lying:
        return False
    across, along = (_peakedness(strokes.mask.sum(axis=axis), strokes.scale) for axis in (0, 1))
    return bool(across > _PEAKED * along)


def _peakedness(profile: np.ndarray, scale: float) -> float:
    """How unevenly ink is spread over the places of an axis that have any: 1 is evenly."""
    profile = cv2.GaussianBlur(profile.astype(np.float32)[None], (0, 0), _SMOOTH_MM * scale / 2)[0]
    places = np.flatnonzero(profile > 0)
    if not len(places):
        return 1.0
    profile = profile[places[0]:places[-1] + 1]
    return float((profile ** 2).mean() / profile.mean() ** 2)
