"""gallery: pictures of every layout, style and capture, and the page of the docs that shows them."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from components.progress import track
from ecg.paper.capture import CAPTURES
from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.layout import LAYOUTS
from ecg.paper.picture_files import write_picture
from ecg.paper.print_style import STYLES
from ecg.records import write_beside
from ecg.sources.simulated import plan, simulate

RATE = 100.0
MICROVOLTS_A_STEP = 5
WIDTH, QUALITY = 760, 80
"""Pixels across a picture of the gallery, and its JPEG quality."""
_BASE = PageOptions(dpi=150)


@dataclass(frozen=True)
class GalleryResult:
    """How many pictures were drawn."""

    pictures: int


def run(*, out: Path, seed: int) -> GalleryResult:
    """Draw the gallery: a picture a choice, and README.md that shows them under headings.

    Raises:
        ValueError: `out` holds something that this verb did not write.
    """
    wanted = [(heading, name, options) for heading, named in _chapters(seed).items()
              for name, options in named.items()]
    signal = simulate(plan(records=1, seed=seed)[0], seed=seed) * np.int16(MICROVOLTS_A_STEP)
    with write_beside(out) as scratch:
        lines = ["# Gallery", "", f"Made by `vizecg gallery --seed {seed}` from one simulated record."]
        for number, (heading, name, options) in enumerate(track(wanted, label="gallery")):
            if f"## {heading}" not in lines:
                lines += ["", f"## {heading}"]
            file = f"{number:02d}-{name.replace('+', 'p')}.jpg"
            page = draw_page(signal, sampling_rate=RATE, options=options, record=name)
            write_picture(scratch / file, _smaller(page.rgb), dpi=72, quality=QUALITY)
            lines += ["", f"{name}: `{command(options)}`", "", f"![{name}]({file})"]
        (scratch / "README.md").write_text("\n".join(lines) + "\n")
    return GalleryResult(len(wanted))


def _chapters(seed: int) -> dict[str, dict[str, PageOptions]]:
    base = replace(_BASE, seed=seed)
    settings = {"50 mm/s": {"mm_per_s": 50.0}, "20 mm/mV": {"mm_per_mv": 20.0}, "half gain": {"half_gain_v": True},
                "synchronous": {"sequential": False}}
    return {
        "Layouts": {name: replace(base, layout=name) for name in LAYOUTS},
        "Settings": {name.replace("/", " per "): replace(base, **changes) for name, changes in settings.items()},
        "Styles": {name: replace(base, style=name) for name in STYLES},
        "Sampled": {f"sampled {k}": replace(base, layout="sampled", style="sampled", seed=seed + k) for k in range(4)},
        "Captures": {kind: replace(base, capture=kind) for kind in CAPTURES if kind != "clean"},
        "Marks": {"marks": replace(base, capture="scan", marks=1.0)}}


def command(options: PageOptions) -> str:
    """Return the command that draws such a page."""
    words = ["vizecg page RECORD -o OUT"]
    names = {"mm_per_s": "speed", "mm_per_mv": "gain"}
    for field in ("layout", "mm_per_s", "mm_per_mv", "style", "capture", "marks", "dpi", "seed"):
        if (value := getattr(options, field)) != getattr(PageOptions(), field):
            words.append(f"--{names.get(field, field)} {value:g}" if isinstance(value, float | int)
                         else f"--{names.get(field, field)} {value}")
    words += ["--half-gain-v"] * options.half_gain_v + ["--synchronous"] * (not options.sequential)
    return " ".join(words)


def _smaller(image: np.ndarray) -> np.ndarray:
    height = round(image.shape[0] * WIDTH / image.shape[1])
    return cv2.resize(image, (WIDTH, height), interpolation=cv2.INTER_AREA)
