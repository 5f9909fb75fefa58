"""From a record to a picture of its page, with labels, in one call."""

from dataclasses import dataclass, replace

import numpy as np

from ecg.paper.annotation import PageLabels
from ecg.paper.capture import CAPTURES, MAX_STRENGTH, Captured, capture
from ecg.paper.header import invent_header
from ecg.paper.layout import Layout, layout
from ecg.paper.png import IndexedPage
from ecg.paper.print_style import sample_layout, sheet_style
from ecg.paper.sheet import Sheet, draw_sheet

SAMPLED = "sampled"


@dataclass(frozen=True)
class PageOptions:
    """What a page is to look like. Whatever is sampled depends on `seed` and the record's name alone."""

    layout: str = "3x4+1R"
    """A name of `LAYOUTS`, or `sampled`, which samples speed and gain too."""
    rhythm: tuple[str, ...] | None = None
    """Leads of the rhythm strips; None: the layout's own."""
    sequential: bool = True
    mm_per_s: float = 25.0
    mm_per_mv: float = 10.0
    half_gain_v: bool = False
    style: str = "pink"
    """See `ecg.paper.print_style.sheet_style`."""
    capture: str = "clean"
    """One of `CAPTURES`, or `sampled`."""
    strength: float = 1.0
    marks: float = 0.0
    """How much is scribbled, stamped and spilt on the page, 0-1."""
    dpi: float = 200.0
    size: tuple[int, int] | None = None
    """Height and width of the picture in pixels; None: the page's own."""
    start: float = 0.0
    """Second of the record at which the page begins."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, most in (("strength", self.strength, MAX_STRENGTH), ("marks", self.marks, 1.0)):
            if not 0 <= value <= most:
                raise ValueError(f"{name}: must lie in 0-{most:g}, not {value:g}")


@dataclass(frozen=True)
class DrawnPage:
    """A picture of a page and what is known of it."""

    image: np.ndarray | IndexedPage
    """As `write_png` takes it: an indexed page while it is clean, RGB uint8 (H, W, 3) after a capture."""
    sheet: Sheet
    captured: Captured | None
    """None: clean."""

    @property
    def labels(self) -> PageLabels:
        """Where everything lies on the picture."""
        return self.sheet.labels.through(self.captured.transform) if self.captured else self.sheet.labels

    @property
    def rgb(self) -> np.ndarray:
        return self.image.rgb() if isinstance(self.image, IndexedPage) else self.image

    def masks(self) -> np.ndarray:
        """Which pixels of the picture each trace inks: bool (traces, H, W), ordered as `labels.traces`."""
        masks = self.sheet.labels.masks()
        if self.captured is None:
            return masks
        warped = [self.captured.transform.picture(np.where(mask, np.uint8(255), np.uint8(0)), border=0)
                  for mask in masks]
        return np.stack(warped) >= 128


def draw_page(signal_uv: np.ndarray, *, sampling_rate: float, options: PageOptions | None = None,
              record: str = "") -> DrawnPage:
    """Draw a record as a cart prints it and as a scanner or a phone sees it.

    Args:
        signal_uv: (12, T) µV; samples that are not finite leave gaps.
        sampling_rate: Hz.
        options: what the page is to look like.
        record: its name; with the seed it decides what is sampled.

    Raises:
        ValueError: an option that is not known or out of range; a signal of another shape.

    Example:
        >>> page = draw_page(np.zeros((12, 1000)), sampling_rate=100.0, options=PageOptions(capture="photo"))
        >>> page.labels.traces[0].points.shape
        (251, 2)
    """
    options = options or PageOptions()
    rng = np.random.default_rng([options.seed, *record.encode()])
    style = sheet_style(options.style, rng)
    sheet = draw_sheet(signal_uv, sampling_rate=sampling_rate, layout=_layout(options, rng), style=style,
                       dpi=options.dpi, header=invent_header(rng), start=options.start)
    kind = str(rng.choice(CAPTURES)) if options.capture == SAMPLED else options.capture
    if kind == "clean" and options.marks == 0 and options.size is None:
        return DrawnPage(sheet.page, sheet, None)
    captured = capture(sheet.page.rgb(), kind=kind, rng=rng, strength=options.strength, marks=options.marks,
                       px_per_mm=options.dpi / 25.4, size=options.size)
    return DrawnPage(captured.image, sheet, captured)


def _layout(options: PageOptions, rng: np.random.Generator) -> Layout:
    if options.layout == SAMPLED:
        drawn = sample_layout(rng)
        return drawn if options.sequential else replace(drawn, sequential=False)
    return layout(options.layout, rhythm=options.rhythm, sequential=options.sequential, mm_per_s=options.mm_per_s,
                  mm_per_mv=options.mm_per_mv, half_gain_v=options.half_gain_v)
