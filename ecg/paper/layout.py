"""How a cart arranges leads on paper, as data: which lead, which seconds, where in millimetres."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ecg.leads import LEADS, lead_index

MARGIN_MM = 5.0
"""Paper left of the traces, which holds the calibration pulse."""
SHEET_SPAN_MM = 250.0
"""What a sheet holds from left to right: 10 s at 25 mm/s, 5 s at 50 mm/s."""
RECORD_S = 10.0
SPEEDS = (25.0, 50.0)
"""Paper speeds of electrocardiographs, mm/s (IEC 60601-2-25)."""
GAINS = (5.0, 10.0, 20.0)
"""Their gains, mm/mV."""

PLACED = np.dtype([("lead", np.int64), ("first", np.int64), ("stop", np.int64), ("x", np.float64),
                   ("left", np.float64), ("baseline", np.float64), ("mm_per_mv", np.float64),
                   ("starts_row", np.bool_)])
"""A trace put on a page: its lead, its samples first..stop-1, and in mm of the page the x of its first
sample, its box's left edge and its baseline. Its gain is negative where the lead is drawn upside down."""


@dataclass(frozen=True)
class TraceBox:
    """One trace's place. Millimetres from the block's top left corner; `baseline` is where 0 mV lies."""

    lead: int
    name: str
    """As printed: -aVR is lead aVR upside down."""
    row: int
    start: float
    """Second of the record at the box's left edge."""
    seconds: float
    left: float
    top: float
    width: float
    height: float
    mm_per_mv: float
    """Negative where the lead is drawn upside down."""

    @property
    def baseline(self) -> float:
        return self.top + self.height / 2


@dataclass(frozen=True)
class Layout:
    """A page's arrangement. Columns share the record's time when `sequential`, else each starts at 0 s."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    """Lead names, row by row, left to right; a minus sign turns a lead upside down."""
    rhythm: tuple[str, ...] = ()
    """Leads drawn below over the whole width."""
    seconds: float = RECORD_S
    """What the width of the page shows: the columns together, or a rhythm strip."""
    sequential: bool = True
    mm_per_s: float = 25.0
    mm_per_mv: float = 10.0
    row_mm: float = 30.0
    half_gain_v: bool = False
    """Whether the chest leads are drawn at half the gain, as carts do when they would overlap."""

    @property
    def width_mm(self) -> float:
        return self.seconds * self.mm_per_s

    @property
    def height_mm(self) -> float:
        return (len(self.rows) + len(self.rhythm)) * self.row_mm

    @property
    def name_rise_mm(self) -> float:
        """Top of a lead name above its trace's baseline."""
        return 0.4 * self.row_mm

    @property
    def gain_text(self) -> str:
        """The gain as a cart prints it, such as `10 mm/mV` or `10/5 mm/mV` where chest leads have half."""
        half = f"/{self.mm_per_mv / 2:g}" if self.half_gain_v else ""
        return f"{self.mm_per_mv:g}{half} mm/mV"

    @cached_property
    def traces(self) -> tuple[TraceBox, ...]:
        """Every trace of the page, top to bottom and left to right."""
        grid = [self._box(name, row, column, len(names))
                for row, names in enumerate(self.rows) for column, name in enumerate(names)]
        return tuple(grid + [self._box(name, len(self.rows) + i, 0, 1) for i, name in enumerate(self.rhythm)])

    def place(self, *, left: float, top: float, sampling_rate: float, samples: int) -> np.ndarray:
        """Put the traces of a signal on a page: shape (traces,), dtype `PLACED`.

        A trace ends on the sample at which its neighbour begins. A record that ends early leaves its
        later traces short or empty.

        Args:
            left: of the block on the page, in mm.
            top: the same.
            sampling_rate: Hz.
            samples: of the signal.
        """
        placed = []
        for box in self.traces:
            first = int(np.ceil(box.start * sampling_rate - 1e-6))
            stop = min(int(np.floor((box.start + box.seconds) * sampling_rate + 1e-6)) + 1, samples)
            x = left + box.left + (first / sampling_rate - box.start) * self.mm_per_s
            placed.append((box.lead, min(first, stop), stop, x, left + box.left, top + box.baseline,
                           box.mm_per_mv, box.left == 0))
        return np.array(placed, PLACED)

    def _box(self, name: str, row: int, column: int, columns: int) -> TraceBox:
        lead = lead_index(name.removeprefix("-"))
        gain = self.mm_per_mv * (0.5 if self.half_gain_v and name.startswith("V") else 1.0)
        seconds = self.seconds / columns
        offset = column * seconds
        return TraceBox(lead=lead, name=name, row=row, start=offset if self.sequential or columns == 1 else 0.0,
                        seconds=seconds, left=offset * self.mm_per_s, top=row * self.row_mm,
                        width=seconds * self.mm_per_s, height=self.row_mm,
                        mm_per_mv=-gain if name.startswith("-") else gain)


def fitted(arranged: Layout, *, height_mm: float) -> Layout:
    """Move a layout's rows together where the canonical page is not high enough for them."""
    rows = len(arranged.rows) + len(arranged.rhythm)
    return replace(arranged, row_mm=min(arranged.row_mm, height_mm / rows))


def block_origin(layout: Layout, *, width_mm: float, height_mm: float) -> tuple[float, float]:
    """Return where the block begins on a canonical page, (left, top) in mm: centred, with room for the pulse."""
    return (width_mm - layout.width_mm - MARGIN_MM) / 2 + MARGIN_MM - 0.5, (height_mm - layout.height_mm) / 2


_LIMB, _CHEST = ("I", "II", "III", "aVR", "aVL", "aVF"), ("V1", "V2", "V3", "V4", "V5", "V6")
_CABRERA = ("aVL", "I", "-aVR", "II", "aVF", "III")
"""The limb leads in the order of their axes, -30 to 120 degrees (Cabrera)."""
_BY_THREE = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))


def _pairs(limb: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(zip(limb, _CHEST, strict=True))


def _singles(limb: tuple[str, ...]) -> tuple[tuple[str], ...]:
    return tuple((lead,) for lead in limb + _CHEST)


LAYOUTS = {known.name: known for known in (
    Layout("3x4", _BY_THREE),
    Layout("3x4+1R", _BY_THREE, rhythm=("II",)),
    Layout("3x4+2R", _BY_THREE, rhythm=("V1", "II"), row_mm=27.5),
    Layout("3x4+3R", _BY_THREE, rhythm=("V1", "II", "V5"), row_mm=25),
    Layout("6x2", _pairs(_LIMB), row_mm=25),
    Layout("6x2+1R", _pairs(_LIMB), rhythm=("II",), row_mm=22.5),
    Layout("6x2-cabrera", _pairs(_CABRERA), row_mm=25),
    Layout("6x2+1R-cabrera", _pairs(_CABRERA), rhythm=("II",), row_mm=22.5),
    Layout("12x1", _singles(_LIMB), row_mm=13.5),
    Layout("12x1-cabrera", _singles(_CABRERA), row_mm=13.5),
)}
"""Rows x columns of the twelve leads, + the rhythm strips below them."""


def layout(name: str, *, rhythm: tuple[str, ...] | None = None, sequential: bool = True, mm_per_s: float = 25.0,
           mm_per_mv: float = 10.0, half_gain_v: bool = False, seconds: float | None = None) -> Layout:
    """Return a layout by its name, varied as a cart's settings vary it.

    Args:
        name: one of `LAYOUTS`.
        rhythm: the leads of the rhythm strips, as many as the layout has; None: the usual ones.
        sequential: whether each column shows the next seconds, or all of them the first.
        mm_per_s: paper speed, one of `SPEEDS`.
        mm_per_mv: gain, one of `GAINS`.
        half_gain_v: whether the chest leads have half of it.
        seconds: what the width shows; None: what a sheet holds at this speed, 10 s at most.

    Raises:
        ValueError: no such layout, speed, gain or lead, or another number of rhythm leads.

    Example:
        >>> layout("3x4+1R", rhythm=("V1",), mm_per_s=50).seconds
        5.0
    """
    if name not in LAYOUTS:
        raise ValueError(f"page.layout: unknown layout {name!r}; known are {', '.join(LAYOUTS)}")
    known = LAYOUTS[name]
    for field, value, allowed in (("speed", mm_per_s, SPEEDS), ("gain", mm_per_mv, GAINS)):
        if value not in allowed:
            raise ValueError(f"{field}: must be one of {', '.join(f'{a:g}' for a in allowed)}, not {value:g}")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds: must be more than 0, not {seconds:g}")
    return replace(known, rhythm=_rhythm(known, rhythm), sequential=sequential, mm_per_s=mm_per_s,
                   mm_per_mv=mm_per_mv, half_gain_v=half_gain_v,
                   seconds=seconds or min(RECORD_S, SHEET_SPAN_MM / mm_per_s))


def _rhythm(known: Layout, leads: tuple[str, ...] | None) -> tuple[str, ...]:
    if leads is None:
        return known.rhythm
    if len(leads) != len(known.rhythm):
        raise ValueError(f"rhythm: {known.name} has {len(known.rhythm)} rhythm strips, not {len(leads)}")
    return tuple(LEADS[lead_index(lead)] for lead in leads)
