"""From page files to answers: every kind of file, several pages in one, several files at once.

A file or a page that cannot be read gets its own error and leaves the others alone. The canonical pages of a batch
are in memory together; of the pictures, one for each thread that PyTorch may use.
"""

import base64
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from ecg.paper.files import open_pages
from ecg.paper.locate import Located, NoGridError, overlay
from ecg.paper.overlay import straight_crop
from ecg.paper.png import encode_png
from model.explain import explain
from model.explain import overlay as draw_why
from model.reading import PageReading
from model.refusal import PageRefusedError

SHOWN_PX_PER_MM = 4.0
"""Of the straightened page that people look at."""
SHOWN_WIDTH = 1200
"""Largest side of the picture with what was found on it."""


@dataclass(frozen=True)
class Request:
    """A file to read, whether pictures that explain the reading are wanted, and how its pages are arranged."""

    data: bytes
    explain: bool = False
    layout: str = ""
    """One of `ecg.paper.layout.LAYOUTS`; empty: the package's."""


@dataclass
class _Page:
    """One page on its way: what went wrong, or what was found, and the time that each stage took in ms."""

    reading: PageReading
    """Which expects the page's layout."""
    found: Located | Exception
    pictures: dict = field(default_factory=dict)
    timing: dict[str, float] = field(default_factory=dict)
    answer: dict = field(default_factory=dict)
    shown: tuple[np.ndarray, Located] | None = None
    """The picture, small, and where the page lies on it; kept where an explanation is wanted."""


@dataclass(frozen=True)
class FileReading:
    """Reads files with an opened package."""

    reading: PageReading

    @classmethod
    def open(cls, folder: Path | str) -> "FileReading":
        """Open a package folder; raises what `PageReading.open` raises."""
        return cls(PageReading.open(folder))

    def read(self, data: bytes, *, explain: bool = False, layout: str = "") -> dict:
        """Read one file; the arguments are those of a `Request`.

        Raises:
            ValueError: no page file, beyond the limits, no such layout, or no page in it shows an ECG; one line that
                says why.
        """
        answer, = self.read_batch([Request(data, explain, layout)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def read_batch(self, requests: list[Request]) -> list[dict | Exception]:
        """Read files together.

        Returns:
            For each file its answer (`serving/schema/answer.schema.json`): that of its page, or `{"pages": [...]}`
            where it has several; or the exception. A ValueError is about the file, any other about us.
        """
        files = self._opened(requests)
        found = [page for file in files if isinstance(file, list) for page in file if isinstance(page.found, Located)]
        answers, took = _timed(lambda: self.reading.read_located([page.found for page in found]))
        for page, answer in zip(found, answers, strict=True):
            page.answer = answer
            page.timing["model"] = took
            if page.shown:
                _explain(page)
        return [file if isinstance(file, Exception) else _of_file(file) for file in files]

    def _opened(self, requests: list[Request]) -> list[list[_Page] | Exception]:
        """Decode and locate several files beside each other: both let go of the interpreter's lock."""
        threads = min(len(requests), torch.get_num_threads())
        if threads < 2:
            return [self._open(request) for request in requests]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(self._open, requests))

    def _open(self, request: Request) -> list[_Page] | Exception:
        try:
            reading = self.reading.arranged(request.layout) if request.layout else self.reading
            decoders, took = _timed(lambda: open_pages(request.data))
            return [_page(reading, decode, request.explain, took / len(decoders)) for decode in decoders]
        except Exception as error:
            # Whatever one file does to us must not take the batch's other files down.
            return error


def error_answer(error: ValueError) -> dict:
    """Return what is said about what cannot be read: `no_ecg` where it is a picture of something else."""
    known = "no_ecg" if isinstance(error, NoGridError | PageRefusedError) else "unreadable"
    return {"error": str(error).removeprefix("image: "), "code": getattr(error, "code", known)}


def pages_of(answer: dict) -> list[dict]:
    """Return the answers of a file's pages, one or several."""
    return answer.get("pages", [answer])


def undecided(finding: dict) -> bool:
    """Whether a page does not decide about a finding: not one answer alone is plausible, or not the one reported."""
    return "plausible" in finding and finding["plausible"] != ["present" if finding["present"] else "absent"]


def _page(reading: PageReading, decode: Callable[[], np.ndarray], explain: bool, opening: float) -> _Page:
    page = _Page(reading, ValueError("not looked at"))
    try:
        image, took = _timed(decode)
        page.timing["decode"] = opening + took
        page.found, page.timing["locate"] = _timed(lambda: reading.locate(image))
        if explain:
            page.shown = _smaller(image, page.found)
            page.pictures["page_png"] = _png(straight_crop(image, page.found, px_per_mm=SHOWN_PX_PER_MM))
    except Exception as error:
        page.found = error
    return page


def _explain(page: _Page) -> None:
    """Add what people look at; where that fails, this page has failed and no other."""
    try:
        more, page.timing["explain"] = _timed(lambda: _pictures(page))
        page.pictures |= more
    except Exception as error:
        page.found = error


def _pictures(page: _Page) -> dict:
    """Draw what was found on the picture, and what on it spoke for the finding furthest above its threshold."""
    findings = page.answer["findings"]
    place = int(np.argmax([finding["probability"] - finding["threshold"] for finding in findings]))
    why = explain(page.reading.reader, page.found.image, place, findings[place]["label"], page.reading.page)
    image, found = page.shown
    return {"overlay_png": _png(overlay(image, found)),
            "why_png": _png(draw_why(image, why, found, page.reading.page)), "label": why.label,
            "leads": [{"lead": one.lead, "strip": one.strip, "share": round(one.share, 4)} for one in why.leads]}


def _of_file(pages: list[_Page]) -> dict | Exception:
    """Put a file's pages together; an exception where none of them could be read, or one met a fault of ours."""
    errors = [page.found for page in pages if isinstance(page.found, Exception)]
    if faults := [error for error in errors if not isinstance(error, ValueError)]:
        return faults[0]
    if len(errors) == len(pages):
        return errors[0]
    answers = [_of_page(page, number, len(pages)) for number, page in enumerate(pages, 1)]
    if len(answers) == 1:
        return answers[0]
    whole = next(answer for answer in answers if "error" not in answer)
    return {"pages": answers, "model": whole["model"], "version": whole["version"]}


def _of_page(page: _Page, number: int, of: int) -> dict:
    place = {"number": number, "of": of}
    if isinstance(page.found, Exception):
        return {**error_answer(page.found), "page": place}
    timing = {stage: round(took, 1) for stage, took in page.timing.items()}
    return {**page.answer, "page": {**place, "layout": page.reading.page.layout, **page.answer["page"]},
            "timing_ms": timing, **({"explain": page.pictures} if page.pictures else {})}


def _smaller(image: np.ndarray, found: Located) -> tuple[np.ndarray, Located]:
    """Scale a picture down to what is shown, and where things lie on it too; the figures stay those of the picture."""
    shrink = SHOWN_WIDTH / max(image.shape[:2])
    if shrink >= 1:
        return image, found
    small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    back = np.diag([1 / shrink, 1 / shrink, 1.0])
    return small, replace(found, homography=found.homography @ back, corners=found.corners * shrink,
                          box=tuple(side * shrink for side in found.box))


def _png(image: np.ndarray) -> str:
    return base64.b64encode(encode_png(image)).decode()


def _timed(work: Callable):
    """Do something; returns its result and the milliseconds that it took."""
    started = time.perf_counter()
    done = work()
    return done, (time.perf_counter() - started) * 1000
