"""A whole sheet as a cart prints it: landscape, pink grid, lead names, calibration pulses, header.

Ink and grid are kept as one plane of colour numbers: the upper two bits say what lies below (paper,
1 mm line, 5 mm line), the lower six how much ink covers it. That is all the colours a print has, and it
makes PNG files small and quick.
"""

from functools import lru_cache

import numpy as np

from ecg.leads import LEADS
from ecg.paper.glyphs import glyph
from ecg.paper.layout import MARGIN_MM, Layout
from ecg.paper.png import IndexedPage, write_png
from ecg.paper.raster import draw_glyph, draw_pulse, draw_trace

__all__ = ["IndexedPage", "draw_full_page", "draw_indexed_page", "write_png"]

SHEET_MM = (279.4, 215.9)
"""Width and height of letter paper, landscape."""
BORDER_MM = 5.0
HEADER_MM = 45.0
"""From the sheet's top to the traces' block."""
PEN_MM = 0.45
MINOR_MM, MAJOR_MM = 0.12, 0.25
DPI_RANGE = (30, 1200)

_PAPER, _MINOR, _MAJOR, _INK = (255, 252, 250), (250, 216, 214), (238, 160, 158), (24, 24, 32)
_LEVELS = 64


def draw_full_page(signal_uv: np.ndarray, *, sampling_rate: float, layout: Layout, dpi: float = 200,
                   header: str | None = None) -> np.ndarray:
    """Draw a record on a sheet: RGB, uint8, 1700 x 2200 pixels at 200 dpi.

    Args:
        signal_uv: (12, T) µV, any T; samples that are not finite leave gaps, what the layout has no room for is cut.
        sampling_rate: Hz.
        layout: the arrangement of the leads.
        dpi: pixels an inch.
        header: lines of text at the top; None: none.

    Raises:
        ValueError: a signal of another shape, a rate that is not positive, dpi out of range.
    """
    return draw_indexed_page(signal_uv, sampling_rate=sampling_rate, layout=layout, dpi=dpi, header=header).rgb()


def draw_indexed_page(signal_uv: np.ndarray, *, sampling_rate: float, layout: Layout, dpi: float = 200,
                      header: str | None = None) -> IndexedPage:
    """Draw like `draw_full_page`, as colour numbers and a palette: what `write_png` stores fastest."""
    signal = np.asarray(signal_uv)
    if signal.ndim != 2 or len(signal) != len(LEADS):
        raise ValueError(f"signal_uv: shape must be ({len(LEADS)}, T), not {signal.shape}")
    if not sampling_rate > 0:
        raise ValueError(f"sampling_rate: must be more than 0 Hz, not {sampling_rate}")
    if not DPI_RANGE[0] <= dpi <= DPI_RANGE[1]:
        raise ValueError(f"dpi: must lie in {DPI_RANGE[0]}-{DPI_RANGE[1]}, not {dpi}")
    paper = _paper(float(dpi), layout.width_mm)
    ink = paper.copy()
    _draw_traces(ink, signal.astype(np.float32), layout, sampling_rate, dpi / 25.4)
    _write_texts(ink, layout, dpi / 25.4, header)
    return IndexedPage(ink, _palette(), float(dpi))


def block_left(width_mm: float) -> float:
    """Where the traces begin on the sheet, in mm; the same point is a crossing of 5 mm lines."""
    return (SHEET_MM[0] - width_mm + MARGIN_MM) / 2


def _draw_traces(ink: np.ndarray, signal: np.ndarray, layout: Layout, sampling_rate: float, px_per_mm: float) -> None:
    full, radius = _LEVELS - 1, 0.5 * PEN_MM * px_per_mm
    placed = layout.place(left=block_left(layout.width_mm), top=HEADER_MM, sampling_rate=sampling_rate,
                          samples=signal.shape[1])
    for box in placed:
        baseline, left = box["baseline"] * px_per_mm, box["left"] * px_per_mm
        if box["starts_row"]:
            draw_pulse(ink, left - 4.75 * px_per_mm, baseline, px_per_mm, box["mm_per_mv"] * px_per_mm, radius, full,
                       _LEVELS)
        rows = baseline - signal[box["lead"], box["first"]:box["stop"]] * (box["mm_per_mv"] / 1000 * px_per_mm)
        draw_trace(ink, rows.astype(np.float32), box["x"] * px_per_mm, layout.mm_per_s / sampling_rate * px_per_mm,
                   radius, full, _LEVELS)
        _text(ink, str(LEADS[box["lead"]]), left + px_per_mm, baseline - 12 * px_per_mm, 3.0 * px_per_mm)


def _write_texts(ink: np.ndarray, layout: Layout, px_per_mm: float, header: str | None) -> None:
    left = BORDER_MM + 5
    for number, line in enumerate((header or "").splitlines()):
        _text(ink, line, left * px_per_mm, (BORDER_MM + 3 + 5.5 * number) * px_per_mm, 2.8 * px_per_mm)
    scale = f"{layout.mm_per_s:g} mm/s   {layout.mm_per_mv:g} mm/mV   {layout.name}"
    _text(ink, scale, left * px_per_mm, ink.shape[0] - (BORDER_MM + 8) * px_per_mm, 2.8 * px_per_mm)


def _text(ink: np.ndarray, text: str, left: float, top: float, capital_px: float) -> None:
    draw_glyph(ink, glyph(text, capital_px), round(top), round(left), _LEVELS - 1, _LEVELS)


@lru_cache(maxsize=8)
def _paper(dpi: float, width_mm: float) -> np.ndarray:
    """The empty sheet as colour numbers without ink, read-only; shared by all pages of a resolution."""
    px_per_mm = dpi / 25.4
    width, height = (round(side * px_per_mm) for side in SHEET_MM)
    sheet = np.zeros((height, width), np.uint8)
    columns = _lines(width, block_left(width_mm), SHEET_MM[0], px_per_mm)
    rows = _lines(height, HEADER_MM, SHEET_MM[1], px_per_mm)
    border = round(BORDER_MM * px_per_mm)
    inside = (slice(border, height - border), slice(border, width - border))
    sheet[inside] = np.maximum(rows[inside[0], None], columns[None, inside[1]]) * _LEVELS
    sheet.setflags(write=False)
    return sheet


def _lines(size: int, origin_mm: float, side_mm: float, px_per_mm: float) -> np.ndarray:
    """Which line lies on each pixel of an axis: 0 none, 1 of the 1 mm, 2 of the 5 mm grid."""
    kind = np.zeros(size, np.uint8)
    for every, value, line_mm in ((1, 1, MINOR_MM), (5, 2, MAJOR_MM)):
        thick = max(1, round(line_mm * px_per_mm))
        for k in range(-int(origin_mm) // every - 1, int(side_mm - origin_mm) // every + 2):
            first = round((origin_mm + k * every) * px_per_mm - thick / 2)
            kind[max(first, 0):max(first + thick, 0)] = value
    return kind


@lru_cache(maxsize=1)
def _palette() -> np.ndarray:
    below = np.array([_PAPER, _MINOR, _MAJOR, _MAJOR], float)
    share = np.arange(_LEVELS)[:, None] / (_LEVELS - 1)
    colours = below[:, None] + share[None] * (np.array(_INK, float) - below[:, None])
    return np.round(colours).astype(np.uint8).reshape(256, 3)
