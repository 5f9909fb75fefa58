"""From pictures of pages to the canonical page: our own sheets land on it, odd pictures do not crash."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from ecg.paper.files import read_image
from ecg.paper.full_page import HEADER_MM, block_left, draw_full_page
from ecg.paper.layout import layout
from ecg.paper.locate import MIN_CONFIDENCE, NoGridError, to_canonical
from ecg.paper.page import CLEAN, Renderer
from tests.ecg.paper.signals import beats_uv

LAYOUT = layout("3x4+1R")
PAGE = {"height": 256, "width": 512, "px_per_mm": 2.0}
PRINTS = Path(__file__).resolve().parents[4] / "shared" / "data" / "prints"


def canonical(signal):
    return Renderer(LAYOUT, **PAGE, sampling_rate=100.0, samples=1000).draw(signal)


def sheet(signal, dpi=150):
    return draw_full_page(signal, sampling_rate=100.0, layout=LAYOUT, dpi=dpi,
                          header="Record 7, 63 years, F\nSinus rhythm")


def displacement(a, b, *, reach=12):
    """Return by how many pixels (x, y) the ink of b lies off that of a, and how well they agree there, 0-1."""
    a, b = (np.clip(190 - page.astype(np.float32), 0, None) for page in (a, b))
    padded = cv2.copyMakeBorder(b, reach, reach, reach, reach, cv2.BORDER_CONSTANT)
    match = cv2.matchTemplate(padded, a, cv2.TM_CCORR)
    _, best, _, (x, y) = cv2.minMaxLoc(match)
    return x - reach, y - reach, best / np.sqrt((a * a).sum() * (b * b).sum())


@pytest.mark.parametrize("dpi", [72, 100, 150, 200, 300])
def test_our_own_sheets_land_on_the_canonical_page(dpi):
    located = to_canonical(sheet(beats_uv(), dpi), **PAGE)
    assert located.image.shape == (256, 512) and located.image.dtype == np.uint8
    assert located.px_per_mm_found == pytest.approx(dpi / 25.4, rel=0.002)
    assert located.confidence > 0.8
    page = canonical(beats_uv())
    for columns in np.array_split(np.arange(512), 4):
        x, y, agreement = displacement(page[:, columns], located.image[:, columns])
        assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6, (columns[0], x, y, agreement)


def test_the_box_is_that_of_the_traces():
    left, top, right, bottom = (side / 150 * 25.4 for side in to_canonical(sheet(beats_uv()), **PAGE).box)
    assert abs(left - block_left(250)) < 1 and abs(right - left - 250) < 0.6
    assert abs(top - HEADER_MM) < 1.5 and abs(bottom - top - 120) < 1.5


def test_wandering_baselines_move_the_page_by_two_pixels_at_most():
    wander = 120 * np.sin(np.arange(1000) / 160 + np.arange(12)[:, None])
    signal = beats_uv() + wander
    x, y, _ = displacement(canonical(signal), to_canonical(sheet(signal), **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 2


def test_paper_becomes_white_and_ink_dark_whatever_the_light():
    light = np.linspace(0.5, 1.0, 1650)[None, :, None] * np.array([1.0, 0.9, 0.75])
    dim = (sheet(beats_uv()) * light).astype(np.uint8)
    located = to_canonical(dim, **PAGE)
    assert np.median(located.image) > 235 and np.quantile(located.image, 0.005) < 110
    x, y, agreement = displacement(canonical(beats_uv()), located.image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6


def test_a_grey_picture_does_as_well():
    grey = cv2.cvtColor(sheet(beats_uv()), cv2.COLOR_RGB2GRAY)
    located = to_canonical(grey, **PAGE)
    assert located.px_per_mm_found == pytest.approx(150 / 25.4, rel=0.002)
    assert displacement(canonical(beats_uv()), located.image)[:2] in {(x, y) for x in (-1, 0, 1) for y in (-1, 0, 1)}


def test_a_canonical_page_stays_itself():
    page = canonical(beats_uv())
    x, y, agreement = displacement(page, to_canonical(page, **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.7


def test_rows_at_another_distance_are_moved_and_not_stretched():
    tall = replace(LAYOUT, row_mm=38.0)
    image = draw_full_page(beats_uv(), sampling_rate=100.0, layout=tall, dpi=150)
    x, y, agreement = displacement(canonical(beats_uv()), to_canonical(image, **PAGE).image)
    assert abs(x) <= 1 and abs(y) <= 1 and agreement > 0.6


def test_without_a_grid_the_ink_gives_the_scale():
    plain = replace(CLEAN, minor=0.0, major=0.0)
    draw = Renderer(LAYOUT, height=512, width=1024, px_per_mm=4.0, sampling_rate=100.0, samples=1000)
    located = to_canonical(draw.draw(beats_uv(), plain), **PAGE)
    assert located.confidence < MIN_CONFIDENCE
    assert located.px_per_mm_found == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("image", [
    np.full((300, 500), 255, np.uint8), np.zeros((300, 500, 3), np.uint8),
    np.random.default_rng(0).integers(0, 256, (300, 500, 3)).astype(np.uint8),
    np.tile(np.arange(500) % 256, (300, 1)).astype(np.uint8), np.full((2000, 130), 200, np.uint8)])
def test_pictures_of_no_page_are_refused(image):
    with pytest.raises(NoGridError, match="no ECG grid here: "):
        to_canonical(image, **PAGE)


@pytest.mark.parametrize("image", [np.zeros((300, 500)), np.zeros((300, 500, 4), np.uint8),
                                   np.zeros((20, 500), np.uint8)])
def test_what_holds_no_page_is_refused(image):
    with pytest.raises(ValueError, match="image: "):
        to_canonical(image, **PAGE)


@pytest.mark.skipif(not PRINTS.is_dir(), reason="needs the folder of real prints")
def test_real_prints_do_not_crash_and_exports_of_one_cart_agree():
    found = {path.name: to_canonical(read_image(path), **PAGE) for path in sorted(PRINTS.iterdir())}
    assert all(np.quantile(located.image, 0.01) < 200 for located in found.values())
    carts = [located for name, located in found.items() if name.startswith("edan")]
    assert np.ptp([located.px_per_mm_found for located in carts]) < 0.01
    assert np.ptp([located.box for located in carts], axis=0).max() < 8
