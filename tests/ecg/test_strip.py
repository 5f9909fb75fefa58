"""Pictures keep their pixels and lose everything else."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from ecg.paper.files import read_image_bytes
from ecg.paper.strip import strip_metadata

SECRET = b"Erika Muster 1964"


def picture(mode="RGB"):
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 255, (70, 130, 3), np.uint8)).convert(mode)


def exif(orientation):
    found = Image.Exif()
    found[0x0112], found[0x010E] = orientation, SECRET.decode()
    return found


def coded(image, kind, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


CASES = {
    "jpeg": lambda: coded(picture(), "JPEG", exif=exif(1), comment=SECRET),
    "progressive": lambda: coded(picture(), "JPEG", exif=exif(1), progressive=True),
    "grey": lambda: coded(picture("L"), "JPEG", comment=SECRET),
    "cmyk": lambda: coded(picture("CMYK"), "JPEG", comment=SECRET),
    "turned": lambda: coded(picture(), "JPEG", exif=exif(6)),
    "trailer": lambda: coded(picture(), "JPEG") + coded(picture(), "JPEG", comment=SECRET),
    "webp": lambda: coded(picture(), "WEBP", exif=exif(1)),
    "tiff": lambda: coded(picture(), "TIFF", description=SECRET.decode()),
}


def with_text():
    info = PngImagePlugin.PngInfo()
    info.add_text("Patient", SECRET.decode())
    return coded(picture(), "PNG", pnginfo=info)


@pytest.mark.parametrize("kind", [*CASES, "png"])
def test_pixels_stay_and_texts_go(kind):
    data = with_text() if kind == "png" else CASES[kind]()
    bare = strip_metadata(data)
    np.testing.assert_array_equal(read_image_bytes(bare), read_image_bytes(data))
    assert SECRET not in bare and (SECRET in data or kind in ("progressive", "turned", "webp") and b"Erika" in data)


def test_a_jpeg_stays_a_jpeg_unless_it_must_be_turned():
    assert strip_metadata(CASES["jpeg"]())[:2] == b"\xff\xd8" and strip_metadata(CASES["turned"]())[:4] == b"\x89PNG"
    assert len(strip_metadata(CASES["progressive"]())) < len(CASES["progressive"]())


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"text"])
def test_what_is_no_picture_is_refused(data):
    with pytest.raises(ValueError, match="scan-7"):
        strip_metadata(data, "scan-7")
