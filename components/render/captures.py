"""Pages as a scanner or a phone sees them, found again on the picture: what the model meets in use.

Each is printed in a style of its own, captured, and brought to the canonical page by the code that serving runs.
"""

import os
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import cv2
import numpy as np

from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.layout import fitted, layout
from ecg.paper.locate import NoGridError, to_canonical
from model.params import PageParams

DPI = 150.0
"""Of the printed page before its capture: 1650 x 1275 pixels on letter paper, as phones and scanners send them."""
BLANK = 255
"""What a page is filled with on which no ECG was found."""


@dataclass(frozen=True)
class _Job:
    signal: np.ndarray
    record: str
    sampling_rate: float
    capture: str
    page: PageParams
    seed: int


class CapturedPages:
    """Draws, captures and locates pages in as many processes as there are cores; a page depends on its record's name
    and the seed alone.

    Args:
        capture: the kind, and a layout after @ where it is not the page's own.
        page: the canonical page.
        sampling_rate: of the signals, Hz.
        seed: of styles and captures.
    """

    def __init__(self, capture: str, page: PageParams, sampling_rate: float, seed: int):
        self.capture, self.page, self.sampling_rate, self.seed = capture, page, sampling_rate, seed
        # Not forked: the parent's threads would not survive it.
        self._pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"),
                                         initializer=cv2.setNumThreads, initargs=(1,))

    def __enter__(self) -> "CapturedPages":
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(cancel_futures=True)

    def draw(self, signals_uv: np.ndarray, records: Iterable[str]) -> np.ndarray:
        """Return uint8 (B, height, width) for signals (B, 12, T) in µV."""
        jobs = [_Job(np.asarray(signal), record, self.sampling_rate, self.capture, self.page, self.seed)
                for signal, record in zip(signals_uv, records, strict=True)]
        return np.stack(list(self._pool.map(draw_captured, jobs, chunksize=8)))


def view(capture: str, page: PageParams) -> tuple[str, str]:
    """Return kind and layout of an entry of `render.captures`."""
    kind, _, arranged = capture.partition("@")
    return kind, arranged or page.layout


def draw_captured(job: _Job) -> np.ndarray:
    """Print, capture and locate one page: uint8 (height, width), `BLANK` where no ECG was found."""
    page = job.page
    kind, arranged = view(job.capture, page)
    options = PageOptions(layout=arranged, style="sampled", capture=kind, dpi=DPI, seed=job.seed)
    picture = draw_page(job.signal, sampling_rate=job.sampling_rate, options=options, record=job.record).rgb
    try:
        return to_canonical(picture, height=page.height, width=page.width, px_per_mm=page.px_per_mm,
                            page_layout=fitted(layout(arranged), height_mm=page.height / page.px_per_mm)).image
    except NoGridError:
        return np.full((page.height, page.width), BLANK, np.uint8)
