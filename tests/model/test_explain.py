"""Explanations: of the network and of its packaged program alike, back on the picture, and bound to the weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from ecg.paper.capture import capture
from ecg.paper.layout import layout
from ecg.paper.locate import to_canonical
from ecg.paper.sheet import draw_sheet
from ecg.sources.simulated import plan, simulate
from model.explain import Explanation, LeadShare, explain, lead_shares, on_picture, overlay, relevance
from model.export import export_reader, load_reader, save_reader
from model.lead_map import boxes
from model.network import PageReader, VizECGNet
from model.params import PageParams
from model.typed import as_dict
from tests.model.tiny import TINY

PAGE = PageParams(height=96, width=192, px_per_mm=0.75)


def network(seed: int) -> VizECGNet:
    torch.manual_seed(seed)
    net = VizECGNet(TINY, classes=3)
    with torch.no_grad():
        net.head_image.linear.weight.normal_(std=0.5)
    return net.eval()


@pytest.fixture(scope="module")
def picture():
    """A scanned page and what was found on it."""
    signal = simulate(plan(records=1, seed=3)[0], seed=3) * np.int16(5)
    sheet = draw_sheet(signal, sampling_rate=100.0, layout=layout(PAGE.layout), dpi=100)
    taken = capture(sheet.page.rgb(), kind="scan", rng=np.random.default_rng(0), px_per_mm=100 / 25.4)
    return taken, sheet, to_canonical(taken.image, height=PAGE.height, width=PAGE.width, px_per_mm=PAGE.px_per_mm)


def test_the_packaged_program_explains_as_the_network_does(picture, tmp_path):
    net, page = network(1), picture[2].image
    save_reader(export_reader(net, {"page": as_dict(PAGE)}), tmp_path / "model.pt2")
    program = load_reader(tmp_path / "model.pt2")
    for finding in range(3):
        ours, theirs = (relevance(reader, np.stack([page, page[::-1]]), finding, px_per_mm=0.75)
                        for reader in (PageReader(net), program))
        np.testing.assert_allclose(theirs, ours, atol=1e-3 * ours.max())
        assert ours.shape == (2, 96, 192) and (ours >= 0).all()
        assert ours.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-4)


def test_a_map_is_about_its_weights_and_its_finding(picture):
    page = picture[2].image[None]

    def of(net, finding):
        return relevance(PageReader(net), page, finding, px_per_mm=0.75)[0].ravel()

    ours = of(network(1), 0)
    assert np.corrcoef(ours, of(network(2), 0))[0, 1] < 0.8
    assert np.corrcoef(ours, of(network(1), 1))[0, 1] < 0.99


def test_paper_without_ink_says_nothing():
    maps = relevance(PageReader(network(1)), np.full((1, 96, 192), 255, np.uint8), 0, px_per_mm=0.75)
    assert not maps.any()


def test_leads_share_the_mass_by_their_boxes():
    names = [box.name for box in layout(PAGE.layout).traces]
    for number in (0, 5, len(names) - 1):
        left, top, right, bottom = boxes(PAGE)[number]
        spot = np.zeros((PAGE.height, PAGE.width), np.float32)
        spot[round(top) + 2:round(bottom) - 2, round(left) + 2:round(right) - 2] = 1
        first = lead_shares(spot, PAGE)[0]
        assert (first.lead, first.strip) == (names[number], number == len(names) - 1)
        assert first.share == pytest.approx(1)


def test_a_map_comes_back_to_where_the_lead_lies_on_the_picture(picture):
    taken, sheet, located = picture
    for number in (1, 6, 11):
        box = sheet.labels.traces[number]
        left, top, right, bottom = boxes(PAGE)[number]
        spot = np.zeros((PAGE.height, PAGE.width), np.float32)
        spot[round(top):round(bottom), round(left):round(right)] = 1
        back = on_picture(spot, located, PAGE, taken.image.shape[:2])
        points = taken.transform.points(box.points)
        points = points[np.isfinite(points).all(axis=1)].astype(int)
        assert back[points[:, 1], points[:, 0]].mean() > 0.9
        y, x = np.nonzero(back > 0.5)
        assert np.abs(x.mean() - points[:, 0].mean()) < 12 and np.abs(y.mean() - points[:, 1].mean()) < 25


def test_names_stand_at_the_rows_that_were_found():
    close = replace(layout(PAGE.layout), row_mm=20.0)
    signal = simulate(plan(records=1, seed=3)[0], seed=3)
    sheet = draw_sheet(signal, sampling_rate=100.0, layout=close, dpi=100)
    located = to_canonical(sheet.page.rgb(), height=PAGE.height, width=PAGE.width, px_per_mm=PAGE.px_per_mm)
    strip = len(close.traces) - 1
    why = Explanation("A", np.zeros((PAGE.height, PAGE.width), np.float32), (LeadShare("II", True, 1.0),))
    named, bare = (overlay(sheet.page.rgb(), why, located, PAGE, named=count) for count in (1, 0))
    rows = np.nonzero((named != bare).any(axis=(1, 2)))[0]
    above_mm = (np.nanmedian(sheet.labels.traces[strip].points[:, 1]) - rows) / 100 * 25.4
    assert len(rows) and above_mm.min() > 0 and above_mm.max() < 13


def test_the_overlay_reddens_the_picture_where_the_map_is(picture):
    taken, _, located = picture
    why = explain(PageReader(network(1)), located.image, 0, "A", PAGE)
    drawn = overlay(taken.image, why, located, PAGE)
    assert drawn.shape == taken.image.shape and drawn.dtype == np.uint8
    heat = on_picture(why.relevance, located, PAGE, taken.image.shape[:2])
    redder = drawn[..., 0].astype(int) - drawn[..., 2] - (taken.image[..., 0].astype(int) - taken.image[..., 2])
    strong = heat > np.quantile(heat[heat > 0], 0.98)
    assert redder[strong].mean() > 30 and abs(redder[heat == 0].mean()) < 3
