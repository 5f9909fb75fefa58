"""How a cart prints a page: paper, grid, pen, letters and marks; and how often each is met.

The distributions are declared below as data. They follow what prints of common carts look like, not counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from ecg.paper.glyphs import FONTS
from ecg.paper.layout import LAYOUTS, Layout, layout

SHEETS_MM = {"letter": (279.4, 215.9), "a4": (297.0, 210.0), "strip": None}
"""Width and height of the paper, landscape; a strip is cut to what is printed on it."""
GRIDS = {
    "pink": ((255, 252, 250), (238, 160, 158)), "red": ((255, 250, 248), (226, 96, 88)),
    "brown": ((253, 250, 244), (196, 150, 118)), "orange": ((255, 252, 246), (240, 170, 110)),
    "green": ((250, 254, 248), (132, 190, 150)), "blue": ((250, 252, 255), (146, 178, 222)),
    "grey": ((253, 253, 253), (172, 172, 172)), "none": ((253, 253, 252), (253, 253, 252)),
}
"""Colours (RGB) of the paper and of its 5 mm lines; 1 mm lines are paler."""
PENS = {"black": (22, 22, 28), "grey": (74, 74, 80), "blue": (28, 40, 112), "purple": (66, 34, 92)}
GRID_LINES = ("solid", "dotted", "dashed", "major")
"""`dotted`: 1 mm dots between solid 5 mm lines; `dashed`: broken 1 mm lines; `major`: 5 mm lines only."""
NAMES = ("above", "below", "beside", "none")
PULSES = ("left", "right", "none")
SEPARATORS = ("none", "ticks", "lines")
GRID_AREAS = ("sheet", "block")
FILTERS_HZ = {"none": None, "0.05-150 Hz": (0.05, 150.0), "0.05-40 Hz": (0.05, 40.0), "0.5-40 Hz": (0.5, 40.0),
              "0.5-25 Hz": (0.5, 25.0)}
DPI_RANGE = (30, 1200)


@dataclass(frozen=True)
class SheetStyle:
    """The look of a printed sheet. Lengths are millimetres.

    Raises:
        ValueError: a word that is not in the list of its field, or a length out of range.
    """

    sheet: str = "letter"
    grid: str = "pink"
    grid_lines: str = "solid"
    grid_area: str = "sheet"
    """Whether the grid covers the sheet up to its margin, or only the traces."""
    minor: float = 0.35
    """How dark the 1 mm lines are beside the 5 mm lines, 0-1."""
    minor_mm: float = 0.12
    major_mm: float = 0.25
    pen: str = "black"
    pen_mm: float = 0.45
    font: str = "sans"
    names: str = "above"
    name_mm: float = 3.0
    """Height of capitals in lead names."""
    pulse: str = "left"
    separators: str = "none"
    header: bool = True
    footer: bool = True
    margin_mm: float = 5.0
    """Bare paper around the grid."""
    offset_x: float = 0.0
    """How far the traces lie from the sheet's middle."""
    offset_y: float = 0.0
    filter: str = "none"
    """The cart's filter: what is drawn passes it, and the footer names it."""

    def __post_init__(self) -> None:
        words = {"sheet": SHEETS_MM, "grid": GRIDS, "grid_lines": GRID_LINES, "grid_area": GRID_AREAS, "pen": PENS,
                 "font": FONTS, "names": NAMES, "pulse": PULSES, "separators": SEPARATORS, "filter": FILTERS_HZ}
        for field, allowed in words.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"style.{field}: unknown {getattr(self, field)!r}; known are {', '.join(allowed)}")
        for field, (low, high) in _LENGTHS.items():
            if not low <= getattr(self, field) <= high:
                raise ValueError(f"style.{field}: must lie in {low:g}-{high:g}, not {getattr(self, field)}")


_LENGTHS = {"minor": (0, 1), "minor_mm": (0.02, 0.6), "major_mm": (0.02, 1.0), "pen_mm": (0.1, 2.0),
            "name_mm": (1, 10), "margin_mm": (0, 15), "offset_x": (-10, 10), "offset_y": (-10, 10)}

STYLES = {
    "pink": SheetStyle(),
    "red": SheetStyle(sheet="a4", grid="red", pen="blue", font="bold", pulse="right", separators="ticks"),
    "brown": SheetStyle(sheet="a4", grid="brown", minor=0.5, pen_mm=0.35, font="uni", filter="0.05-150 Hz"),
    "orange": SheetStyle(grid="orange", grid_lines="dashed", names="beside", filter="0.5-40 Hz"),
    "green": SheetStyle(sheet="a4", grid="green", pen="purple", font="italic", grid_area="block"),
    "blue": SheetStyle(grid="blue", grid_lines="major", font="light", separators="lines", names="below"),
    "grey": SheetStyle(sheet="a4", grid="grey", grid_lines="dotted", pen_mm=0.6, font="bold"),
    "plain": SheetStyle(grid="none", pen_mm=0.5, filter="0.05-40 Hz"),
    "strip": SheetStyle(sheet="strip", grid="red", pen="grey", header=False, margin_mm=2, name_mm=2.5),
}
"""Looks with a name; any other can be made or sampled."""


@dataclass(frozen=True)
class Choice:
    """One of some values, each with its weight."""

    weights: Mapping[object, float]

    def sample(self, rng: np.random.Generator) -> object:
        shares = np.fromiter(self.weights.values(), float)
        return list(self.weights)[rng.choice(len(shares), p=shares / shares.sum())]


@dataclass(frozen=True)
class Uniform:
    """Any value of a range."""

    low: float
    high: float

    def sample(self, rng: np.random.Generator) -> float:
        return round(float(rng.uniform(self.low, self.high)), 3)


STYLE_DISTRIBUTION: dict[str, Choice | Uniform] = {
    "sheet": Choice({"letter": 4, "a4": 5, "strip": 1}),
    "grid": Choice({"pink": 6, "red": 5, "brown": 2, "orange": 2, "green": 1.5, "blue": 1.5, "grey": 2, "none": 0.7}),
    "grid_lines": Choice({"solid": 8, "dotted": 2, "dashed": 1, "major": 0.7}),
    "grid_area": Choice({"sheet": 3, "block": 1}),
    "minor": Uniform(0.2, 0.7), "minor_mm": Uniform(0.08, 0.2), "major_mm": Uniform(0.18, 0.4),
    "pen": Choice({"black": 8, "grey": 2, "blue": 1, "purple": 0.5}), "pen_mm": Uniform(0.25, 0.8),
    "font": Choice(dict.fromkeys(FONTS, 1)),
    "names": Choice({"above": 7, "beside": 2, "below": 0.5, "none": 0.5}), "name_mm": Uniform(2.2, 4.0),
    "pulse": Choice({"left": 6, "right": 2, "none": 2}),
    "separators": Choice({"none": 4, "ticks": 2, "lines": 1}),
    "header": Choice({True: 4, False: 1}), "footer": Choice({True: 4, False: 1}),
    "margin_mm": Uniform(0, 10), "offset_x": Uniform(-4, 4), "offset_y": Uniform(-4, 4),
    "filter": Choice({"none": 4, "0.05-150 Hz": 3, "0.05-40 Hz": 1, "0.5-40 Hz": 2, "0.5-25 Hz": 0.5}),
}

LAYOUT_DISTRIBUTION: dict[str, Choice] = {
    "name": Choice({"3x4": 2, "3x4+1R": 8, "3x4+2R": 1, "3x4+3R": 1.5, "6x2": 2.5, "6x2+1R": 2, "6x2-cabrera": 0.5,
                    "6x2+1R-cabrera": 0.3, "12x1": 2, "12x1-cabrera": 0.3}),
    "sequential": Choice({True: 4, False: 1}),
    "mm_per_s": Choice({25.0: 9, 50.0: 1}),
    "mm_per_mv": Choice({10.0: 12, 5.0: 1, 20.0: 1}),
    "half_gain_v": Choice({False: 14, True: 1}),
}


def sample_sheet_style(rng: np.random.Generator) -> SheetStyle:
    """Draw a style from `STYLE_DISTRIBUTION`; the generator's state decides."""
    return SheetStyle(**{name: drawn.sample(rng) for name, drawn in STYLE_DISTRIBUTION.items()})


def sample_layout(rng: np.random.Generator, name: str | None = None) -> Layout:
    """Draw a layout from `LAYOUT_DISTRIBUTION`, rhythm leads included; `name` fixes which."""
    chosen = {field: drawn.sample(rng) for field, drawn in LAYOUT_DISTRIBUTION.items()}
    known = LAYOUTS[name or chosen["name"]]
    strips = tuple(str(lead) for lead in rng.choice(("II", "V1", "V5", "I"), len(known.rhythm), replace=False))
    return layout(known.name, **{field: value for field, value in chosen.items() if field != "name"},
                  rhythm=strips if rng.random() < 0.4 else None)


def sheet_style(text: str, rng: np.random.Generator) -> SheetStyle:
    """Read a style as the command line gives it: `sampled`, or a name of `STYLES`, then `,field=value` as often.

    Raises:
        ValueError: an unknown name, field or value.

    Example:
        >>> sheet_style("pink,pen_mm=0.3,pulse=none", np.random.default_rng()).pen_mm
        0.3
    """
    name, *changes = text.split(",")
    if name not in (*STYLES, "sampled"):
        raise ValueError(f"style: unknown {name!r}; known are sampled, {', '.join(STYLES)}")
    style = sample_sheet_style(rng) if name == "sampled" else STYLES[name]
    return replace(style, **dict(_change(change) for change in changes))


def _change(text: str) -> tuple[str, object]:
    kinds = {field.name: field.type for field in fields(SheetStyle)}
    name, _, value = text.partition("=")
    if name not in kinds:
        raise ValueError(f"style: unknown field {name!r}; known are {', '.join(kinds)}")
    if kinds[name] is bool:
        if value not in ("true", "false"):
            raise ValueError(f"style.{name}: must be true or false, not {value!r}")
        return name, value == "true"
    try:
        return name, kinds[name](value)
    except ValueError:
        raise ValueError(f"style.{name}: must be a number, not {value!r}") from None
