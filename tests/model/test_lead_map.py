"""What is said of a page's cells is what the renderer draws there."""

import numpy as np
import pytest

from ecg.leads import LEADS
from ecg.paper.page import Renderer
from model.lead_map import arranged_on, boxes, lead_map
from model.params import PageParams


@pytest.mark.parametrize("layout", ["3x4+1R", "6x2", "12x1-cabrera"])
def test_a_beat_drawn_lies_in_the_cells_of_its_lead_and_second(layout):
    page = PageParams(layout=layout, height=256, width=512, px_per_mm=2.0)
    renderer = Renderer(arranged_on(page), height=256, width=512, px_per_mm=2.0, sampling_rate=100.0, samples=1000)
    said = lead_map(page, (64, 128))
    flat = renderer.draw(np.zeros((12, 1000)))
    for lead in range(len(LEADS)):
        spiked = np.zeros((12, 1000))
        spiked[lead, [80, 330, 680, 930]] = 200  # A lead of a column shows one or two of them, a rhythm strip all.
        rows, columns = np.nonzero(np.abs(renderer.draw(spiked).astype(int) - flat) > 100)
        share, second = said[lead, rows // 4, columns // 4], said[12 + lead, rows // 4, columns // 4]
        assert len(rows) and share.min() > 0
        shown = second[share > 0.99] / share[share > 0.99]
        assert np.abs(shown[:, None] - [0.08, 0.33, 0.68, 0.93]).min(axis=1).max() < 0.02


def test_shares_are_of_the_area_at_every_resolution():
    page = PageParams(height=128, width=256, px_per_mm=1.0)
    areas = np.zeros(12)
    for trace, (left, top, right, bottom) in zip(arranged_on(page).traces, boxes(page), strict=True):
        areas[trace.lead] += (right - left) * (bottom - top)
    for shape in ((4, 16), (3, 12), (128, 256)):
        shares = lead_map(page, shape)[:12]
        np.testing.assert_allclose(shares.sum(axis=(1, 2)) * 128 * 256 / np.prod(shape), areas, rtol=1e-4)
        assert shares.min() >= 0 and shares.sum(axis=0).max() < 1 + 1e-5
