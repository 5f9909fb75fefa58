"""Pictures without what cameras, scanners and carts write beside the pixels: names, places, dates, serial numbers."""

import re

import cv2
import numpy as np

from ecg.paper.files import read_image_bytes

_START, _END, _SCAN = 0xD8, 0xD9, 0xDA
_ADOBE = 0xEE
"""Says how the colours are coded: the pixels change without it."""
_TEXT = {*range(0xE1, 0xF0), 0xFE} - {_ADOBE}
"""JPEG segments of applications (EXIF, XMP, IPTC) and comments; JFIF's own (0xE0) holds no text."""
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
"""Ends coded pixels; among them, 0xFF is followed by 0 or by the mark of a restart."""


def strip_metadata(data: bytes, name: str = "image") -> bytes:
    """Return a picture with the same pixels and nothing else.

    A JPEG keeps its coded pixels, unless EXIF turns it; it and every other format become PNG.

    Args:
        data: bytes of a picture file.
        name: stands for the file in messages.

    Raises:
        ValueError: no picture, or beyond the limits of `ecg.paper.files`.
    """
    pixels = read_image_bytes(data, name)
    bare = _bare_jpeg(data)
    if bare is not None and np.array_equal(read_image_bytes(bare, name), pixels):
        return bare
    grey = (pixels[..., :1] == pixels).all()
    coded, png = cv2.imencode(".png", pixels[..., 0] if grey else pixels[..., ::-1])
    assert coded
    return png.tobytes()


def _bare_jpeg(data: bytes) -> bytes | None:
    """Leave out a JPEG's segments of text and what follows its end; None for what is no JPEG of ordinary build."""
    if data[:2] != bytes((0xFF, _START)):
        return None
    kept, at = [data[:2]], 2
    while at + 1 < len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if kind == _END:
            return b"".join([*kept, data[at:at + 2]])
        end = at + 2 + int.from_bytes(data[at + 2:at + 4], "big")
        if kind == _SCAN:
            marker = _MARKER.search(data, end)
            if marker is None:
                return None
            end = marker.start()
        if kind not in _TEXT:
            kept.append(data[at:end])
        at = end
    return None
