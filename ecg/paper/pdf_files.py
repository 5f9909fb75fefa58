"""PDF files: each page drawn by a process of its own, with limits of memory and time."""

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ecg.paper.limits import MAX_PAGES, MAX_PIXELS, check_sizes

DPI = 200.0
"""Of a drawn page: 7.9 pixels a millimetre, twice what the finest canonical page has."""
PAGE_PIXELS = 10_000_000
"""A page that is larger at `DPI`, such as one that states a pixel as a point, is drawn smaller."""
MAX_MEMORY = 1_500_000_000
MAX_SECONDS = 20
"""Of the processor, for one page; by the clock it is three times as much."""
_CHILD = Path(__file__).with_name("pdf_child.py")


def open_pdf(data: bytes, name: str) -> list[Callable[[], np.ndarray]]:
    """Look at a PDF and draw its first page.

    Returns:
        One function a page that gives its RGB, uint8 (H, W, 3).

    Raises:
        ValueError: damaged, locked by a password, or beyond the limits.
    """
    count, first = _draw(data, name, 0)
    pages = [functools.partial(_page, data, name, page) for page in range(1, count)]
    return [lambda: first, *pages]


def _page(data: bytes, name: str, page: int) -> np.ndarray:
    return _draw(data, name, page)[1]


def _draw(data: bytes, name: str, page: int) -> tuple[int, np.ndarray]:
    """Return how many pages there are, and one of them."""
    command = [sys.executable, "-I", str(_CHILD), str(page), str(DPI), *map(str, (
        PAGE_PIXELS, MAX_PIXELS, MAX_PAGES, MAX_MEMORY, MAX_SECONDS))]
    too_much = f"{name}: this PDF cannot be drawn within {MAX_SECONDS} s and {MAX_MEMORY / 1e9:g} GB; save it as PNG"
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=3 * MAX_SECONDS)
    except subprocess.TimeoutExpired:
        raise ValueError(too_much) from None
    line, _, pixels = done.stdout.partition(b"\n")
    if done.returncode or not line:
        raise ValueError(too_much)
    head = json.loads(line)
    if "refused" in head:
        remedy = "remove the password" if "password" in head["refused"].lower() else "save it anew, or as PNG"
        raise ValueError(f"{name}: not a readable PDF ({head['refused']}); {remedy}")
    check_sizes(name, [(1, 1)] * min(head["pages"], MAX_PAGES + 1))
    for size in head["images"]:
        check_sizes(name, [tuple(size)])
    rows = np.frombuffer(pixels, np.uint8).reshape(head["height"], head["stride"])
    image = rows[:, :head["width"] * head["channels"]].reshape(head["height"], head["width"], head["channels"])
    return head["pages"], np.array(image if head["channels"] == 3 else np.repeat(image[..., :1], 3, axis=2))
