"""What varies from page to page: pen, grid, paper, print marks, placement and the noise of copying."""

from dataclasses import dataclass, fields
from operator import attrgetter

import numpy as np


@dataclass(frozen=True)
class Style:
    """One look of a page. Lengths are millimetres on paper, so a style means the same at every resolution."""

    pen_mm: float = 0.45
    ink: float = 20.0
    """Grey level of traces and letters, 0-255."""
    paper: float = 255.0
    """Grey level of the bare paper."""
    minor: float = 0.12
    """Darkness of the 1 mm lines, 0-1; 0: none."""
    major: float = 0.35
    """Darkness of the 5 mm lines."""
    minor_mm: float = 0.15
    major_mm: float = 0.25
    grid_x: float = 0.0
    """How far the grid lies from the traces' zero; preprinted paper is never in register."""
    grid_y: float = 0.0
    shift_x: float = 0.0
    """Displacement of the whole page, to the right."""
    shift_y: float = 0.0
    """The same, downwards."""
    zoom_x: float = 1.0
    """Stretch about the page's centre."""
    zoom_y: float = 1.0
    gain: float = 1.0
    """Factor on the traces alone; the calibration pulse keeps its height."""
    names: bool = True
    """Whether lead names are printed."""
    name_mm: float = 3.0
    """Height of their capitals."""
    pulse: bool = True
    """Whether each row begins with a calibration pulse of 1 mV."""
    blur_mm: float = 0.0
    """Standard deviation of the blur."""
    noise: float = 0.0
    """Standard deviation of the sensor's noise, in grey levels."""
    noise_seed: int = 0


CLEAN = Style()
"""A sharp print, in register."""

_NAMES = tuple(f.name for f in fields(Style))
_VALUES = attrgetter(*_NAMES)
STYLE_DTYPE = np.dtype([(name, np.float64) for name in _NAMES])


def style_array(styles: list[Style]) -> np.ndarray:
    """Pack styles for the compiled code: shape (B,), dtype `STYLE_DTYPE`."""
    return np.array([_VALUES(style) for style in styles], STYLE_DTYPE)


def sample_style(rng: np.random.Generator, strength: float = 1.0) -> Style:
    """Draw a style for training.

    Args:
        rng: its state decides the style.
        strength: how far styles stray from `CLEAN`; 0 gives `CLEAN`, 1 what prints and copies show.

    Raises:
        ValueError: `strength` is negative.
    """
    if strength < 0:
        raise ValueError(f"strength: must be 0 or more, not {strength}")
    if strength == 0:
        return CLEAN
    share = min(strength, 1.0)
    u = rng.random(20)

    def spread(k: int, clean: float, low: float, high: float) -> float:
        drawn = low + (high - low) * float(u[k])
        return clean + (drawn - clean) * share

    def symmetric(k: int, reach: float) -> float:
        return strength * reach * (2.0 * float(u[k]) - 1.0)

    grid = bool(u[0] > 0.12 * share)
    return Style(
        pen_mm=spread(1, CLEAN.pen_mm, 0.3, 0.8), ink=spread(2, CLEAN.ink, 0, 90),
        paper=spread(3, CLEAN.paper, 225, 255),
        minor=grid * spread(4, CLEAN.minor, 0, 0.4), major=grid * spread(5, CLEAN.major, 0.05, 0.6),
        minor_mm=spread(6, CLEAN.minor_mm, 0.1, 0.25), major_mm=spread(7, CLEAN.major_mm, 0.15, 0.4),
        grid_x=symmetric(8, 2.5), grid_y=symmetric(9, 2.5), shift_x=symmetric(10, 5), shift_y=symmetric(11, 5),
        zoom_x=1 + symmetric(12, 0.03), zoom_y=1 + symmetric(13, 0.03), gain=1 + symmetric(14, 0.1),
        names=bool(u[15] > 0.15 * share), name_mm=spread(16, CLEAN.name_mm, 2.2, 4), pulse=bool(u[17] > 0.3 * share),
        blur_mm=strength * max(0.0, float(u[18]) - 0.4) * 0.5, noise=strength * 8 * float(u[19]) ** 2,
        noise_seed=int(rng.integers(1 << 31)))
