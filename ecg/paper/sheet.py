"""A whole sheet as a cart prints it, with the labels of everything on it.

The picture is one plane of colour numbers: value = 42 x how dark the grid is (0-5) + how much ink covers it
(0-41). Those are all the colours that a print has, and it makes PNG files small and quick. Ink in 42 levels
is at most 3 grey levels off.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from ecg.leads import LEADS
from ecg.paper.annotation import PageLabels, TraceLabel, ink_box
from ecg.paper.filters import cart_filter
from ecg.paper.glyphs import glyph
from ecg.paper.header import Header
from ecg.paper.layout import Layout, TraceBox
from ecg.paper.png import IndexedPage
from ecg.paper.print_style import DPI_RANGE, FILTERS_HZ, GRIDS, PENS, SHEETS_MM, STYLES, SheetStyle
from ecg.paper.raster import draw_glyph, draw_pulse, draw_trace, jit, line_profile

INK_LEVELS = 42
_GRID_SHARES = np.array((0.0, 0.1, 0.22, 0.4, 0.66, 1.0))
"""How dark each of the grid's levels is, beside the 5 mm lines."""
HEADER_MM, FOOTER_MM = 24.0, 10.0
TEXT_MM, LINE_MM = 2.6, 5.0
CRISP = 5.0
"""Pixels per mm from which grid lines are whole pixels."""
PULSE_MM = 5.5
"""From a row's beginning or end to the far side of its calibration pulse."""
_FAR_UV = 1e6
"""Beyond any page: clipped, so that nonsense cannot overflow."""


@dataclass(frozen=True)
class Sheet:
    """A printed page; `notes` says in sentences what the reader of the file should know, such as absent leads."""

    page: IndexedPage
    style: SheetStyle
    layout: Layout
    notes: tuple[str, ...]
    _signal: np.ndarray
    _sampling_rate: float
    _start: float

    @cached_property
    def labels(self) -> PageLabels:
        """Where everything lies, in pixels of the page."""
        frame = _Frame.of(self.layout, self.style, self.page.dpi)
        height, width = self.page.plane.shape
        pen = self.style.pen_mm * frame.scale
        placed = frame.place(self.layout, self._sampling_rate, self._signal.shape[1])
        traces = tuple(self._label(frame, box, place, pen) for box, place in
                       zip(self.layout.traces, placed, strict=True))
        block = (frame.left, frame.top, frame.left + self.layout.width_mm, frame.top + self.layout.height_mm)
        return PageLabels(height, width, frame.scale, np.diag((frame.scale, frame.scale, 1.0)), block, pen,
                          self.layout.mm_per_s, self.layout.mm_per_mv, self._sampling_rate, traces)

    def _label(self, frame: "_Frame", box: TraceBox, place: np.void, pen: float) -> TraceLabel:
        rows = frame.rows(place, self._signal)
        columns = (place["x"] + np.arange(len(rows)) * self.layout.mm_per_s / self._sampling_rate) * frame.scale
        points = np.stack([columns, rows], axis=1)
        points[~np.isfinite(rows)] = np.nan
        start = self._start + int(place["first"]) / self._sampling_rate
        return TraceLabel(box.name, box.row, round(start, 6), box.mm_per_mv, points, ink_box(points, pen / 2),
                          frame.name_box(box, self.layout, self.style))


def draw_sheet(signal_uv: np.ndarray, *, sampling_rate: float, layout: Layout, style: SheetStyle = STYLES["pink"],
               dpi: float = 200, header: Header | None = None, start: float = 0.0) -> Sheet:
    """Draw a record on a sheet; letter paper at 200 dpi has 1700 x 2200 pixels.

    Args:
        signal_uv: (12, T) µV, any T; samples that are not finite leave gaps, what the layout has no room for is cut.
        sampling_rate: Hz.
        layout: the arrangement of the leads.
        style: the look.
        dpi: pixels an inch.
        header: text at the top, where the style has one.
        start: second of the record at which the page begins.

    Raises:
        ValueError: a signal of another shape, a rate that is not positive, dpi or start out of range.

    Example:
        >>> sheet = draw_sheet(np.zeros((12, 1000)), sampling_rate=100.0, layout=layout("6x2"))
        >>> sheet.page.rgb().shape, sheet.labels.traces[0].lead
        ((1700, 2200, 3), 'I')
    """
    signal = _checked(signal_uv, sampling_rate, dpi, start)
    begin = round(start * sampling_rate)
    signal = signal[:, begin:begin + int(np.ceil(layout.seconds * sampling_rate)) + 1]
    signal, named = cart_filter(signal, sampling_rate=sampling_rate, band_hz=FILTERS_HZ[style.filter])
    signal = np.clip(np.where(np.isfinite(signal), signal, np.float32(np.nan)), -_FAR_UV, _FAR_UV)
    frame = _Frame.of(layout, style, float(dpi))
    plane = _paper(frame, style).copy()
    placed = frame.place(layout, sampling_rate, signal.shape[1])
    spans = _draw_traces(plane, signal, frame, layout, style, placed, sampling_rate)
    _write(plane, frame, layout, style, header or Header(()), named)
    return Sheet(IndexedPage(plane, _palette(style.grid, style.pen), float(dpi)), style, layout,
                 _notes(layout, placed, spans, len(plane)), signal, sampling_rate, begin / sampling_rate)


@dataclass(frozen=True)
class _Frame:
    """Where the traces' block lies on the sheet, in mm, and the resolution."""

    sheet_width: float
    sheet_height: float
    left: float
    top: float
    width: float
    height: float
    scale: float
    """Pixels per mm."""

    @classmethod
    def of(cls, layout: Layout, style: SheetStyle, dpi: float) -> "_Frame":
        head, foot = HEADER_MM * style.header, FOOTER_MM * style.footer
        size = SHEETS_MM[style.sheet]
        if size is None:
            edge = style.margin_mm + PULSE_MM + 2
            size = (layout.width_mm + 2 * edge, layout.height_mm + head + foot + 2 * style.margin_mm)
        width, height = max(size[0], layout.width_mm + 2 * PULSE_MM + 4), max(size[1], layout.height_mm)
        left = (width - layout.width_mm) / 2 + _within(style.offset_x, (width - layout.width_mm) / 2 - PULSE_MM - 1)
        spare = height - layout.height_mm
        head, foot = (part * min(1.0, spare / max(head + foot, 1.0)) for part in (head, foot))
        slack = (spare - head - foot) / 2
        return cls(width, height, left, head + slack + _within(style.offset_y, slack), layout.width_mm,
                   layout.height_mm, dpi / 25.4)

    def place(self, layout: Layout, sampling_rate: float, samples: int) -> np.ndarray:
        return _placed(layout, self.left, self.top, sampling_rate, samples)

    def rows(self, place: np.void, signal: np.ndarray) -> np.ndarray:
        """Page rows of a trace's samples, in pixels."""
        values = signal[place["lead"], place["first"]:place["stop"]]
        return (place["baseline"] - values * (place["mm_per_mv"] / 1000)) * self.scale

    def name_place(self, box: TraceBox, layout: Layout, style: SheetStyle) -> tuple[float, float]:
        """Top left corner of a trace's printed name, in mm."""
        middle = self.top + box.baseline
        rise = {"above": layout.name_rise_mm, "below": -0.25 * layout.row_mm, "beside": style.name_mm + 1.0,
                "none": 0.0}[style.names]
        return self.left + box.left + 1.0, middle - rise

    def name_box(self, box: TraceBox, layout: Layout, style: SheetStyle) -> tuple[float, float, float, float] | None:
        if style.names == "none":
            return None
        left, top = (round(side * self.scale) for side in self.name_place(box, layout, style))
        height, width = glyph(box.name, style.name_mm * self.scale, style.font).shape
        return float(left), float(top), float(left + width), float(top + height)


@lru_cache(maxsize=64)
def _placed(layout: Layout, left: float, top: float, sampling_rate: float, samples: int) -> np.ndarray:
    """`Layout.place`, kept: pages of one archive are mostly placed alike."""
    placed = layout.place(left=left, top=top, sampling_rate=sampling_rate, samples=samples)
    placed.setflags(write=False)
    return placed


def _within(value: float, reach: float) -> float:
    return float(np.clip(value, -max(reach, 0.0), max(reach, 0.0)))


def _checked(signal_uv: np.ndarray, sampling_rate: float, dpi: float, start: float) -> np.ndarray:
    signal = np.asarray(signal_uv, np.float32)
    if signal.ndim != 2 or len(signal) != len(LEADS):
        raise ValueError(f"signal_uv: shape must be ({len(LEADS)}, T), not {signal.shape}")
    if not sampling_rate > 0:
        raise ValueError(f"sampling_rate: must be more than 0 Hz, not {sampling_rate}")
    if not DPI_RANGE[0] <= dpi <= DPI_RANGE[1]:
        raise ValueError(f"dpi: must lie in {DPI_RANGE[0]}-{DPI_RANGE[1]}, not {dpi}")
    seconds = signal.shape[1] / sampling_rate
    if not 0 <= start < max(seconds, 1e-9):
        raise ValueError(f"start: must lie within the record's {seconds:g} s, not {start:g}")
    return signal


def _draw_traces(plane: np.ndarray, signal: np.ndarray, frame: _Frame, layout: Layout, style: SheetStyle,
                 placed: np.ndarray, sampling_rate: float) -> np.ndarray:
    """Draw traces, names, pulses and separators; returns what `_draw_all` says of the traces."""
    scale, radius = frame.scale, 0.5 * style.pen_mm * frame.scale
    spans = _draw_all(plane, signal, placed, scale, layout.mm_per_s / sampling_rate, radius)
    for box, place in zip(layout.traces, placed, strict=True):
        if style.names != "none":
            left, top = frame.name_place(box, layout, style)
            _text(plane, box.name, left * scale, top * scale, style.name_mm * scale, style.font)
        if box.left > 0:
            _separate(plane, place, frame, layout, style)
        elif style.pulse != "none":
            x = place["left"] - 4.75 if style.pulse == "left" else frame.left + layout.width_mm + 0.75
            draw_pulse(plane, x * scale, place["baseline"] * scale, scale, abs(place["mm_per_mv"]) * scale, radius, 0,
                       INK_LEVELS)
    return spans


@jit
def _draw_all(plane, signal, placed, scale, mm_per_sample, radius):
    """Draw every trace of a sheet.

    Returns:
        float64 (traces, 3): how many samples there are ink for, their least and their greatest row.
    """
    spans = np.empty((placed.size, 3))
    for i in range(placed.size):
        box = placed[i]
        rows = np.empty(box.stop - box.first, np.float32)
        known, least, greatest = 0, np.inf, -np.inf
        for k in range(rows.size):
            value = (box.baseline - signal[box.lead, box.first + k] * (box.mm_per_mv / 1000.0)) * scale
            rows[k] = value
            if np.isfinite(value):
                known, least, greatest = known + 1, min(least, value), max(greatest, value)
        draw_trace(plane, rows, box.x * scale, mm_per_sample * scale, radius, 0, INK_LEVELS)
        spans[i, 0], spans[i, 1], spans[i, 2] = known, least, greatest
    return spans


def _separate(plane: np.ndarray, place: np.void, frame: _Frame, layout: Layout, style: SheetStyle) -> None:
    """Mark where one column ends and the next begins: a short tick, or a line as high as the row."""
    half = {"none": 0.0, "ticks": 2.0, "lines": layout.row_mm / 2}[style.separators]
    if half:
        top, bottom = ((place["baseline"] + side * half) * frame.scale for side in (-1, 1))
        bar = np.full((max(1, round(bottom - top)), max(1, round(0.3 * frame.scale))), 255, np.uint8)
        draw_glyph(plane, bar, round(top), round(place["left"] * frame.scale), 0, INK_LEVELS)


def _write(plane: np.ndarray, frame: _Frame, layout: Layout, style: SheetStyle, header: Header, filtered: str) -> None:
    """Write the header's columns, and at the foot what was drawn: speed, gain, filter."""
    scale, left = frame.scale, max(style.margin_mm, 3) + 6
    across = (frame.sheet_width - 2 * left) / max(len(header.columns), 1)
    for number, lines in enumerate(header.columns if style.header else ()):
        for k, line in enumerate(lines):
            _text(plane, line, (left + number * across) * scale, (style.margin_mm + 2 + LINE_MM * k) * scale,
                  TEXT_MM * scale, style.font)
    if style.footer:
        drawn = f"{layout.mm_per_s:g} mm/s   {layout.gain_text}   {filtered}".rstrip()
        top = (frame.sheet_height - max(style.margin_mm, 2) - TEXT_MM - 1.5) * scale
        _text(plane, drawn, left * scale, top, TEXT_MM * scale, style.font)
        _text(plane, header.device, (frame.sheet_width - 75) * scale, top, TEXT_MM * scale, style.font)


def _text(plane: np.ndarray, text: str, left: float, top: float, capital_px: float, font: str) -> None:
    if text:
        draw_glyph(plane, glyph(text, capital_px, font), round(top), round(left), 0, INK_LEVELS)


def _notes(layout: Layout, placed: np.ndarray, spans: np.ndarray, height: int) -> tuple[str, ...]:
    """Say which leads are absent, have gaps, or leave the page."""
    absent, gaps, beyond = [], [], []
    lengths = placed["stop"] - placed["first"]
    for box, length, (known, least, greatest) in zip(layout.traces, lengths.tolist(), spans.tolist(), strict=True):
        if not known:
            absent.append(box.name)
        elif known < length:
            gaps.append(f"{box.name} ({1 - known / length:.0%})")
        if known and (least < 0 or greatest > height):
            beyond.append(box.name)
    said = (("not recorded, drawn as absent", absent), ("gaps", gaps), ("leaves the sheet, clipped there", beyond))
    return tuple(f"{what}: {', '.join(dict.fromkeys(names))}" for what, names in said if names)


@lru_cache(maxsize=8)
def _paper(frame: _Frame, style: SheetStyle) -> np.ndarray:
    """The empty sheet, read-only; shared by all pages of a look and resolution."""
    height, width = (round(side * frame.scale) for side in (frame.sheet_height, frame.sheet_width))
    (minor_x, major_x), (minor_y, major_y) = (_axis(size, origin, frame.scale, style) for size, origin in
                                              ((width, frame.left), (height, frame.top)))
    level = np.maximum(major_y[:, None], major_x[None])
    if style.grid_lines == "dotted":
        np.maximum(level, np.minimum(minor_y[:, None], minor_x[None]), out=level)
    elif style.grid_lines == "dashed":
        for lines, along in ((minor_y[:, None], _dashes(width, frame.left, frame.scale)[None]),
                             (minor_x[None], _dashes(height, frame.top, frame.scale)[:, None])):
            np.maximum(level, lines * along, out=level)
    elif style.grid_lines == "solid":
        np.maximum(level, np.maximum(minor_y[:, None], minor_x[None]), out=level)
    left, top, right, bottom = _grid_area(frame, style)
    sheet = np.zeros((height, width), np.uint8)
    sheet[top:bottom, left:right] = level[top:bottom, left:right] * INK_LEVELS
    sheet.setflags(write=False)
    return sheet


def _axis(size: int, origin_mm: float, scale: float, style: SheetStyle) -> tuple[np.ndarray, np.ndarray]:
    """The grid's level on each pixel of an axis: uint8 of the 1 mm lines, and of the 5 mm lines."""
    lines = ((1, 5, style.minor_mm), (5, 0, style.major_mm))
    if scale >= CRISP:
        shares = [_crisp(size, origin_mm * scale, every * scale, line * scale) for every, _, line in lines]
    else:
        # As dark as the share of a pixel that they cover: whole ones would beat against the pixels.
        profiles = (line_profile(size, origin_mm * scale, scale, line * scale, 1.0, every, skip)
                    for every, skip, line in lines)
        shares = [np.minimum(1.0, profile / max(profile.max(), 1e-6)) * min(1.0, 1.4 * line * scale)
                  for profile, (_, _, line) in zip(profiles, lines, strict=True)]
    edges = (_GRID_SHARES[1:] + _GRID_SHARES[:-1]) / 2
    return tuple(np.digitize(share * dark, edges).astype(np.uint8)
                 for share, dark in zip(shares, (style.minor, 1.0), strict=True))


def _crisp(size: int, origin: float, pitch: float, width: float) -> np.ndarray:
    """Which pixels of an axis lines ink that are whole pixels wide, as in a cart's own export: float (size,)."""
    shares, thick = np.zeros(size), max(1, round(width))
    first = np.round(origin + pitch * np.arange(-(origin // pitch) - 1, (size - origin) // pitch + 2) - thick / 2)
    for k in range(thick):
        places = (first + k).astype(int)
        shares[places[(places >= 0) & (places < size)]] = 1.0
    return shares


def _dashes(size: int, origin_mm: float, scale: float) -> np.ndarray:
    """Which pixels of an axis broken lines ink: 0.5 mm of each, uint8."""
    return (((np.arange(size) + 0.5) / scale - origin_mm + 0.25) % 1.0 < 0.5).astype(np.uint8)


def _grid_area(frame: _Frame, style: SheetStyle) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the gridded part, in whole pixels."""
    edge = style.margin_mm
    area = (edge, edge, frame.sheet_width - edge, frame.sheet_height - edge)
    if style.grid_area == "block":
        area = (max(0.0, frame.left - 7.5), max(0.0, frame.top - 2.5),
                min(frame.sheet_width, frame.left + frame.width + 7.5),
                min(frame.sheet_height, frame.top + frame.height + 2.5))
    return tuple(round(side * frame.scale) for side in area)


@lru_cache(maxsize=64)
def _palette(grid: str, pen: str) -> np.ndarray:
    """The colours by number: uint8 (256, 3)."""
    paper, major = (np.array(colour, float) for colour in GRIDS[grid])
    below = paper + _GRID_SHARES[:, None] * (major - paper)
    share = np.arange(INK_LEVELS)[:, None] / (INK_LEVELS - 1)
    colours = below[:, None] + share[None] * (np.array(PENS[pen], float) - below[:, None])
    palette = np.zeros((256, 3), np.uint8)
    palette[:len(_GRID_SHARES) * INK_LEVELS] = np.round(colours).reshape(-1, 3)
    return palette
