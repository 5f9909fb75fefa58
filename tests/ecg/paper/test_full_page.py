"""The whole sheet and its PNG file."""

import io

import numpy as np
import pytest
from PIL import Image

from ecg.paper.full_page import HEADER_MM, IndexedPage, block_left, draw_full_page, draw_indexed_page, write_png
from ecg.paper.layout import layout
from ecg.paper.png import encode_png
from tests.ecg.paper.signals import beats_uv

LAYOUT = layout("3x4+1R")


def sheet(signal=None, **options):
    signal = beats_uv() if signal is None else signal
    return draw_full_page(signal, **{"sampling_rate": 100.0, "layout": LAYOUT, "dpi": 100, **options})


def ink(page):
    return page.max(axis=2) < 110


def test_a_letter_page_at_200_dpi():
    page = sheet(dpi=200)
    assert page.shape == (1700, 2200, 3) and page.dtype == np.uint8
    assert 0.003 < ink(page).mean() < 0.03


def test_the_grid_is_pink_and_the_ink_dark():
    page = sheet(np.full((12, 1000), np.nan))
    red, green = page[..., 0].astype(int), page[..., 1].astype(int)
    lines = (red - green > 20).mean()
    assert 0.2 < lines < 0.6 and sheet().max(axis=2).min() < 40


@pytest.mark.parametrize("lead", range(12))
def test_every_lead_is_drawn_in_its_box(lead):
    signal = np.zeros((12, 1000))
    flat = sheet(signal)
    signal[lead] = 400.0 * np.sin(np.arange(1000) / 3)
    changed = (sheet(signal) != flat).any(axis=2)
    scale, left = 100 / 25.4, block_left(LAYOUT.width_mm)
    for box in LAYOUT.traces:
        rows = slice(int((HEADER_MM + box.top) * scale), int((HEADER_MM + box.top + box.height) * scale))
        columns = slice(int((left + box.left) * scale) + 3, int((left + box.left + box.width) * scale) - 3)
        assert changed[rows, columns].any() == (box.lead == lead), box.name


@pytest.mark.parametrize("seconds", [0.01, 4.0, 60.0])
@pytest.mark.parametrize("rate", [40.0, 500.0, 2000.0])
def test_records_of_any_length_and_rate(seconds, rate):
    samples = max(1, int(seconds * rate))
    page = sheet(np.zeros((12, samples)), sampling_rate=rate)
    blank = sheet(np.full((12, 1), np.nan))
    reached = min(seconds, 10.0) * 25 * 100 / 25.4
    strip = slice(int((HEADER_MM + 95) * 100 / 25.4), int((HEADER_MM + 118) * 100 / 25.4))
    columns = np.flatnonzero((page[strip] != blank[strip]).any(axis=(0, 2)))
    assert abs(np.ptp(columns) + 1 - reached) <= 4 + 25 / rate * 4


def test_header_and_scale_are_printed():
    top = np.s_[: int(HEADER_MM / 25.4 * 100) - 60]
    assert not ink(sheet(header=None))[top].any()
    assert ink(sheet(header="Record 1\n63 years, F"))[top].sum() > 150
    assert ink(sheet())[-60:].sum() > 150


def test_the_file_holds_the_page(tmp_path):
    page = draw_indexed_page(beats_uv(), sampling_rate=100.0, layout=LAYOUT, dpi=150, header="Record 1")
    write_png(tmp_path / "page.png", page)
    with Image.open(tmp_path / "page.png") as file:
        assert file.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert np.array_equal(np.array(file.convert("RGB")), page.rgb())
    assert [p.name for p in tmp_path.iterdir()] == ["page.png"]


@pytest.mark.parametrize("shape", [(33, 20), (1, 1), (600, 7), (33, 20, 3)])
def test_pictures_of_any_shape_survive_png(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(image)))), image)


def test_indexed_colours_survive_png():
    rng = np.random.default_rng(0)
    page = IndexedPage(rng.integers(0, 256, (40, 30)).astype(np.uint8),
                       rng.integers(0, 256, (256, 3)).astype(np.uint8), 200.0)
    assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(page))).convert("RGB")), page.rgb())


@pytest.mark.parametrize(("options", "message"), [
    ({"signal": np.zeros((3, 100))}, "signal_uv: shape"), ({"sampling_rate": 0.0}, "sampling_rate"),
    ({"dpi": 5}, "dpi: must lie in"), ({"dpi": 5000}, "dpi: must lie in")])
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        sheet(**options)


def test_no_png_of_floats():
    with pytest.raises(ValueError, match="must be uint8"):
        encode_png(np.zeros((4, 4)))
