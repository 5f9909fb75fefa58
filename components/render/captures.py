"""Pages as a scanner or a phone sees them, found again on the picture: what the model meets in use.

Each is printed in a style of its own, captured, and brought to the canonical page by the code that serving runs; the
pictures that a store brings are brought to it in the same way.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Self

import cv2
import numpy as np

from ecg.paper.draw import PageOptions, draw_page
from ecg.paper.files import read_image_bytes
from ecg.paper.layout import Layout, layout
from ecg.paper.locate import NoGridError, to_canonical
from ecg.pictures import Pictures
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


class Pages:
    """Makes pages in as many processes as there are cores."""

    def __init__(self) -> None:
        # Not forked: the parent's threads would not survive it.
        self._pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("forkserver"),
                                         initializer=cv2.setNumThreads, initargs=(1,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(cancel_futures=True)

    def make(self, function: Callable[..., np.ndarray], jobs: Iterable) -> np.ndarray:
        """Return uint8 (B, height, width): what a module's function makes of each job."""
        return np.stack(list(self._pool.map(function, jobs, chunksize=8)))


class CapturedPages(Pages):
    """Draws, captures and locates pages; a page depends on its record's name and the seed alone.

    Args:
        capture: the kind, and a layout after @ where it is not the page's own.
        page: the canonical page.
        sampling_rate: of the signals, Hz.
        seed: of styles and captures.
    """

    def __init__(self, capture: str, page: PageParams, sampling_rate: float, seed: int):
        self.capture, self.page, self.sampling_rate, self.seed = capture, page, sampling_rate, seed
        super().__init__()

    def draw(self, signals_uv: np.ndarray, records: Iterable[str]) -> np.ndarray:
        """Return uint8 (B, height, width) for signals (B, 12, T) in µV."""
        jobs = [_Job(np.asarray(signal), record, self.sampling_rate, self.capture, self.page, self.seed)
                for signal, record in zip(signals_uv, records, strict=True)]
        return self.make(draw_captured, jobs)


class OwnPages(Pages):
    """Locates the pictures of a record store.

    Args:
        capture: `own`, and a layout after @ where it is not the page's own.
        page: the canonical page.
        store: folder of the record store.

    Raises:
        ValueError: the store holds no pictures.
    """

    def __init__(self, capture: str, page: PageParams, store: Path):
        self.capture, self.page, self.store = capture, page, store
        _pictures(store)
        super().__init__()

    def draw(self, _: np.ndarray, records: Iterable[str]) -> np.ndarray:
        """Return uint8 (B, height, width) for records; their signals play no part."""
        return self.make(locate_own, [(self.store, record, self.capture, self.page) for record in records])


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
        return _locate(picture, layout(arranged), page)
    except NoGridError:
        return _blank(page)


def locate_own(job: tuple[Path, str, str, PageParams]) -> np.ndarray:
    """Locate a record's own page as serving does: uint8 (height, width), `BLANK` where no ECG was found."""
    store, record, capture, page = job
    picture = read_image_bytes(_pictures(store).read(record), record)
    try:
        return _locate(picture, layout(view(capture, page)[1]), page)
    except ValueError:  # no page to be seen, or a picture too small to hold one
        return _blank(page)


@lru_cache(maxsize=1)
def _pictures(store: Path) -> Pictures:
    return Pictures(store)


def _locate(picture: np.ndarray, expected: Layout, page: PageParams) -> np.ndarray:
    return to_canonical(picture, height=page.height, width=page.width, px_per_mm=page.px_per_mm,
                        page_layout=expected).image


def _blank(page: PageParams) -> np.ndarray:
    return np.full((page.height, page.width), BLANK, np.uint8)
