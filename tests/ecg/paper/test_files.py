"""Picture files: what is read, and what is refused before it is decoded."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from ecg.paper import limits
from ecg.paper.files import read_image, read_image_bytes

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def huge_png(width, height):
    """A PNG whose header claims a size, with next to no data."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "BMP"])
def test_lossless_kinds_come_back_as_they_were(kind, tmp_path):
    options = {"lossless": True} if kind == "WEBP" else {}
    (tmp_path / "a").write_bytes(saved(Image.fromarray(PICTURE), kind, **options))
    assert np.array_equal(read_image(tmp_path / "a"), PICTURE)


@pytest.mark.parametrize("mode", ["L", "P", "1", "LA", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_becomes_rgb(mode):
    source = Image.fromarray((np.arange(64 * 64).reshape(64, 64) * 16).astype(np.uint16)) if mode == "I;16" \
        else Image.fromarray(PICTURE).convert(mode)
    read = read_image_bytes(saved(source, "TIFF" if mode == "CMYK" else "PNG"))
    assert read.dtype == np.uint8 and read.shape[2] == 3 and read.std() > 20


def test_transparent_paper_is_white():
    clear = Image.fromarray(np.zeros((9, 9, 4), np.uint8))
    assert (read_image_bytes(saved(clear, "PNG")) == 255).all()


def test_a_turned_photo_is_turned_back():
    exif = Image.Exif()
    exif[0x0112] = 6
    read = read_image_bytes(saved(Image.fromarray(PICTURE), "PNG", exif=exif))
    assert np.array_equal(read, np.rot90(PICTURE, -1))


@pytest.mark.parametrize("size", [(8000, 8000), (60000, 60000)])
def test_too_many_pixels_are_refused_from_the_header(size):
    with pytest.raises(ValueError, match=r"^big\.png: .*million.*scale it down$"):
        read_image_bytes(huge_png(*size), "big.png")


def test_too_many_bytes_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "MAX_BYTES", 1000)
    (tmp_path / "large.png").write_bytes(b"x" * 1001)
    with pytest.raises(ValueError, match="large.png: .* MB, the limit is"):
        read_image(tmp_path / "large.png")
    with pytest.raises(ValueError, match="upload: .* MB"):
        read_image_bytes(b"x" * 1001, "upload")


@pytest.mark.parametrize("data", [b"", b"no picture", saved(Image.fromarray(PICTURE), "PNG")[:200],
                                  saved(Image.fromarray(PICTURE), "JPEG")[:100], b"\x89PNG\r\n\x1a\n" + b"\0" * 50])
def test_what_is_no_picture_is_named_in_one_line(data, tmp_path):
    (tmp_path / "page.png").write_bytes(data)
    with pytest.raises(ValueError, match=r"page\.png: not a readable picture") as caught:
        read_image(tmp_path / "page.png")
    assert "\n" not in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match="none.png: no such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(ValueError, match="cannot be read"):
        read_image(tmp_path)
