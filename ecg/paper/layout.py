"""How a cart arranges leads on paper, as data: which lead, which seconds, where in millimetres."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ecg.leads import lead_index

MARGIN_MM = 5.0
"""Paper left of the traces, which holds the calibration pulse."""

PLACED = np.dtype([("lead", np.int64), ("first", np.int64), ("stop", np.int64), ("x", np.float64),
                   ("left", np.float64), ("baseline", np.float64), ("mm_per_mv", np.float64),
                   ("starts_row", np.bool_)])
"""A trace put on a page: its lead, its samples first..stop-1, and in mm of the page the x of its first
sample, its box's left edge and its baseline; its gain."""


@dataclass(frozen=True)
class TraceBox:
    """One trace's place. Millimetres from the block's top left corner; `baseline` is where 0 mV lies."""

    lead: int
    name: str
    row: int
    start: float
    """Second of the record at the box's left edge."""
    seconds: float
    left: float
    top: float
    width: float
    height: float

    @property
    def baseline(self) -> float:
        return self.top + self.height / 2


@dataclass(frozen=True)
class Layout:
    """A page's arrangement. Columns share the record's time when `sequential`, else each starts at 0 s."""

    name: str
    rows: tuple[tuple[str, ...], ...]
    """Lead names, row by row, left to right."""
    rhythm: tuple[str, ...] = ()
    """Leads drawn below over the whole width."""
    seconds: float = 10.0
    sequential: bool = True
    mm_per_s: float = 25.0
    mm_per_mv: float = 10.0
    row_mm: float = 30.0

    @property
    def width_mm(self) -> float:
        return self.seconds * self.mm_per_s

    @property
    def height_mm(self) -> float:
        return (len(self.rows) + len(self.rhythm)) * self.row_mm

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
            placed.append((box.lead, min(first, stop), stop, x, left + box.left, top + box.baseline, self.mm_per_mv,
                           box.left == 0))
        return np.array(placed, PLACED)

    def _box(self, name: str, row: int, column: int, columns: int) -> TraceBox:
        seconds = self.seconds / columns
        offset = column * seconds
        return TraceBox(lead=lead_index(name), name=name, row=row, start=offset if self.sequential else 0.0,
                        seconds=seconds, left=offset * self.mm_per_s, top=row * self.row_mm,
                        width=seconds * self.mm_per_s, height=self.row_mm)


def block_origin(layout: Layout, *, width_mm: float, height_mm: float) -> tuple[float, float]:
    """Return where the block begins on a canonical page, (left, top) in mm: centred, with room for the pulse."""
    return (width_mm - layout.width_mm - MARGIN_MM) / 2 + MARGIN_MM - 0.5, (height_mm - layout.height_mm) / 2


_BY_THREE = (("I", "aVR", "V1", "V4"), ("II", "aVL", "V2", "V5"), ("III", "aVF", "V3", "V6"))

LAYOUTS = {known.name: known for known in (
    Layout("3x4", _BY_THREE),
    Layout("3x4+1R", _BY_THREE, rhythm=("II",)),
)}


def layout(name: str) -> Layout:
    """Return a layout by its name.

    Raises:
        ValueError: no such layout; the message names those that exist.
    """
    try:
        return LAYOUTS[name]
    except KeyError:
        raise ValueError(f"page.layout: unknown layout {name!r}; known are {', '.join(LAYOUTS)}") from None
