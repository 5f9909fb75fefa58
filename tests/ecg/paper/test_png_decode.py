"""The fast way to read a PNG gives Pillow's pixels or none at all."""

import io
import random
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ecg.paper.files import read_image_bytes
from ecg.paper.png import IndexedPage, encode_png
from ecg.paper.png_decode import decode_png

RNG = np.random.default_rng(0)
STEPS = np.cumsum(RNG.integers(-3, 4, (61, 83, 3)), axis=1).astype(np.uint8)
"""Smooth, so that the encoder chooses each of PNG's filters somewhere."""


def saved(image, **options):
    out = io.BytesIO()
    image.save(out, "PNG", **options)
    return out.getvalue()


def pillow(data):
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 40), height=st.integers(1, 40), mode=st.sampled_from(["L", "RGB", "P"]),
       noisy=st.booleans(), level=st.integers(0, 9))
def test_ordinary_files_come_out_as_pillow_reads_them(width, height, mode, noisy, level):
    image = Image.fromarray(RNG.integers(0, 256, (height, width, 3)).astype(np.uint8) if noisy
                            else STEPS[:height, :width]).convert(mode)
    data = saved(image, compress_level=level)
    np.testing.assert_array_equal(decode_png(data), pillow(data))


def test_every_filter_is_undone():
    rows = STEPS.reshape(61, -1)
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    for kind in range(5):
        raw = b"".join(bytes([kind]) + row.tobytes() for row in rows)
        data = (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 83, 61, 8, 2, 0, 0, 0))
                + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b""))
        np.testing.assert_array_equal(decode_png(data), pillow(data))


def test_our_own_pages_are_read_fast():
    plane = RNG.integers(0, 7, (50, 70)).astype(np.uint8)
    page = IndexedPage(plane, RNG.integers(0, 256, (7, 3)).astype(np.uint8), 200)
    for image in (page, page.rgb(), page.grey()):
        data = encode_png(image)
        np.testing.assert_array_equal(decode_png(data), pillow(data))


@pytest.mark.parametrize("options", [{"transparency": 3}, {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0"}, {"interlace": 1}])
def test_what_is_out_of_the_ordinary_is_left_to_pillow(options):
    if "interlace" in options:
        data = bytearray(saved(Image.fromarray(STEPS)))
        data[28] = 1
    elif "exif" in options:
        data = saved(Image.fromarray(STEPS), **options)
    else:
        data = saved(Image.fromarray(STEPS).convert("P"), **options)
    assert decode_png(bytes(data)) is None


def test_a_text_may_turn_the_picture_and_is_left_to_pillow():
    text = PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    data = saved(Image.fromarray(STEPS), pnginfo=text)
    assert decode_png(data) is None and read_image_bytes(data).shape == (83, 61, 3)


def test_damaged_files_come_out_as_pillow_has_them_or_not_at_all():
    data, chance, read = saved(Image.fromarray(STEPS)), random.Random(0), 0
    for _ in range(400):
        broken = bytearray(data[:chance.randrange(len(data))] if chance.random() < 0.3 else data)
        for _ in range(chance.randrange(3)):
            if broken:
                broken[chance.randrange(len(broken))] = chance.randrange(256)
        if (found := decode_png(bytes(broken))) is not None:
            read += 1
            np.testing.assert_array_equal(found, pillow(bytes(broken)))
    assert read, "no case left the file whole"


@pytest.mark.parametrize("size", [(60_000, 60_000), (1, 2**31 - 1)])
def test_a_header_that_promises_too_much_costs_nothing(size):
    data = bytearray(saved(Image.fromarray(STEPS)))
    data[16:24] = struct.pack(">II", *size)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    assert decode_png(bytes(data)) is None
