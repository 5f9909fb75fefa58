"""Where everything on a picture of a page lies, in pixels: the labels that a digitiser is trained and judged on.

Labels go through the same transform as the pixels, so they stay on the ink whatever is done to the page.
"""

from dataclasses import dataclass, replace

import numpy as np

from ecg.paper.raster import draw_trace
from ecg.paper.transform import Transform


@dataclass(frozen=True)
class TraceLabel:
    """One trace on a picture."""

    lead: str
    """As printed; -aVR is lead aVR upside down."""
    row: int
    start: float
    """Second of the record at the first point."""
    mm_per_mv: float
    points: np.ndarray
    """float64 (n, 2): column and row of every sample, NaN where nothing was recorded."""
    box: tuple[float, float, float, float] | None
    """Left, top, right, bottom of the ink; None: nothing was drawn."""
    name_box: tuple[float, float, float, float] | None
    """The same of the printed name; None: not printed."""


@dataclass(frozen=True)
class PageLabels:
    """What is known of a picture of a page."""

    height: int
    width: int
    px_per_mm: float
    """At the middle of the traces' block."""
    homography: np.ndarray
    """float64 (3, 3): millimetres from the sheet's top left corner to pixels of the picture, bends left out."""
    block_mm: tuple[float, float, float, float]
    """Left, top, right, bottom of the traces' block on the sheet."""
    pen_px: float
    mm_per_s: float
    mm_per_mv: float
    sampling_rate: float
    traces: tuple[TraceLabel, ...]

    def through(self, transform: Transform) -> "PageLabels":
        """Return the labels of the page's picture, given where the transform puts the page's pixels."""
        scale = _local_scale(transform, self._middle())
        traces = tuple(_moved(trace, transform, self.pen_px / 2 * scale) for trace in self.traces)
        return replace(self, height=transform.height, width=transform.width, px_per_mm=self.px_per_mm * scale,
                       homography=transform.matrix @ self.homography, pen_px=self.pen_px * scale, traces=traces)

    def masks(self) -> np.ndarray:
        """Return which pixels each trace inks on the flat page: bool (traces, height, width).

        Traces of a picture are no functions of x any more: draw the flat page's masks, then warp them.
        """
        masks = np.zeros((len(self.traces), self.height, self.width), np.uint8)
        for mask, trace in zip(masks, self.traces, strict=True):
            if len(trace.points):
                x = trace.points[:, 0]
                step = (x[-1] - x[0]) / (len(x) - 1) if len(x) > 1 else 1.0
                draw_trace(mask, trace.points[:, 1].astype(np.float32), x[0], step, self.pen_px / 2, 255, 0)
        return masks >= 128

    def as_json(self) -> dict:
        """Plain values for a JSON file: points rounded to a hundredth of a pixel, null where nothing was recorded."""
        return {"height": self.height, "width": self.width, "px_per_mm": round(self.px_per_mm, 5),
                "homography_mm_to_px": self.homography.tolist(), "block_mm": list(self.block_mm),
                "pen_px": round(self.pen_px, 3), "mm_per_s": self.mm_per_s, "mm_per_mv": self.mm_per_mv,
                "sampling_rate": self.sampling_rate, "traces": [_trace_json(trace) for trace in self.traces]}

    def _middle(self) -> np.ndarray:
        left, top, right, bottom = self.block_mm
        x, y, w = self.homography @ ((left + right) / 2, (top + bottom) / 2, 1.0)
        return np.array((x / w, y / w))


def ink_box(points: np.ndarray, reach: float) -> tuple[float, float, float, float] | None:
    """Return the box around a pen's path, (n, 2) with NaN for gaps: left, top, right, bottom; None: no ink."""
    seen = points[np.isfinite(points).all(axis=1)]
    if not len(seen):
        return None
    left, top = seen.min(axis=0) - reach
    right, bottom = seen.max(axis=0) + reach
    return float(left), float(top), float(right), float(bottom)


def _moved(trace: TraceLabel, transform: Transform, reach: float) -> TraceLabel:
    points = transform.points(trace.points) if len(trace.points) else trace.points
    name_box = trace.name_box and ink_box(transform.points(_outline(trace.name_box)), 0.0)
    # Perspective stretches the pen more at one end of the page than at the other.
    return replace(trace, points=points, box=ink_box(points, 1.3 * reach), name_box=name_box)


def _outline(box: tuple[float, float, float, float]) -> np.ndarray:
    """The corners of a box and the middles of its sides, (8, 2)."""
    left, top, right, bottom = box
    x, y = (left + right) / 2, (top + bottom) / 2
    return np.array([(left, top), (x, top), (right, top), (right, y), (right, bottom), (x, bottom), (left, bottom),
                     (left, y)])


def _local_scale(transform: Transform, middle: np.ndarray) -> float:
    """How much longer lengths about a point of the page become: the root of the area's change."""
    step = 2.0
    around = transform.points(middle + step * np.array([(-1, 0), (1, 0), (0, -1), (0, 1)]))
    across, down = (around[1] - around[0]) / (2 * step), (around[3] - around[2]) / (2 * step)
    return float(np.sqrt(abs(across[0] * down[1] - across[1] * down[0])))


def _trace_json(trace: TraceLabel) -> dict:
    points = [[round(x, 2), round(y, 2)] if np.isfinite(x + y) else None for x, y in trace.points.tolist()]
    return {"lead": trace.lead, "row": trace.row, "start": trace.start, "mm_per_mv": trace.mm_per_mv,
            "box": _rounded(trace.box), "name_box": _rounded(trace.name_box), "points": points}


def _rounded(box: tuple[float, ...] | None) -> list[float] | None:
    return box and [round(side, 2) for side in box]
