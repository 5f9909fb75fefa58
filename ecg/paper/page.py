"""The canonical page: what the model reads, drawn from a signal in a fraction of a millisecond.

One affine map takes millimetres on paper to pixels, for traces, grid, pulse and letters alike; see
`Renderer.to_pixels`.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from ecg.leads import LEADS
from ecg.paper.glyphs import atlas
from ecg.paper.layout import Layout, block_origin
from ecg.paper.raster import add_noise, draw_glyph, draw_grid, draw_pulse, draw_trace, jit, line_profile
from ecg.paper.style import CLEAN, Style, sample_style, style_array
from ecg.paper.transform import Transform

__all__ = ["CLEAN", "Renderer", "Style", "sample_style"]

_FRAME = np.dtype([("px_per_mm", np.float64), ("x_mid", np.float64), ("y_mid", np.float64), ("x_zero", np.float64),
                   ("y_zero", np.float64), ("name_rise", np.float64), ("mm_per_sample", np.float64)])


class Renderer:
    """Draws pages of one layout, size and sampling rate.

    Args:
        layout: the arrangement of the leads.
        height: of the page in pixels.
        width: of the page in pixels.
        px_per_mm: resolution.
        sampling_rate: of the signals, in Hz.
        samples: of each signal.

    Raises:
        ValueError: a size or rate that is not positive.
    """

    def __init__(self, layout: Layout, *, height: int, width: int, px_per_mm: float, sampling_rate: float,
                 samples: int):
        for name, value in dict(height=height, width=width, px_per_mm=px_per_mm, sampling_rate=sampling_rate,
                                samples=samples).items():
            if not value > 0:
                raise ValueError(f"{name}: must be more than 0, not {value}")
        self.layout, self.height, self.width, self.px_per_mm = layout, height, width, px_per_mm
        self.sampling_rate, self.samples = sampling_rate, samples
        left, top = block_origin(layout, width_mm=width / px_per_mm, height_mm=height / px_per_mm)
        self._boxes = layout.place(left=left, top=top, sampling_rate=sampling_rate, samples=samples)
        self._names = tuple(box.name for box in layout.traces)
        self._frame = np.array((px_per_mm, width / px_per_mm / 2, height / px_per_mm / 2, left,
                                top + layout.row_mm / 2, layout.name_rise_mm, layout.mm_per_s / sampling_rate), _FRAME)

    def draw(self, signal_uv: np.ndarray, style: Style = CLEAN) -> np.ndarray:
        """Draw one record: (12, samples) µV, NaN where nothing was recorded, to uint8 (height, width)."""
        return self.draw_batch(np.asarray(signal_uv)[None], [style])[0]

    def draw_batch(self, signals_uv: np.ndarray, styles: Sequence[Style]) -> np.ndarray:
        """Draw records, each in its style.

        Args:
            signals_uv: (B, 12, samples), any real dtype, in µV; samples that are not finite leave gaps.
            styles: B of them.

        Returns:
            uint8 (B, height, width), grey: 255 is white paper.

        Raises:
            ValueError: a shape that is not this renderer's, or another number of styles.
        """
        signals = np.array(signals_uv, np.float32, order="C")
        if signals.ndim != 3 or signals.shape[1:] != (len(LEADS), self.samples):
            raise ValueError(f"signals_uv: shape must be (B, {len(LEADS)}, {self.samples}), not {signals.shape}")
        if len(styles) != len(signals):
            raise ValueError(f"styles: {len(styles)} of them for {len(signals)} signals")
        pages = np.empty((len(signals), self.height, self.width), np.uint8)
        for page, signal, style, packed in zip(pages, signals, styles, style_array(styles), strict=True):
            names = atlas(self._names, max(4, round(4 * style.name_mm * self.px_per_mm)))
            _draw_page(page, signal, self._boxes, self._frame, names, packed)
            _degrade(page, style, self.px_per_mm)
        return pages

    def to_pixels(self, x_mm: np.ndarray, y_mm: np.ndarray, style: Style = CLEAN) -> tuple[np.ndarray, np.ndarray]:
        """Map millimetres from the page's top left corner to pixels (column, row), as the style places them."""
        middle_x, middle_y = self.width / self.px_per_mm / 2, self.height / self.px_per_mm / 2
        return ((middle_x + style.zoom_x * (np.asarray(x_mm) - middle_x) + style.shift_x) * self.px_per_mm,
                (middle_y + style.zoom_y * (np.asarray(y_mm) - middle_y) + style.shift_y) * self.px_per_mm)

    def trace_points(self, signal_uv: np.ndarray, style: Style = CLEAN) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each trace's samples in pixels, (columns, rows), in the order of `layout.traces`."""
        points = []
        for box in self._boxes:
            values = np.asarray(signal_uv[box["lead"], box["first"]:box["stop"]], np.float64)
            x_mm = box["x"] + np.arange(len(values)) * float(self._frame["mm_per_sample"])
            points.append(self.to_pixels(x_mm, box["baseline"] - style.gain * box["mm_per_mv"] / 1000 * values, style))
        return points

    def begun_elsewhere(self, signal_uv: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return a signal whose page shows other seconds of the record: each column begins at any of its samples.

        A cart's page shows a quarter of most leads, always the same one; a model that trains on all of them
        sees four times as much. Leads of rhythm strips stay, as they are shown whole.

        Args:
            signal_uv: (12, samples); it is not changed.
            rng: decides where the columns begin.
        """
        moved = signal_uv.copy()
        kept = {box.lead for box in self.layout.traces[-len(self.layout.rhythm):]} if self.layout.rhythm else set()
        starts: dict[float, int] = {}
        for box in self._boxes[:len(self._boxes) - len(self.layout.rhythm)]:
            first, stop, lead = int(box["first"]), int(box["stop"]), int(box["lead"])
            if float(box["left"]) not in starts:
                starts[float(box["left"])] = int(rng.integers(self.samples - (stop - first) + 1))
            start = starts[float(box["left"])]
            if lead not in kept:
                moved[lead, first:stop] = signal_uv[lead, start:start + stop - first]
        return moved

    def shown(self, signal_uv: np.ndarray, style: Style = CLEAN, transform: Transform | None = None) -> np.ndarray:
        """Return what a perfect digitiser would read: float32 (12, width), the µV that each lead's trace shows in
        each column of pixels, by the grid and the pulse, so with the style's gain; NaN where the page does not show
        the lead.

        A lead with a rhythm strip has it wherever its own box does not reach.

        Args:
            signal_uv: (12, samples).
            style: of the page.
            transform: what happened to the page after it was drawn.
        """
        middles = np.arange(self.width) + 0.5
        out = np.full((len(LEADS), self.width), np.nan, np.float32)
        points = self.trace_points(signal_uv, style)
        # Rhythm strips, the last traces, come first, so that the lead's own box overwrites them.
        for box, (x, y) in reversed(list(zip(self._boxes, points, strict=True))):
            if len(x) < 2:
                continue
            if transform is not None:
                x = transform.points(np.stack([x, y], axis=1))[:, 0]
            values = style.gain * np.asarray(signal_uv[box["lead"], box["first"]:box["stop"]], np.float64)
            read = np.interp(middles, x, values, left=np.nan, right=np.nan)
            covered = np.isfinite(read)
            out[box["lead"], covered] = read[covered]
        return out


@jit
def _draw_page(page, signal, boxes, frame, names, style):
    """Draw grid, pulses, names and traces of one record, in this order."""
    scale = frame.px_per_mm
    x_step, y_step = style.zoom_x * scale, style.zoom_y * scale
    x_origin = (frame.x_mid * (1.0 - style.zoom_x) + style.shift_x) * scale
    y_origin = (frame.y_mid * (1.0 - style.zoom_y) + style.shift_y) * scale
    draw_grid(page, style.paper,
              _grid_axis(page.shape[1], x_origin + (frame.x_zero + style.grid_x) * x_step, x_step, style),
              _grid_axis(page.shape[0], y_origin + (frame.y_zero + style.grid_y) * y_step, y_step, style))
    radius = 0.5 * style.pen_mm * scale
    for i in range(boxes.size):
        box = boxes[i]
        x, y = x_origin + box.x * x_step, y_origin + box.baseline * y_step
        if style.pulse != 0.0 and box.starts_row:
            draw_pulse(page, x_origin + (box.left - 4.75) * x_step, y, x_step, abs(box.mm_per_mv) * y_step,
                       radius, style.ink)
        if style.names != 0.0:
            draw_glyph(page, names[i], round(y - frame.name_rise * y_step),
                       round(x_origin + (box.left + 1.0) * x_step), style.ink)
        up = style.gain * box.mm_per_mv / 1000.0 * y_step
        draw_trace(page, (y - up * signal[box.lead, box.first:box.stop]).astype(np.float32), x,
                   frame.mm_per_sample * x_step, radius, style.ink)


@jit
def _grid_axis(size, origin, step, style):
    """How much the 1 mm and 5 mm lines darken each pixel along one axis."""
    profile = np.zeros(size, np.float32)
    if style.minor > 0.0:
        profile += line_profile(size, origin, step, style.minor_mm * step, style.minor, 1, 5)
    if style.major > 0.0:
        profile += line_profile(size, origin, 5.0 * step, style.major_mm * step, style.major, 1, 0)
    return profile


_BANK = np.clip(np.round(np.random.default_rng(0).standard_normal(1 << 17) * 32), -127, 127).astype(np.int8)
"""Noise made once: drawing a normal number a pixel would take longer than the page."""


def _degrade(page: np.ndarray, style: Style, px_per_mm: float) -> None:
    """Blur, then noise, in place."""
    sigma = style.blur_mm * px_per_mm
    if sigma > 0.1:
        cv2.GaussianBlur(page, (0, 0), sigma, dst=page)
    if style.noise > 0:
        add_noise(page, _BANK, style.noise_seed % (len(_BANK) // 2), style.noise)
