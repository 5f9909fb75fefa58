"""PNG files hold the picture they were made of, whoever reads them."""

import io
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ecg.paper.png import IndexedPage, encode_png, write_png


def by_pillow(data):
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def by_cv2(data):
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def indexed(shape=(40, 30), colours=256, seed=0):
    rng = np.random.default_rng(seed)
    return IndexedPage(rng.integers(0, colours, shape).astype(np.uint8),
                       rng.integers(0, 256, (colours, 3)).astype(np.uint8), 200.0)


@settings(max_examples=40, deadline=None)
@given(height=st.integers(1, 300), width=st.integers(1, 60), colour=st.booleans(), seed=st.integers(0, 99))
def test_pictures_of_any_shape_survive(height, width, colour, seed):
    shape = (height, width, 3) if colour else (height, width)
    image = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)
    image[height // 3:] = image[height // 3]
    want = image if colour else np.repeat(image[..., None], 3, axis=2)
    data = encode_png(image)
    assert np.array_equal(by_pillow(data), want) and np.array_equal(by_cv2(data), want)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (3000, 2), (700, 900), (2, 300_000)])
def test_pictures_of_many_blocks_survive(shape):
    image = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    assert np.array_equal(np.array(Image.open(io.BytesIO(encode_png(image)))), image)


def test_a_part_of_a_picture_survives():
    image = np.random.default_rng(0).integers(0, 256, (90, 80, 3)).astype(np.uint8)
    for part in (image[::2, 5:40], image[::-1], image[..., ::-1], image[:, 3:50, 1]):
        want = part if part.ndim == 3 else np.repeat(part[..., None], 3, axis=2)
        assert np.array_equal(by_pillow(encode_png(part)), want)


@pytest.mark.parametrize("colours", [1, 2, 100, 256])
def test_indexed_pages_survive_with_any_palette(colours):
    page = indexed(colours=colours)
    data = encode_png(page)
    assert np.array_equal(by_pillow(data), page.rgb()) and np.array_equal(by_cv2(data), page.rgb())
    assert np.array_equal(page.rgb(), page.palette[page.plane])


def test_grey_is_the_luma_of_the_colours():
    page = indexed()
    want = page.rgb() @ np.array([0.299, 0.587, 0.114])
    assert page.grey().dtype == np.uint8 and page.grey().shape == page.plane.shape
    assert np.abs(page.grey() - want).max() <= 0.5
    assert np.abs(page.grey().astype(int) - cv2.cvtColor(page.rgb(), cv2.COLOR_RGB2GRAY)).max() <= 1


def test_every_chunk_has_its_check_sum():
    data = encode_png(indexed())
    kinds, at = [], 8
    while at < len(data):
        size, kind = int.from_bytes(data[at:at + 4], "big"), data[at + 4:at + 8]
        assert int.from_bytes(data[at + 8 + size:at + 12 + size], "big") == zlib.crc32(data[at + 4:at + 8 + size])
        kinds.append(kind)
        at += 12 + size
    assert kinds == [b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"]


def test_repeated_rows_cost_next_to_nothing():
    rows = np.random.default_rng(0).integers(0, 256, (1, 2200)).astype(np.uint8)
    assert len(encode_png(np.repeat(rows, 1700, axis=0))) < 30_000


def test_a_file_is_whole_or_not_there(tmp_path):
    page = indexed()
    write_png(tmp_path / "page.png", page)
    with Image.open(tmp_path / "page.png") as file:
        assert file.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert np.array_equal(np.array(file.convert("RGB")), page.rgb())
    with pytest.raises(ValueError, match="must be uint8"):
        write_png(tmp_path / "page.png", np.zeros((4, 4)))
    assert [path.name for path in tmp_path.iterdir()] == ["page.png"]
    assert np.array_equal(by_pillow((tmp_path / "page.png").read_bytes()), page.rgb())


@pytest.mark.parametrize("image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros(4, np.uint8),
                                   np.zeros((0, 4), np.uint8), np.zeros((4, 0, 3), np.uint8)])
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match="image: must be uint8"):
        encode_png(image)


@pytest.mark.parametrize(("plane", "palette", "message"), [
    (np.zeros((4, 4)), np.zeros((256, 3), np.uint8), "plane"),
    (np.zeros((4, 4), np.uint8), np.zeros((257, 3), np.uint8), "palette"),
    (np.zeros((4, 4), np.uint8), np.zeros((256, 4), np.uint8), "palette"),
    (np.zeros((4, 4), np.uint8), np.zeros((256, 3)), "palette")])
def test_what_is_no_indexed_page_is_refused(plane, palette, message):
    with pytest.raises(ValueError, match=f"{message}: must be uint8"):
        IndexedPage(plane, palette, 200.0)
