"""Where the canonical page shows which lead, and which second of the record."""

import numpy as np

from ecg.leads import LEADS
from ecg.paper.layout import RECORD_S, Layout, block_origin, fitted, layout
from model.params import PageParams


def arranged_on(page: PageParams) -> Layout:
    """Return the page's layout as it fits on the page."""
    return fitted(layout(page.layout), height_mm=page.height / page.px_per_mm)


def boxes(page: PageParams) -> list[tuple[float, float, float, float]]:
    """Return left, top, right, bottom of each trace on the canonical page, pixels, in the order of the layout."""
    placed = arranged_on(page)
    x, y = block_origin(placed, width_mm=page.width / page.px_per_mm, height_mm=page.height / page.px_per_mm)
    scale = page.px_per_mm
    return [((x + box.left) * scale, (y + box.top) * scale, (x + box.left + box.width) * scale,
             (y + box.top + box.height) * scale) for box in placed.traces]


def lead_map(page: PageParams, shape: tuple[int, int]) -> np.ndarray:
    """Say what each cell of a feature map of the page shows.

    Args:
        page: the canonical page.
        shape: rows and columns H, W of the map.

    Returns:
        float32 (24, H, W): the share of the cell that each lead covers, then the same times the second that it shows
        there, as a share of the record.
    """
    shares, seconds = np.zeros((2, len(LEADS), *shape), np.float32)
    for box, (left, top, right, bottom) in zip(arranged_on(page).traces, boxes(page), strict=True):
        covered = np.outer(_overlap(shape[0], page.height, top, bottom), _overlap(shape[1], page.width, left, right))
        middle = (np.arange(shape[1]) + 0.5) * page.width / shape[1]
        shown = box.start + np.clip((middle - left) / (right - left), 0, 1) * box.seconds
        shares[box.lead] += covered
        seconds[box.lead] += covered * (shown / RECORD_S)
    return np.concatenate([shares, seconds])


def _overlap(cells: int, length: float, low: float, high: float) -> np.ndarray:
    """Return the share of each of some equal cells along a length that lies between two places."""
    edges = np.linspace(0, length, cells + 1)
    return np.clip(np.minimum(edges[1:], high) - np.maximum(edges[:-1], low), 0, None) * (cells / length)
